"""What the end of a process says about the job that ran in it."""

from __future__ import annotations

import signal

from taskmill._core.job import ErrorInfo

_HINTS = {
    signal.SIGKILL: "if nobody did that by hand, the system had no memory left (see its log)",
    signal.SIGABRT: "the process called abort(); its standard error may say why",
    signal.SIGSEGV: "a fault in a C extension or in Python itself",
    signal.SIGBUS: "a fault in a C extension, or a file in memory that was cut or a disk that is full",
}


def described(status: int) -> ErrorInfo:
    """The end of a process as an error; *status* as in `Popen.returncode`: negative for a signal."""
    told = ending(status) if status < 0 else f"{ending(status)}, in the middle of it"
    return ErrorInfo("Crashed", f"the process that ran it {told}")


def ending(status: int) -> str:
    """How a process ended, to follow its name."""
    if status >= 0:
        return f"ended with exit code {status}"
    try:
        known = signal.Signals(-status)
    except ValueError:
        return f"was killed by signal {-status}"
    hint = _HINTS.get(known)
    return f"was killed by {known.name}{f': {hint}' if hint else ''}"
