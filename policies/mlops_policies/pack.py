"""The rules as a policy pack of Pulumi's engine."""

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

import pulumi
from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)
from pulumi_policy import proxy as policy_proxy

from mlops_policies import buckets, credentials, identity, network, pods, storage, tags
from mlops_policies.rule import UNKNOWN, Allowed, Resource, Rule

NAME: Final = "mlops-policies"
RULES: Final[tuple[Rule, ...]] = (
    *buckets.RULES,
    *storage.RULES,
    *identity.RULES,
    *network.RULES,
    *pods.RULES,
    *credentials.RULES,
    *tags.RULES,
)
_PROJECT: Final = "mlops-platform"


class PolicyConfigError(ValueError):
    """The stack's configuration of the policies is wrong; the message names key and remedy."""


def violations(resource: Resource, allowed: Allowed) -> list[tuple[Rule, str]]:
    """Return every rule that a resource breaks, with what is wrong."""
    return [(rule, problem) for rule in RULES for problem in rule.check(resource, allowed)]


def names(text: str) -> frozenset[str]:
    """Return the names in a comma-separated list."""
    return frozenset(part.strip() for part in text.split(",") if part.strip())


def levels(config: Mapping[str, str]) -> dict[str, EnforcementLevel]:
    """Return the level of each rule.

    Args:
        config: the project's configuration; `policies` is the level of all rules, and
            `advisoryPolicies` lists those that only advise.

    Raises:
        PolicyConfigError: an unknown level or rule.
    """
    try:
        general = EnforcementLevel(config.get("policies") or "mandatory")
    except ValueError:
        general = EnforcementLevel.DISABLED
    if general not in (EnforcementLevel.MANDATORY, EnforcementLevel.ADVISORY):
        raise PolicyConfigError(f"policies is {config['policies']!r}; write mandatory or advisory")
    known = {rule.name for rule in RULES}
    advisory = names(config.get("advisoryPolicies") or "")
    if unknown := sorted(advisory - known):
        raise PolicyConfigError(
            f"advisoryPolicies names {', '.join(unknown)}; the rules are {', '.join(sorted(known))}"
        )
    return {
        rule.name: EnforcementLevel.ADVISORY if rule.name in advisory else general for rule in RULES
    }


def serve() -> None:
    """Serve the rules to the engine that has started this process, until it ends it.

    A wrong configuration of the rules ends the process with a message instead.
    """
    prefix = f"{_PROJECT}:"
    given = pulumi.runtime.get_config_env() if "PULUMI_CONFIG" in os.environ else {}
    config = {k.removeprefix(prefix): v for k, v in given.items() if k.startswith(prefix)}
    try:
        chosen = levels(config)
    except PolicyConfigError as problem:
        sys.exit(f"policy pack {NAME}: {problem}")
    allowed = Allowed(privileged=names(config.get("privilegedPods") or ""))
    PolicyPack(
        name=NAME,
        policies=[
            ResourceValidationPolicy(
                name=rule.name,
                description=rule.description,
                enforcement_level=chosen[rule.name],
                remediation_steps=rule.remedy,
                validate=_validator(rule, allowed),
            )
            for rule in RULES
        ],
    )


def _validator(
    rule: Rule, allowed: Allowed
) -> Callable[[ResourceValidationArgs, ReportViolation], None]:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        resource = Resource(type=args.resource_type, name=args.name, props=plain(args.props))
        for problem in rule.check(resource, allowed):
            report(f"{resource.type} {resource.name}: {problem}. {rule.remedy}", None)

    return validate


def plain(value: Any) -> Any:
    """Return inputs as plain data, with UNKNOWN where the SDK would raise on touching them."""
    if isinstance(value, Mapping):
        return {key: _inner(value, key) for key in value}
    if isinstance(value, list | tuple) or type(value).__name__ == "_ListProxy":
        return [_inner(value, index) for index in range(len(value))]
    return value


def _inner(container: Any, key: Any) -> Any:
    try:
        return plain(container[key])
    except policy_proxy.UnknownValueError:
        return UNKNOWN
