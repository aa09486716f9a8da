"""What an attempt came to, as values: the worker reports one of these, lifecycle.py decides what follows."""

from __future__ import annotations

from typing import NamedTuple

from taskmill._core.job import ErrorInfo
from taskmill._core.limit import Limits, Stop


class Succeeded(NamedTuple):
    """The function returned; *result* is encoded."""

    result: str


class Raised(NamedTuple):
    """The function raised; *is_retriable* is the verdict of retry_on and no_retry_on."""

    error: ErrorInfo
    is_retriable: bool = True


class TimedOut(NamedTuple):
    """The attempt ran past its time limit."""

    error: ErrorInfo


class RetryAsked(NamedTuple):
    """The task raised Retry; *delay* in microseconds, None for the task's own back-off."""

    error: ErrorInfo
    delay: int | None


class SnoozeAsked(NamedTuple):
    """The task raised Snooze."""

    delay: int


class CancelAsked(NamedTuple):
    """The task raised Cancel."""

    error: ErrorInfo


class ResultRefused(NamedTuple):
    """The function returned something that cannot be stored; running it again would not help."""

    error: ErrorInfo


class Undecodable(NamedTuple):
    """The stored arguments do not decode; the function was not called."""

    error: ErrorInfo


class Misfit(NamedTuple):
    """The stored arguments are not what the function takes: another version of the program enqueued them."""

    error: ErrorInfo


class Crashed(NamedTuple):
    """The process that ran this job, and nothing else, is gone; *error* says how it ended."""

    error: ErrorInfo


class Unknown(NamedTuple):
    """This worker cannot run it: it has no task of that name, or no room for its executor. It is handed on."""


class Revoked(NamedTuple):
    """The attempt was stopped because somebody cancelled the job."""


class Released(NamedTuple):
    """The worker gives the job back unfinished, because of *why*: a sentence for its log."""

    why: str = "its worker stops"


Outcome = (
    Succeeded
    | Raised
    | TimedOut
    | RetryAsked
    | SnoozeAsked
    | CancelAsked
    | ResultRefused
    | Undecodable
    | Misfit
    | Crashed
    | Unknown
    | Revoked
    | Released
)


def stopped(stop: Stop, limits: Limits, traceback: str = "") -> Outcome:
    """What an attempt came to that *stop* put an end to; *traceback* says where it was."""
    match stop:
        case "cancel":
            return Revoked()
        case "release":
            return Released()
        case "soft":
            told = f"ran longer than its soft_timeout of {limits.soft:g} s"
        case _:
            told = f"ran longer than its timeout of {limits.hard:g} s"
    return TimedOut(ErrorInfo("TimeoutError", told, traceback))
