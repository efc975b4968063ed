"""What the programs that a command starts take from the shell."""

import os
from collections.abc import Mapping

# Programs in Go, gRPC and requests understand networks in these; nobody reaches these networks
# through a company's proxy from the machine that they are on.
_UNPROXIED = ("localhost", "127.0.0.1", "::1", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
_NO_PROXY = ("NO_PROXY", "no_proxy", "no_grpc_proxy")


def variables(shell: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep a command working in any shell, from those of the shell.

    Proxies are for the outer world: the engine's gRPC, the cluster and what runs in it are reached
    without. What is printed is UTF-8 in every locale.

    Args:
        shell: the shell's variables.
    """
    named = [entry for name in _NO_PROXY for entry in shell.get(name, "").split(",")]
    stripped = [entry.strip() for entry in named]
    unproxied = ",".join(dict.fromkeys(entry for entry in (*stripped, *_UNPROXIED) if entry))
    # gRPC reads its own variable before the others, but only where there is one.
    chosen = dict.fromkeys(("NO_PROXY", "no_proxy"), unproxied)
    if "no_grpc_proxy" in shell:
        chosen["no_grpc_proxy"] = unproxied
    return {**chosen, "PYTHONUTF8": "1"}


def apply() -> None:
    """Let this process, and every one that it starts, have these variables."""
    os.environ.update(variables(os.environ))
