"""The provider's configuration, read once from the engine's request.

The SDK writes every value that is not a string as JSON text. What the plugin cannot do is refused
here, before anything is changed.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mlops_kubernetes.values import UNKNOWN

OFFICIAL: Final = (
    "use the official plugin for it (`pulumi plugin install resource kubernetes v4.34.2`)"
)
_ENVIRONMENT: Final = {
    "deleteUnreachable": "PULUMI_K8S_DELETE_UNREACHABLE",
    "enableConfigMapMutable": "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE",
    "enablePatchForce": "PULUMI_K8S_ENABLE_PATCH_FORCE",
    "enableSecretMutable": "PULUMI_K8S_ENABLE_SECRET_MUTABLE",
    "enableServerSideApply": "PULUMI_K8S_ENABLE_SERVER_SIDE_APPLY",
    "skipUpdateUnreachable": "PULUMI_K8S_SKIP_UPDATE_UNREACHABLE",
    "suppressDeprecationWarnings": "PULUMI_K8S_SUPPRESS_DEPRECATION_WARNINGS",
    "suppressHelmHookWarnings": "PULUMI_K8S_SUPPRESS_HELM_HOOK_WARNINGS",
    "upsertExistingObjects": "PULUMI_K8S_UPSERT_EXISTING_OBJECTS",
    "renderYamlToDirectory": "PULUMI_K8S_RENDER_YAML_TO_DIRECTORY",
    "clusterIdentifier": "PULUMI_K8S_CLUSTER_IDENTIFIER",
}
_IGNORED: Final = frozenset({"helmReleaseSettings", "version", "pluginDownloadURL", "__internal"})
TEXTS: Final = (
    "kubeconfig",
    "context",
    "cluster",
    "namespace",
    "clusterIdentifier",
    "renderYamlToDirectory",
    # Ours: the official plugin makes up a field manager for each object.
    "stackId",
    "formerStackId",
)
FLAGS: Final = (
    "alwaysRender",
    "deleteUnreachable",
    "enableConfigMapMutable",
    "enablePatchForce",
    "enableSecretMutable",
    "enableServerSideApply",
    "skipUpdateUnreachable",
    "suppressDeprecationWarnings",
    "suppressHelmHookWarnings",
    "upsertExistingObjects",
)


class SettingError(ValueError):
    """A provider argument cannot be used.

    Attributes:
        key: the argument's name.
    """

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A provider's configuration.

    Attributes:
        kubeconfig: path or text of a kubeconfig; empty for the usual places.
        context: context of the kubeconfig; empty for its current one.
        cluster: cluster of the kubeconfig, instead of the context's.
        namespace: for namespaced objects that name none; empty for the context's.
        cluster_identifier: when set, only its change replaces the provider.
        stack_id: part of the field managers, so that no other stack's objects are taken for left
            over; empty for managers that the URN alone makes.
        former_stack_id: id of a stack whose objects are this one's by now; `none` for one without.
        known: False in a preview before the cluster exists.
        delete_unreachable: an unreachable cluster's objects count as deleted.
        skip_update_unreachable: an unreachable cluster's objects count as up to date.
        config_map_mutable: ConfigMaps change in place.
        secret_mutable: Secrets change in place.
        patch_force: take fields over from other field managers.
        upsert: creating an object that exists takes it over.
        suppress_deprecation_warnings: do not pass on the API server's deprecation warnings.
        suppress_helm_hook_warnings: do not warn of chart hooks that are left out.
        request_seconds: limit of one request.
    """

    kubeconfig: str = ""
    context: str = ""
    cluster: str = ""
    namespace: str = ""
    cluster_identifier: str = ""
    stack_id: str = ""
    former_stack_id: str = ""
    known: bool = True
    delete_unreachable: bool = False
    skip_update_unreachable: bool = False
    config_map_mutable: bool = False
    secret_mutable: bool = False
    patch_force: bool = False
    upsert: bool = False
    suppress_deprecation_warnings: bool = False
    suppress_helm_hook_warnings: bool = False
    request_seconds: float = 30.0


def parse(arguments: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Settings:
    """Return the configuration that provider arguments and environment variables give.

    Raises:
        SettingError: an argument is unknown, wrong, or asks for what this plugin does not do.
    """
    surroundings = os.environ if environment is None else environment
    unknown_keys = set(arguments) - {*TEXTS, *FLAGS, *_IGNORED, "kubeClientSettings"}
    if unknown_keys:
        key = min(unknown_keys)
        valid = ", ".join(sorted({*TEXTS, *FLAGS, "kubeClientSettings"}))
        raise SettingError(key, f"{key} is no argument of the provider; valid are {valid}")
    given = {
        key: surroundings[variable]
        for key, variable in _ENVIRONMENT.items()
        if surroundings.get(variable)
    } | {k: v for k, v in arguments.items() if v is not None}
    known = not any(value is UNKNOWN for value in given.values())
    given = {k: v for k, v in given.items() if v is not UNKNOWN}
    texts = {key: _text(key, given.get(key, "")) for key in TEXTS}
    flags = {key: _flag(key, given[key]) for key in FLAGS if key in given}
    _refuse_unsupported(texts, flags)
    return Settings(
        kubeconfig=texts["kubeconfig"],
        context=texts["context"],
        cluster=texts["cluster"],
        namespace=texts["namespace"],
        cluster_identifier=texts["clusterIdentifier"],
        stack_id=texts["stackId"],
        former_stack_id=texts["formerStackId"],
        known=known,
        delete_unreachable=flags.get("deleteUnreachable", False),
        skip_update_unreachable=flags.get("skipUpdateUnreachable", False),
        config_map_mutable=flags.get("enableConfigMapMutable", False),
        secret_mutable=flags.get("enableSecretMutable", False),
        patch_force=flags.get("enablePatchForce", False),
        upsert=flags.get("upsertExistingObjects", False),
        suppress_deprecation_warnings=flags.get("suppressDeprecationWarnings", False),
        suppress_helm_hook_warnings=flags.get("suppressHelmHookWarnings", False),
        request_seconds=_request_seconds(given.get("kubeClientSettings")),
    )


def _refuse_unsupported(texts: Mapping[str, str], flags: Mapping[str, bool]) -> None:
    if texts["renderYamlToDirectory"] or flags.get("alwaysRender"):
        key = "renderYamlToDirectory"
        raise SettingError(key, f"{key} is not supported by this plugin; {OFFICIAL}")
    if not flags.get("enableServerSideApply", True):
        key = "enableServerSideApply"
        raise SettingError(
            key,
            f"{key}: false is not supported by this plugin, which only applies on the "
            f"server's side; leave it out, or {OFFICIAL}",
        )


def _text(key: str, value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value)
    if not isinstance(value, str):
        raise SettingError(key, f"{key} must be a string")
    return value


def _flag(key: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "1"):
        return True
    if isinstance(value, str) and value.lower() in ("false", "0", ""):
        return False
    raise SettingError(key, f"{key} must be true or false")


def _request_seconds(value: Any) -> float:
    """Read `timeout` of kubeClientSettings; its rates need no limit here."""
    default = Settings.request_seconds
    if value is None:
        return default
    key = "kubeClientSettings"
    try:
        settings = json.loads(value) if isinstance(value, str) else dict(value)
        seconds = float(settings.get("timeout") or default)
    except (ValueError, TypeError, AttributeError) as error:
        raise SettingError(key, f"{key} must be an object with a numeric timeout") from error
    return seconds if seconds > 0 else default
