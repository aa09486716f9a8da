"""A process that enqueues a mix of everything until it is told to stop: ``python -m soak.producer SEED``."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from soak import AWAY, tasks
from soak.tasks import mill, note
from taskmill import Result, State
from taskmill.errors import TaskmillError

STOP = Path("stop")
MOST_WAITING = 300
"""More than that are not enqueued before some have run, so that all sizes have a bound."""


def main(seed: int) -> None:
    rng = random.Random(seed)
    weights = [weight for weight, _ in MIX]
    while not STOP.exists():
        for _, produce in rng.choices(MIX, weights, k=20) if has_room() else ():
            with suppress(*AWAY):
                for result in produce(rng):
                    note("acked", result.id)
            time.sleep(rng.uniform(0, 0.008))


def has_room() -> bool:
    """Whether few are waiting; else they have a moment to become fewer."""
    with suppress(*AWAY):
        queues = mill.app.storage.inspection.queues()
        waiting = sum(
            queue.states.get(state, 0) for queue in queues for state in (State.QUEUED, State.BLOCKED)
        )
        if waiting <= MOST_WAITING:
            return True
    time.sleep(0.1)
    return False


def and_wait(rng: random.Random) -> Sequence[Result[Any]]:
    result = tasks.nothing.enqueue()
    note("acked", result.id)
    with suppress(TaskmillError):
        result.get(timeout=rng.uniform(0.01, 2))
    return []


def and_cancel(rng: random.Random) -> Sequence[Result[Any]]:
    result = rng.choice([tasks.nap, tasks.rest]).enqueue(3.0)
    time.sleep(rng.uniform(0, 0.05))
    note("unwanted", result.id)
    result.cancel()
    return [result]


def pipeline(rng: random.Random) -> Sequence[Result[Any]]:
    return [(tasks.first.s(rng.randrange(100)) | tasks.second.s()).enqueue()]


MIX: Sequence[tuple[int, Callable[[random.Random], Sequence[Result[Any]]]]] = [
    (30, lambda _: mill.enqueue_many(tasks.nothing.s() for _ in range(10))),
    (20, lambda _: [tasks.nothing.enqueue()]),
    (10, lambda _: [tasks.unkept.enqueue()]),
    (15, lambda rng: [tasks.nap.enqueue(rng.uniform(0, 0.05))]),
    (15, lambda rng: [tasks.rest.enqueue(rng.uniform(0, 0.2))]),
    (10, lambda rng: [tasks.nothing.using(delay=rng.uniform(0, 3), priority=rng.randint(-9, 9)).enqueue()]),
    (10, lambda _: [tasks.flaky.enqueue()]),
    (5, lambda _: [tasks.hopeless.enqueue()]),
    (10, lambda _: [tasks.serial.enqueue()]),
    (5, lambda _: [tasks.guarded.enqueue()]),
    (10, pipeline),
    (3, lambda rng: [tasks.bulky.enqueue(rng.randbytes(rng.randrange(200_000)))]),
    (5, lambda _: [tasks.compute.enqueue()]),
    (5, and_wait),
    (5, and_cancel),
]


if __name__ == "__main__":
    main(int(sys.argv[1]))
