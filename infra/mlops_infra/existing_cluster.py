"""A cluster that someone else runs, reached by a kubeconfig."""

from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pulumi
import yaml

from mlops_infra import cluster_claim
from mlops_infra.cluster import ClusterAccess

# Where a kubeconfig names files.
_PATHS: Final = (
    ("clusters", "cluster", ("certificate-authority",)),
    ("users", "user", ("client-certificate", "client-key", "tokenFile")),
)


class KubeconfigError(pulumi.RunError):
    """The kubeconfig cannot be used; the message says why and what to do."""


def existing_cluster(
    path: str, *, context: str, node_address: str, known_identifier: str = ""
) -> ClusterAccess:
    """Return the access to a running cluster.

    Args:
        path: kubeconfig file; `~` is the home folder.
        context: context in it, or empty for its current one.
        node_address: address of NodePorts, or empty for the host of the API server.
        known_identifier: what identified it when it last answered, for when it does not.

    Raises:
        KubeconfigError: no such file or context, or no address for NodePorts.
    """
    text = text_of(path)
    server = _server(text, path, context)
    text = _anchored(text, Path(path).expanduser().absolute().parent)
    address = node_address or urlsplit(server).hostname
    if not address:
        raise KubeconfigError(
            f"the API server in {path} has no host name or address; name the node's with "
            "`pulumi config set nodeAddress ADDRESS`"
        )
    return ClusterAccess(
        kubeconfig=pulumi.Output.secret(text),
        node_address=pulumi.Output.from_input(address),
        context=context or None,
        owned=None,
        identifier=_identifier(text, context) or known_identifier or None,
    )


def _anchored(text: str, folder: Path) -> str:
    """Return a kubeconfig's text that means the same files wherever it is read.

    Relative paths are relative to the file, and the text that is handed on has none.
    """
    config = yaml.safe_load(text)
    changed = False
    for section, entry, names in _PATHS:
        for each in config.get(section) or []:
            values = each.get(entry) or {}
            for name in names:
                value = values.get(name)
                if isinstance(value, str) and value and not Path(value).is_absolute():
                    values[name] = str(folder / value)
                    changed = True
            command = (values.get("exec") or {}).get("command")
            # A command without a folder is looked for on PATH.
            if isinstance(command, str) and "/" in command and not Path(command).is_absolute():
                values["exec"]["command"] = str(folder / command)
                changed = True
    return yaml.safe_dump(config, sort_keys=False) if changed else text


def text_of(path: str) -> str:
    """Return what is in a kubeconfig file; `~` is the home folder.

    Raises:
        KubeconfigError: it cannot be read.
    """
    file = Path(path).expanduser()
    try:
        text = file.read_text()
    except OSError as error:
        raise KubeconfigError(
            f"the kubeconfig {path} cannot be read ({error.strerror}); set another one with "
            "`pulumi config set kubeconfig FILE`"
        ) from error
    except UnicodeDecodeError as error:
        raise KubeconfigError(f"{path} is not a kubeconfig; name the right file") from error
    return text


def _identifier(text: str, context: str) -> str:
    """Return what identifies the cluster; empty when it does not answer, as in a preview."""
    # Imported here: only stacks on such a cluster ask.
    from mlops_kubernetes import kubeconfig  # noqa: PLC0415
    from mlops_kubernetes.client import ApiError, UnreachableError  # noqa: PLC0415

    try:
        return cluster_claim.identity(text, context=context)
    except (ApiError, UnreachableError, kubeconfig.KubeconfigError) as problem:
        pulumi.log.warn(f"the cluster cannot be asked which it is: {problem}")
        return ""


def _server(text: str, path: str, context: str) -> str:
    """Return the API server's URL of a context."""
    try:
        config = yaml.safe_load(text)
        clusters = {entry["name"]: entry["cluster"] for entry in config["clusters"]}
        servers: dict[str, Any] = {
            str(entry["name"]): clusters.get(entry["context"]["cluster"], {}).get("server")
            for entry in config["contexts"]
        }
        wanted = str(context or config.get("current-context") or "")
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise KubeconfigError(f"{path} is not a kubeconfig; name the right file") from error
    server = servers.get(wanted)
    if not server:
        raise KubeconfigError(
            f"{path} has no usable context {wanted!r}; it has {', '.join(sorted(servers))}. "
            "Choose one with `pulumi config set kubeContext NAME`"
        )
    return str(server)
