"""Whether something keeps this machine's clock right, such as an NTP client."""

import ctypes
from typing import Final

_NOT_SYNCHRONISED: Final = 0x40
"""STA_UNSYNC of adjtimex(2)."""
_STATUS_OFFSET: Final = 40
"""Of `status` in `struct timex`, of 64 bits."""
_SIZE: Final = 256


def is_kept() -> bool:
    """Return whether the kernel knows of something that sets the clock right.

    A kernel that cannot be asked knows of nothing.
    """
    buffer = ctypes.create_string_buffer(_SIZE)  # zero: nothing is to be changed
    if ctypes.CDLL(None, use_errno=True).adjtimex(buffer) < 0:
        return False
    status = ctypes.c_int.from_buffer(buffer, _STATUS_OFFSET).value
    return not status & _NOT_SYNCHRONISED
