"""How long an attempt may run, and in which steps one that must stop is made to."""

from __future__ import annotations

from typing import Literal, NamedTuple

# How long a job that was told to stop may take before stronger means are used, in seconds.
OBSTINATE = 1.0

Stop = Literal[
    "soft",  # soft_timeout is over: the task is told, and may clean up
    "hard",  # timeout is over
    "cancel",  # somebody cancelled the job
    "release",  # the worker stops, or may have lost the job
    "force",  # it was told to stop, and goes on
]


class Limits(NamedTuple):
    """The time limits of one attempt, in seconds from its start; None: there is no such limit."""

    soft: float | None = None
    hard: float | None = None


class Step(NamedTuple):
    """What happens to an attempt that still runs then; *at* in seconds of the monotonic clock."""

    at: float
    stop: Stop


def steps_of(limits: Limits, began_at: float) -> list[Step]:
    """What an attempt has to expect that began then, in the order of time."""
    steps = []
    if limits.soft is not None:
        steps.append(Step(began_at + limits.soft, "soft"))
    if limits.hard is not None:
        steps.append(Step(began_at + limits.hard, "hard"))
        steps.append(Step(began_at + limits.hard + OBSTINATE, "force"))
    return steps


def steps_of_release(steps: list[Step], now: float) -> list[Step]:
    """What it has to expect instead of *steps* when the worker gives its job back at *now*."""
    return sorted([*steps, Step(now, "release")])


def steps_of_cancel(steps: list[Step], now: float) -> list[Step]:
    """What it has to expect instead of *steps* when its job was cancelled at *now*."""
    return sorted([*steps, Step(now, "cancel"), Step(now + OBSTINATE, "force")])


def steps_after(steps: list[Step], now: float) -> list[Step]:
    """What is left of *steps* when the first was carried out at *now*, however late that was."""
    return [
        step._replace(at=max(step.at, now + OBSTINATE)) if step.stop == "force" else step
        for step in steps[1:]
    ]


def steps_instead(steps: list[Step], now: float) -> list[Step]:
    """What is left of *steps* when the first cannot be carried out at *now*: all, until another takes its place.

    A soft limit gives way to whatever comes next. A hard one goes on being tried after the force that it gives way
    to, and a cancellation gives way only to the force of a limit.
    """
    first, *rest = steps
    if first.stop == "cancel":
        rest = [step for step in rest if step.stop == "force"][1:]
    if not rest or rest[0].at > now:
        return steps
    return [rest[0], Step(now, first.stop), *rest[1:]] if rest[0].stop == "force" else rest
