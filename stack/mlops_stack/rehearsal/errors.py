"""What can go wrong with a rehearsal beside what Pulumi itself says."""


class RehearsalError(Exception):
    """The rehearsal cannot begin, or AWS is not as it was; the message says what is wrong."""
