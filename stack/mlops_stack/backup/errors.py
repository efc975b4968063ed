"""What can go wrong with an export. Every message names the problem and the remedy."""


class ArchiveError(Exception):
    """A folder cannot take an export, or holds none that can be used; nothing was changed."""


class KeepError(Exception):
    """The data could not be exported or imported; nothing was destroyed."""
