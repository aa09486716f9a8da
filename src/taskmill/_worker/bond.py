"""What ties a process to the one that started it, and what it is called."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
# In thousandths of all memory that there is: so much larger than it is this process looks (proc_pid_oom_score_adj(5)).
_PREFERRED = 300
# Each would end a process that has no handler yet.
_HELD = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


def die_with(parent: int) -> None:
    """Let the kernel kill this process as soon as *parent* has died, however it did."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def go_before_the_parent() -> None:
    """Where memory has run out, let the kernel kill this process, and what it starts, rather than its parent."""
    # Everybody may make himself a better choice; it does not matter that some other value was there before.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_PREFERRED), encoding="ascii")


@contextmanager
def signals_held() -> Iterator[None]:
    """Whoever is started meanwhile gets what the whole group is sent when it can cope with it: see `take_signals`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def take_signals() -> None:
    """Have the signals now that came since this process was started."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)


def be_called(name: str) -> None:
    """Have `ps -e` and `top` show this process so, where the system can; 15 letters at most."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode())


def leave_signals_to_the_parent() -> None:
    """Ctrl-C and a service manager reach the whole group: the parent says what follows."""
    # A handler, because what is ignored stays so in the programs that a task starts.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
