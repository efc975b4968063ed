"""What can go wrong with an embedded cluster. Every message names the problem and the remedy."""


class NodeError(Exception):
    """An embedded cluster could not be created, read, changed or removed."""


class InvalidSpecError(NodeError, ValueError):
    """A `NodeSpec` asks for something that does not exist or makes no sense."""


class PreflightError(NodeError):
    """This machine cannot carry the cluster; nothing has been changed on it.

    `problems` holds one line per failed check, each with its remedy.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        lines = "".join(f"\n  - {problem}" for problem in problems)
        super().__init__(f"this machine cannot carry the cluster yet (nothing was changed):{lines}")


class ImmutableChangeError(NodeError):
    """A running cluster was asked for a change that only a new cluster can have."""


class NoSuchClusterError(NodeError):
    """The named cluster does not exist on this machine."""


class OwnerError(NodeError):
    """The cluster belongs to another stack or checkout; nothing has been changed."""


class RecordError(NodeError):
    """A cluster's record is lost or damaged; nothing has been changed."""


class ImageError(NodeError):
    """An image archive is missing, unreadable or could not be imported."""


class BootError(NodeError):
    """The node did not come up; the message quotes the log that says why."""


class BusyError(NodeError):
    """Another process is working on the same cluster."""


class CommandError(NodeError):
    """A program that the node needs failed; the message quotes its last words."""


class TeardownError(NodeError):
    """Something of the cluster could not be removed; the message lists it."""
