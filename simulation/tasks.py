"""The tasks of the simulated program: each run follows a script, and tells the witness what really happened."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Literal

from simulation.rules import SLOT, TICK
from simulation.world import World
from taskmill import Cancel, Context, Mill, Snooze, every
from taskmill._core.instant import SECOND
from taskmill.errors import StoreError

Word = Literal["ok", "fail", "snooze", "cancel", "crash", "long"]


def make_mill(world: World, lease: float) -> Mill:
    """The program's Mill, in a process of its own."""
    mill = Mill(world.store.url, lease=lease, clock=world.host)

    @mill.task(name="job", retry_delay=0.3)
    def job(context: Context, script: Sequence[Word]) -> int:
        return _run(world, lease, context, script)

    @mill.task(name="hasty", retry_delay=0)
    def hasty(context: Context, script: Sequence[Word]) -> int:
        return _run(world, lease, context, script)

    @mill.task(name="step", retry_delay=0.3)
    def step(context: Context, given: int, script: Sequence[Word]) -> int:
        world.witness.check_given(context.id, given)
        return _run(world, lease, context, script)

    @mill.periodic(every(SLOT / SECOND), name=TICK)
    def tick(context: Context) -> int:
        return _run(world, lease, context, ["ok"])

    return mill


def _run(world: World, lease: float, context: Context, script: Sequence[Word]) -> int:
    """What the next word of the script says; the result is the fence, so that nobody can mistake it for another's."""
    host, chance = world.host, world.host.chance
    run = world.witness.begin(host.scheduler.process, context.id, context.fence)
    try:
        word = script[min(run.earlier, len(script) - 1)]
        for _ in range(chance.randrange(3)):
            host.scheduler.wait(seconds=chance.uniform(0, 0.2))
            if chance.random() < 0.2 and _is_unwanted(context):
                raise Cancel("asked to")
        world.faults.in_a_run(run.process)
        host.scheduler.wait(seconds=1.5 * lease if word == "long" else 0)
        run.word = word
        match word:
            case "fail":
                raise ValueError(context.fence)
            case "snooze":
                raise Snooze(timedelta(seconds=0.5))
            case "cancel":
                raise Cancel("by script")
            case "crash":
                host.crash(-11)
        return context.fence
    finally:
        run.is_over = True


def _is_unwanted(context: Context) -> bool:
    with suppress(StoreError):
        return context.cancel_requested
    return False
