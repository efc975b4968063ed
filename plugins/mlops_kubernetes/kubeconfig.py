"""A kubeconfig, and what it says about one context: server, trust and credentials.

The rules are kubectl's: several files in `KUBECONFIG` are merged, the first one wins; relative
paths are relative to the file that holds them; in a pod the service account is the last resort.
"""

import base64
import binascii
import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from mlops_kubernetes.memory_file import memory_file

_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_SECTIONS: Final = ("clusters", "users", "contexts")


class KubeconfigError(ValueError):
    """There is no usable kubeconfig; the message names the problem and the remedy."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """How to reach one cluster as one user.

    Attributes:
        server: URL of the API server.
        namespace: the context's namespace, `default` where it names none.
        context: name of the context.
        authority: PEM certificates that the server's must chain to; None for the system's.
        insecure: do not verify the server.
        server_name: name in the server's certificate, where it differs from the URL's.
        proxy: URL of an HTTP or SOCKS proxy.
        user: the user entry; holds credentials and must not be printed.
        folder: for the relative paths in the user entry.
    """

    server: str
    namespace: str = "default"
    context: str = ""
    authority: str | None = None
    insecure: bool = False
    server_name: str | None = None
    proxy: str | None = None
    user: dict[str, Any] = field(default_factory=dict, repr=False)
    folder: Path = field(default_factory=Path.cwd)

    @property
    def identity(self) -> tuple[str, str | None]:
        """What tells one cluster from another: its URL and its certificate authority."""
        return self.server, self.authority

    def ssl_context(self) -> ssl.SSLContext:
        """Return the trust and client certificate as a TLS context.

        Raises:
            KubeconfigError: a certificate or key is missing or unreadable.
        """
        try:
            context = ssl.create_default_context(cadata=self.authority)
            # Python 3.13 refuses certificate authorities without key identifiers; kubectl does not.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            if self.insecure:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            certificate = self._material("client-certificate")
            key = self._material("client-key")
            if certificate and key:
                load_client_certificate(context, certificate, key)
        except (ssl.SSLError, OSError) as error:
            raise KubeconfigError(
                f"the certificates of context {self.context!r} are unreadable: {error}"
            ) from error
        return context

    def _material(self, name: str) -> str | None:
        return _data_or_file(self.user, name, self.folder)


def load_client_certificate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Add a client certificate, given as PEM text, to a TLS context."""
    # The standard library reads them from files only.
    with memory_file(f"{certificate}\n{key}\n", "certificate") as file:
        context.load_cert_chain(file)


def load(kubeconfig: str, *, context: str = "", cluster: str = "") -> Access:
    """Return how to reach a cluster.

    Args:
        kubeconfig: YAML or JSON text, or a path, or several paths; empty for `KUBECONFIG` and
            `~/.kube/config`.
        context: the context to use; empty for the current one.
        cluster: the cluster to use instead of the context's.

    Raises:
        KubeconfigError: nothing was found, or it cannot be used.
    """
    if kubeconfig and _is_text(kubeconfig):
        merged = _merge([(_parse(kubeconfig, "the given kubeconfig"), Path.cwd())])
    else:
        given = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
        paths = [Path(part).expanduser() for part in given.split(os.pathsep) if part]
        found = [path for path in paths if path.is_file()]
        if not found:
            if not kubeconfig and (access := _in_cluster()) is not None:
                return access
            raise KubeconfigError(
                f"no kubeconfig at {given}; give the provider a kubeconfig (a path or its text), "
                "or set KUBECONFIG"
            )
        merged = _merge([(_parse(p.read_text(), str(p)), p.absolute().parent) for p in found])
    return _select(merged, context, cluster)


def _is_text(kubeconfig: str) -> bool:
    return "\n" in kubeconfig.strip() or kubeconfig.lstrip().startswith("{")


def _parse(text: str, origin: str) -> dict[str, Any]:
    try:
        parsed = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except yaml.YAMLError as error:
        # The parser's message quotes the text, which holds credentials.
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise KubeconfigError(f"{origin} is neither YAML nor JSON{where}") from None
    if not isinstance(parsed, dict):
        raise KubeconfigError(f"{origin} is no kubeconfig: it is not a map")
    return parsed


def _merge(documents: list[tuple[dict[str, Any], Path]]) -> dict[str, Any]:
    merged: dict[str, Any] = {section: {} for section in _SECTIONS}
    merged["current-context"] = ""
    for document, folder in documents:
        merged["current-context"] = merged["current-context"] or document.get("current-context", "")
        for section in _SECTIONS:
            for entry in document.get(section) or []:
                body = {**(entry.get(section.removesuffix("s")) or {}), "__folder": folder}
                merged[section].setdefault(entry.get("name"), body)
    return merged


def _select(merged: dict[str, Any], context: str, cluster: str) -> Access:
    name = context or merged["current-context"]
    if not name:
        raise KubeconfigError("the kubeconfig has no current-context; give the provider a context")
    chosen = merged["contexts"].get(name)
    if chosen is None:
        valid = ", ".join(sorted(map(str, merged["contexts"]))) or "none"
        raise KubeconfigError(f"the kubeconfig has no context {name!r}; it has {valid}")
    cluster_name = cluster or chosen.get("cluster")
    reached = merged["clusters"].get(cluster_name)
    if not reached or not reached.get("server"):
        raise KubeconfigError(f"the kubeconfig has no cluster {cluster_name!r} with a server")
    user_name = chosen.get("user")
    user = merged["users"].get(user_name) if user_name else {}
    if user is None:
        raise KubeconfigError(f"the kubeconfig has no user {user_name!r}")
    return Access(
        server=str(reached["server"]).rstrip("/"),
        namespace=chosen.get("namespace") or "default",
        context=name,
        authority=_data_or_file(reached, "certificate-authority", reached["__folder"]),
        insecure=bool(reached.get("insecure-skip-tls-verify")),
        server_name=reached.get("tls-server-name"),
        proxy=reached.get("proxy-url"),
        user={k: v for k, v in user.items() if k != "__folder"},
        folder=user.get("__folder", Path.cwd()),
    )


def _data_or_file(entry: dict[str, Any], name: str, folder: Path) -> str | None:
    if data := entry.get(f"{name}-data"):
        try:
            return base64.b64decode(data).decode()
        except (binascii.Error, ValueError):
            raise KubeconfigError(f"{name}-data in the kubeconfig is not base64") from None
    if path := entry.get(name):
        try:
            return Path(folder, path).read_text()
        except OSError as error:
            raise KubeconfigError(f"{name} in the kubeconfig: {error}") from error
    return None


def _in_cluster() -> Access | None:
    host = os.environ.get("KUBERNETES_SERVICE_HOST")
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (_SERVICE_ACCOUNT / "token").is_file():
        return None
    return Access(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        namespace=(_SERVICE_ACCOUNT / "namespace").read_text().strip(),
        context="in-cluster",
        authority=(_SERVICE_ACCOUNT / "ca.crt").read_text(),
        user={"tokenFile": str(_SERVICE_ACCOUNT / "token")},
    )
