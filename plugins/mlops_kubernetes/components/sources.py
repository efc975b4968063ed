"""Where components get their manifests: files, kustomizations and charts on this machine."""

import asyncio
import glob
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

from mlops_kubernetes.components.manifests import ManifestError, parse
from mlops_kubernetes.settings import OFFICIAL

_RENDER_SECONDS: Final = 120
_HOOK: Final = "helm.sh/hook"


def read_files(patterns: list[str]) -> list[dict[str, Any]]:
    """Return the objects of manifest files, given by paths or glob patterns.

    Raises:
        ManifestError: a file is missing, remote, or no manifest.
    """
    found = []
    for pattern in patterns:
        _refuse_remote(pattern, "a manifest")
        is_pattern = glob.has_magic(pattern) and not Path(pattern).exists()
        for name in sorted(glob.glob(pattern, recursive=True)) if is_pattern else [pattern]:  # noqa: PTH207
            try:
                text = Path(name).read_text()
            except OSError as error:
                raise ManifestError(f"manifest {name}: {error.strerror}") from error
            found += parse(text, name)
    return found


async def render_kustomization(directory: str) -> list[dict[str, Any]]:
    """Return the objects that `kubectl kustomize` makes of a folder.

    Raises:
        ManifestError: the folder is missing or remote, or kubectl is missing or fails.
    """
    _refuse_remote(directory, "a kustomization")
    if not Path(directory).is_dir():
        raise ManifestError(f"kustomization {directory}: there is no such folder")
    text = await _run("kubectl", "kustomize", directory)
    return parse(text, f"kustomization {directory}")


async def render_chart(
    *,
    chart: str,
    release: str,
    namespace: str,
    values: list[dict[str, Any]],
    value_files: list[str],
    include_crds: bool,
    api_versions: list[str],
    kube_version: str,
    dependency_update: bool,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the objects that `helm template` makes of a chart on this machine.

    Args:
        chart: folder or archive of the chart.
        release: name of the release.
        namespace: namespace of the release.
        values: values, the last ones win.
        value_files: texts of value files, which come before `values`.
        include_crds: add the chart's `crds` folder.
        api_versions: API versions that the chart may take for served.
        kube_version: Kubernetes version that the chart may take for the cluster's.
        dependency_update: fetch the chart's dependencies first.

    Returns:
        The objects without the chart's hooks, and the names of the hooks.

    Raises:
        ManifestError: the chart is missing or remote, or helm is missing or fails.
    """
    if not Path(chart).exists():
        raise ManifestError(
            f"chart {chart}: there is no such folder or archive. This plugin renders charts that "
            f"are on this machine: fetch it with `helm pull`, or {OFFICIAL}"
        )
    arguments = ["template", release, chart, "--namespace", namespace]
    arguments += ["--include-crds"] if include_crds else []
    arguments += ["--dependency-update"] if dependency_update else []
    arguments += ["--kube-version", kube_version] if kube_version else []
    for version in api_versions:
        arguments += ["--api-versions", version]
    # Values may be secret: they go through private files, never through the command line.
    with tempfile.TemporaryDirectory(prefix="chart-values-") as folder:
        texts = [*value_files, *(json.dumps(value) for value in values)]
        for index, text in enumerate(texts):
            file = Path(folder, f"{index}.yaml")
            file.write_text(text)
            arguments += ["--values", str(file)]
        rendered = parse(await _run("helm", *arguments), f"chart {chart}")
    hooks = [value for value in rendered if _is_hook(value)]
    names = [f"{h.get('kind')} {(h.get('metadata') or {}).get('name')}" for h in hooks]
    return [value for value in rendered if not _is_hook(value)], names


def _is_hook(value: dict[str, Any]) -> bool:
    annotations = (value.get("metadata") or {}).get("annotations") or {}
    hook = annotations.get(_HOOK)
    # Helm 2 marked definitions this way; they are ordinary objects here.
    return hook is not None and hook != "crd-install"


def _refuse_remote(location: str, what: str) -> None:
    if "://" in location or location.startswith("git@"):
        raise ManifestError(
            f"{location}: this plugin reads {what} from this machine only; fetch it into the "
            f"project first, or {OFFICIAL}"
        )


async def _run(program: str, *arguments: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise ManifestError(f"{program} is not on PATH, and rendering needs it; install {program}")
    process = await asyncio.create_subprocess_exec(
        found,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, complaint = await asyncio.wait_for(process.communicate(), _RENDER_SECONDS)
    except TimeoutError:
        process.kill()
        raise ManifestError(f"{program} gave no answer in {_RENDER_SECONDS} s") from None
    if process.returncode:
        text = complaint.decode(errors="replace").strip()[-2000:]
        raise ManifestError(f"{program} {arguments[0]} failed: {text}")
    return output.decode()
