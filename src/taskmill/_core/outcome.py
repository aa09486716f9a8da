"""What an attempt came to, as values: the worker reports one of these, lifecycle.py decides what follows."""

from __future__ import annotations

from typing import NamedTuple

from taskmill._core.job import ErrorInfo


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


class Unknown(NamedTuple):
    """This worker has no task of that name; the function was not called."""


class Released(NamedTuple):
    """The worker gives the job back unfinished: it stops, or it claimed more than it can run soon."""


Outcome = (
    Succeeded
    | Raised
    | TimedOut
    | RetryAsked
    | SnoozeAsked
    | CancelAsked
    | ResultRefused
    | Undecodable
    | Unknown
    | Released
)
