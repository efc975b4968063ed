"""What every test needs of the process that it runs in."""

import signal


def pytest_configure() -> None:
    """Let tests interrupt the commands that they run.

    A shell has SIGINT ignored in what it runs in the background, and commands inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
