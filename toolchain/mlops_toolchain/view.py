"""Makes the checkout's view: links into the cache, and launchers of the project's own plugins."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from mlops_toolchain import layout
from mlops_toolchain.artefact import Artefact
from mlops_toolchain.artefacts import PULUMI_KUBERNETES
from mlops_toolchain.keys import result

_FOLDERS = ("bin", "cni", "images")
# Pulumi looks for its language host beside its own file, where a symbolic link would lead it away.
_BESIDE_ITS_PLUGINS = ("pulumi",)
_LANGUAGE_HOST = "pulumi-language-python"
_KUBERNETES = "pulumi-resource-kubernetes"


def refresh(artefacts: Iterable[Artefact]) -> None:
    """Link every result, remove links of results that are no longer wanted, add launchers."""
    wanted = link_only(artefacts)
    for folder in _FOLDERS:
        for entry in (layout.view() / folder).iterdir():
            if entry.is_symlink() and entry not in wanted:
                entry.unlink()
    add_plugins()


def add_plugins() -> None:
    """Add what Pulumi runs: launchers of the project's own plugins."""
    # A Pulumi that was there already brings a language host that fits it.
    if (layout.bin_dir() / "pulumi").is_symlink():
        (layout.bin_dir() / _LANGUAGE_HOST).unlink(missing_ok=True)
    else:
        _launcher(layout.bin_dir() / _LANGUAGE_HOST, "mlops_language_host")
    _kubernetes_plugin()
    _no_automatic_logs()


def link_only(artefacts: Iterable[Artefact]) -> set[Path]:
    """Link the results of some artefacts; return the links."""
    for folder in _FOLDERS:
        (layout.view() / folder).mkdir(parents=True, exist_ok=True)
    wanted = {
        layout.view() / link: result(artefact) / target
        for artefact in artefacts
        for link, target in artefact.recipe.links().items()
    }
    for link, target in wanted.items():
        _link(link, target)
    return set(wanted)


def _link(link: Path, target: Path) -> None:
    if link.name in _BESIDE_ITS_PLUGINS and not target.is_symlink():
        _hard_link(link, target)
        return
    if link.is_symlink() and link.readlink() == target:
        return
    # A new link takes the old one's place at once: another command may be using it.
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)


def _hard_link(link: Path, target: Path) -> None:
    if link.exists() and not link.is_symlink() and link.stat().st_mtime == target.stat().st_mtime:
        return
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    try:
        temporary.hardlink_to(target)
    except OSError:  # the checkout is on another file system than the cache
        shutil.copy2(target, temporary)
    temporary.replace(link)


def _launcher(file: Path, package: str) -> None:
    python = layout.checkout() / ".venv/bin/python"
    text = f'#!/bin/sh\nexec "{python}" -m {package} "$@"\n'
    if file.exists() and not file.is_symlink() and file.read_text() == text:
        return
    file.unlink(missing_ok=True)
    file.write_text(text)
    file.chmod(0o755)


def official_kubernetes_plugin() -> Path | None:
    """Return the official plugin's folder if the user has installed it for their own Pulumi."""
    name = f"resource-kubernetes-v{PULUMI_KUBERNETES}"
    folder = Path("~/.pulumi/plugins").expanduser() / name
    return folder if (folder / _KUBERNETES).exists() else None


def _kubernetes_plugin() -> None:
    """Give this checkout's PULUMI_HOME the official plugin if it is there, else our own."""
    plugins = layout.pulumi_home() / "plugins"
    ours = plugins / f"resource-kubernetes-v{PULUMI_KUBERNETES}"
    official = official_kubernetes_plugin()
    if official is not None:
        if not ours.is_symlink():
            shutil.rmtree(ours, ignore_errors=True)
            plugins.mkdir(parents=True, exist_ok=True)
            ours.symlink_to(official)
        return
    if ours.is_symlink():
        ours.unlink()
    ours.mkdir(parents=True, exist_ok=True)
    _launcher(ours / _KUBERNETES, "mlops_kubernetes")


def _no_automatic_logs() -> None:
    """Keep this checkout's Pulumi from writing all that it does into a log, again at each command.

    No setting turns it off; a file where the folder would be does. Two fifths of the engine's time
    went into these logs, and hundreds of megabytes: see docs/decisions/0015.
    """
    logs = layout.pulumi_home() / "logs"
    if logs.is_dir():
        shutil.rmtree(logs)
    logs.touch()
