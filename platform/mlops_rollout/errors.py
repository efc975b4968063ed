"""What goes wrong in a rollout."""


class ServingError(Exception):
    """A version does not serve; the message gives the reason. Older versions serve on."""
