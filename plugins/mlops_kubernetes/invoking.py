"""Functions that the SDK's own (version 1) components call: decoding and rendering of manifests."""

import json
from typing import Any

from mlops_kubernetes.applying import OperationError
from mlops_kubernetes.components import manifests, sources
from mlops_kubernetes.components.manifests import ManifestError
from mlops_kubernetes.objects import secret_paths
from mlops_kubernetes.paths import PropertyPath
from mlops_kubernetes.settings import OFFICIAL
from mlops_kubernetes.values import Properties


async def invoke(token: str, arguments: Properties) -> Properties:
    """Return what a function of the package gives.

    Raises:
        OperationError: the package has no such function here.
        ManifestError: the manifests cannot be used.
    """
    given = arguments.value
    match token:
        case "kubernetes:yaml:decode":
            values = manifests.parse(str(given.get("text") or ""), "the YAML text")
            values = _placed(values, str(given.get("defaultNamespace") or ""))
        case "kubernetes:kustomize:directory":
            values = await sources.render_kustomization(str(given.get("directory") or ""))
        case "kubernetes:helm:template":
            values = await _template(str(given.get("jsonOpts") or "{}"))
        case _:
            raise OperationError(f"function {token} is not supported by this plugin; {OFFICIAL}")
    secrets = {
        PropertyPath(("result", index, *path.parts))
        for index, value in enumerate(values)
        for path in secret_paths(value)
    }
    if arguments.secrets:
        secrets = {PropertyPath(("result",))}
    return Properties(value={"result": values}, secrets=frozenset(secrets))


def _placed(values: list[dict[str, Any]], namespace: str) -> list[dict[str, Any]]:
    if not namespace:
        return values
    for value in values:
        metadata = value.get("metadata")
        if isinstance(metadata, dict):
            metadata.setdefault("namespace", namespace)
    return values


async def _template(text: str) -> list[dict[str, Any]]:
    """Render a version 3 Chart from the options that the SDK writes as JSON."""
    options: dict[str, Any] = json.loads(text)
    chart = str(options.get("path") or options.get("chart") or "")
    if options.get("repo") or (options.get("fetch_opts") or {}).get("repo"):
        raise ManifestError(
            f"chart {chart}: this plugin renders charts that are on this machine; fetch it with "
            f"`helm pull`, or {OFFICIAL}"
        )
    values, _ = await sources.render_chart(
        chart=chart,
        release=str(options.get("release_name") or options.get("resource_prefix") or "release"),
        namespace=str(options.get("namespace") or "default"),
        values=[options["values"]] if options.get("values") else [],
        value_files=[],
        include_crds=bool(options.get("include_crds") or not options.get("skip_crd_rendering")),
        api_versions=list(options.get("api_versions") or []),
        kube_version=str(options.get("kube_version") or ""),
        dependency_update=False,
    )
    return values
