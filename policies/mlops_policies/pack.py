"""The rules as a policy pack of Pulumi's engine."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from pulumi_policy import (
    EnforcementLevel,
    PolicyConfigSchema,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)
from pulumi_policy import proxy as policy_proxy

from mlops_policies.rule import UNKNOWN, Allowed, Resource, Rule
from mlops_policies.rules import PRIVILEGED, RULES

NAME: Final = "mlops-policies"
_NAMES: Final = PolicyConfigSchema(
    properties={"allowed": {"type": "array", "items": {"type": "string"}}}
)


def serve() -> None:
    """Serve the rules to the engine that has started this process, until it ends it."""
    PolicyPack(
        name=NAME,
        enforcement_level=EnforcementLevel.MANDATORY,
        policies=[
            ResourceValidationPolicy(
                name=rule.name,
                description=rule.description,
                config_schema=_NAMES if rule.name == PRIVILEGED else None,
                remediation_steps=rule.remedy,
                validate=_validator(rule),
            )
            for rule in RULES
        ],
    )


def _validator(
    rule: Rule,
) -> Callable[[ResourceValidationArgs, ReportViolation], None]:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        allowed = Allowed(privileged=frozenset(args.get_config().get("allowed", ())))
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
