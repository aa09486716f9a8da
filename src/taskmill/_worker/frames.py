"""Where the threads of this process stand."""

from __future__ import annotations

import gc
import sys
from types import FrameType


def frames_of_threads() -> dict[int, FrameType]:
    """The innermost frame of each thread, by its number.

    The garbage collector is held off meanwhile: up to Python 3.11 it may run inside of this call, give other threads
    a turn, and let them wait for a lock that this one has and will never get to free (python/cpython#106883).
    """
    is_enabled = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames()  # noqa: SLF001  (documented, in spite of its name)
    finally:
        if is_enabled:
            gc.enable()
