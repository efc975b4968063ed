"""What can go wrong before a worker trains."""


class TrainingError(Exception):
    """A worker cannot train; the message says why and what to do."""
