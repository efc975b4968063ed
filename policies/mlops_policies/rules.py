"""All rules, and how a stack's configuration tunes them."""

from collections.abc import Mapping
from typing import Any, Final

from mlops_policies import buckets, credentials, identity, network, pods, storage, tags
from mlops_policies.rule import Allowed, Resource, Rule

RULES: Final[tuple[Rule, ...]] = (
    *buckets.RULES,
    *storage.RULES,
    *identity.RULES,
    *network.RULES,
    *pods.RULES,
    *credentials.RULES,
    *tags.RULES,
)
PRIVILEGED: Final = "no-privileged-pod"
_LEVELS: Final = ("mandatory", "advisory")


class PolicyConfigError(ValueError):
    """The stack's configuration of the policies is wrong; the message names key and remedy."""


def violations(resource: Resource, allowed: Allowed) -> list[tuple[Rule, str]]:
    """Return every rule that a resource breaks, with what is wrong."""
    return [(rule, problem) for rule in RULES for problem in rule.check(resource, allowed)]


def pack_config(config: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the policy pack's configuration file for a stack.

    Args:
        config: the stack's configuration. `policies` is the level of all rules,
            `advisoryPolicies` lists those that only advise, `privilegedPods` the resources whose
            Pods may be privileged.

    Raises:
        PolicyConfigError: an unknown level or rule.
    """
    general = config.get("policies") or "mandatory"
    if general not in _LEVELS:
        raise PolicyConfigError(f"policies is {general!r}; write {' or '.join(_LEVELS)}")
    known = {rule.name for rule in RULES}
    advisory = _names(config.get("advisoryPolicies", ""))
    if unknown := sorted(advisory - known):
        raise PolicyConfigError(
            f"advisoryPolicies names {', '.join(unknown)}; the rules are {', '.join(sorted(known))}"
        )
    found: dict[str, dict[str, Any]] = {
        name: {"enforcementLevel": "advisory" if name in advisory else general} for name in known
    }
    found[PRIVILEGED]["allowed"] = sorted(_names(config.get("privilegedPods", "")))
    return found


def _names(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(",") if part.strip())
