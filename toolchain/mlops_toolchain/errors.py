"""What can go wrong, and what the user should do about it."""

import re


class ToolchainError(Exception):
    """Something could not be obtained; the message names it and the remedy."""


_CAUSES = (
    (r"No space left on device|ENOSPC", "the disk is full: free some space; what was built stays"),
    (
        r"checksum mismatch|SECURITY ERROR|hash mismatch|Hash mismatch|do not match the hashes",
        "what was downloaded does not match its pinned checksum: if a proxy or mirror stands in "
        "between, have it serve the original; never ignore this",
    ),
    (
        r"\b(401|403)\b.*(Unauthorized|Forbidden)|Forbidden|Unauthorized",
        "the registry refused the request: check the proxy's or mirror's access rules",
    ),
    (
        r"no such host|[Cc]onnection refused|[Nn]etwork is unreachable|i/o timeout|"
        r"Temporary failure|Could not resolve|dial tcp|Failed to fetch|error sending request",
        "a package registry cannot be reached: check the network or the proxy's settings, then "
        "run the same command again; what was built stays",
    ),
)


def likely_cause(log: str) -> str | None:
    """Return what the end of a build's log says about network, disk or checksum, or None."""
    for pattern, remedy in _CAUSES:
        if re.search(pattern, log):
            return remedy
    return None
