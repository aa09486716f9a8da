"""The tasks of the demo; in a module of their own, because its child processes import them too."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any, NamedTuple

from taskmill import Context, Event, Mill, Retry, Snooze, cron, current_job, every
from taskmill._cli.demo.measure import Span

mill = Mill()

# Memory of this process, which the threads of a worker share with whoever started it.
HEARD: list[Heard] = []
RAN: list[str] = []
TICKS: Counter[str] = Counter()
GATES: dict[str, threading.Event] = {}
ARRIVED: list[str] = []
MEETING = threading.Barrier(5)

SYNC, HELD = "demo:sync", "demo:held"
HEART, HEARTBEAT, MINUTELY = "heart", "demo:heartbeat", "demo:minutely"
BEAT = 2


class Heard(NamedTuple):
    """An event, and the thread in which it was heard."""

    thread: str
    event: Event


@mill.on
def hear(event: Event) -> None:
    """Note every lifecycle event of this process."""
    HEARD.append(Heard(threading.current_thread().name, event))


@mill.task(name="demo:add")
def add(a: int, b: int) -> int:
    """Return the sum."""
    return a + b


@mill.task(name="demo:note")
def note(name: str) -> None:
    """Note that it ran, in memory."""
    RAN.append(name)


@mill.task(name="demo:parse", retries=1, retry_delay=0.1, backoff=1, jitter=0)
def parse(text: str, *, base: int = 10) -> int:
    """Fail where *text* is no number."""
    return int(text, base)


@mill.task(name="demo:patient")
def patient(seconds: float) -> str:
    """Ask to be run later, once."""
    if current_job().fence == 1:
        raise Snooze(delay=seconds)
    return "rested"


@mill.task(name="demo:flaky", retries=3, retry_delay=0.3, backoff=1, jitter=0)
def flaky(failures: int) -> str:
    """Fail so many times before it succeeds."""
    if current_job().attempt <= failures:
        raise ConnectionError(f"no answer on attempt {current_job().attempt}")
    return "OK"


@mill.task(name="demo:hopeless", retries=1, retry_delay=0.1)
def hopeless(url: str) -> None:
    """Fail always."""
    raise TimeoutError(f"{url} does not answer")


@mill.task(name="demo:poison", executor="process")
def poison() -> None:
    """Take the process down in which it runs, as a fault in C code does."""
    os.abort()


@mill.task(name="demo:estimate_pi", retries=1)
def estimate_pi(context: Context, samples: int) -> dict[str, Any]:
    """Estimate pi, on the second attempt only."""
    if context.attempt == 1:
        raise Retry("once more", delay=0)
    points = [(random.random(), random.random()) for _ in range(samples)]  # noqa: S311  (no secret)
    inside = sum(x * x + y * y <= 1 for x, y in points)
    return {"job_id": context.id, "attempt": context.attempt, "pi": 4 * inside / samples}


def _sync() -> Span:
    began_at = time.monotonic()
    time.sleep(0.1)
    return Span(began_at, time.monotonic(), os.getpid())


@mill.lock(SYNC)
@mill.task(name="demo:sync_above")
def sync_above() -> Span:
    """Run under the lock, which decorates the task."""
    return _sync()


@mill.task(name="demo:sync_below")
@mill.lock(SYNC)
def sync_below() -> Span:
    """Run under the lock, which decorates the function."""
    return _sync()


@mill.task(name="demo:sync_option", lock=SYNC)
def sync_option() -> Span:
    """Run under the lock, which is an option of the task."""
    return _sync()


@mill.task(name="demo:sync_inside")
def sync_inside() -> Span:
    """Take the lock inside, for a part of the work."""
    with mill.lock(SYNC):
        return _sync()


@mill.task(name="demo:moment")
def moment() -> datetime:
    """Return when it ran."""
    return datetime.now(UTC)


@mill.task(name="demo:fetch_number")
def fetch_number(seed: int) -> int:
    """Begin a pipeline."""
    return random.Random(seed).randint(1, 100)  # noqa: S311  (no secret)


@mill.task(name="demo:scale")
def scale(number: int, factor: int) -> int:
    """Go on with the number."""
    return number * factor


@mill.task(name="demo:divide")
def divide(number: int, divisor: int) -> float:
    """Go on with the number, if it can be divided."""
    return number / divisor


@mill.task(name="demo:store")
def store(value: float) -> dict[str, Any]:
    """End a pipeline."""
    return {"value": value, "stored_at": datetime.now(UTC)}


@mill.task(name="demo:spawn")
def spawn(a: int, b: int) -> str:
    """Enqueue another job; return its id."""
    return add.enqueue(a, b).id


@mill.task(name="demo:wait_at")
def wait_at(gate: str) -> Span:
    """Wait until this process opens the gate."""
    began_at = time.monotonic()
    ARRIVED.append(gate)
    GATES.setdefault(gate, threading.Event()).wait(60)
    return Span(began_at, time.monotonic(), os.getpid())


@mill.task(name="demo:tick")
def tick() -> str:
    """Count in memory; return the name of the thread."""
    TICKS[threading.current_thread().name] += 1
    return threading.current_thread().name


@mill.task(name="demo:meet")
def meet() -> str:
    """Wait in this thread until four jobs and the caller have come together in memory."""
    MEETING.wait(timeout=30)
    return threading.current_thread().name


@mill.task(name="demo:fetch_page")
async def fetch_page(number: int) -> Span:
    """Wait for something, without a thread."""
    began_at = time.monotonic()
    await asyncio.sleep(0.3)
    return Span(began_at, time.monotonic(), number)


@mill.task(name="demo:fetch_slowly", timeout=0.2)
async def fetch_slowly() -> None:
    """Take longer than allowed."""
    await asyncio.sleep(30)


def open_gate(gate: str) -> None:
    """Let the jobs go on that wait, or will wait, at the gate."""
    GATES.setdefault(gate, threading.Event()).set()


def heart(url: str) -> Mill:
    """A Mill of its own for the periodic tasks, so that they do not run in the other steps."""
    heart = Mill(url)

    @heart.periodic(every(seconds=BEAT), name=HEARTBEAT, queue=HEART)
    def heartbeat() -> int:
        return os.getpid()

    @heart.periodic(cron("* * * * *"), name=MINUTELY, queue=HEART)
    def minutely() -> int:
        return os.getpid()

    return heart
