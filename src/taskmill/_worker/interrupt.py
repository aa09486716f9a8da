"""An exception in a thread that runs somebody else's code, raised from outside and only where that is safe."""

from __future__ import annotations

import ctypes
import threading
import traceback
from itertools import dropwhile, takewhile
from types import FrameType

from taskmill._core.limit import Stop
from taskmill._worker.frames import frames_of_threads
from taskmill.errors import CancelRequested, HardTimeout, Interruption, JobReleased, SoftTimeout

KINDS: dict[Stop, type[Interruption]] = {
    "soft": SoftTimeout,
    "hard": HardTimeout,
    "cancel": CancelRequested,
    "release": JobReleased,
}

# Where the task's own code ends, seen from the top of the stack.
_CALLER, _INVOKER = "taskmill._worker.attempt.", "taskmill._app.task."
# What other threads depend on: interrupted in between, it could leave a lock behind that nobody frees.
_FRAGILE = (
    "taskmill._storage.",
    "logging.",
    "importlib.",
    "_frozen_importlib.",
    "_frozen_importlib_external.",
)
_FRAGILE_UNLESS_IT_WAITS = ("taskmill._app.holdings.", "threading.")
_WAITS = frozenset({"wait", "wait_for", "join", "_wait_for_tstate_lock"})
# Rounds of a loop within which an exception for the thread arrives; CPython looks at each jump back.
_SOON = 100


def raise_in(thread: int, kind: type[Interruption]) -> None:
    """Let the thread raise *kind* as soon as it executes Python code, in the place of one that is on its way."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(kind))


def take_back() -> None:
    """Let nothing be raised in this thread that is still on its way."""
    # CPython can forget it, too; but a flag stays up then which in 3.12 slows all threads down, and in 3.11 whoever
    # traces one, as a debugger does, never comes back.
    try:
        raise_in(threading.get_ident(), Interruption)
        for _ in range(_SOON):
            pass
    except Interruption:
        pass


def is_safe(thread: int) -> bool:
    """Whether an exception would hit code that puts up with it: the task's, or that which waits for something."""
    frame = frames_of_threads().get(thread)
    return frame is not None and is_safe_at(frame)


def standing_of(thread: int) -> str:
    """Where the task's own code stands, as in a traceback; empty if it has been left."""
    top = frames_of_threads().get(thread)
    above = takewhile(lambda each: not _is_caller(each[0]), traceback.walk_stack(top)) if top else ()
    own = dropwhile(lambda each: _module_of(each[0]) == _INVOKER, reversed([*above]))
    told = traceback.format_list(traceback.StackSummary.extract(own))
    return "".join(["It did not come back from here:\n", *told]) if told else ""


def _is_caller(frame: FrameType) -> bool:
    return _module_of(frame) == _CALLER


def is_safe_at(top: FrameType) -> bool:
    """As `is_safe`, of a thread that stands there."""
    waits = _module_of(top) == "threading." and top.f_code.co_name in _WAITS
    fragile = _FRAGILE if waits else _FRAGILE + _FRAGILE_UNLESS_IT_WAITS
    frame: FrameType | None = top
    while frame is not None and not _is_caller(frame):
        if _module_of(frame).startswith(fragile):
            return False
        frame = frame.f_back
    return True


def _module_of(frame: FrameType) -> str:
    return f"{frame.f_globals.get('__name__')}."
