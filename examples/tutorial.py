"""A background-job system in one program and one SQLite file: ``python tutorial.py`` shows all of it in 12 seconds.

The same tasks run in a process of their own with ``taskmill worker tutorial:mill``.
"""
# ruff: noqa: D103 (each function is named for what it does)

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from taskmill import Context, Event, Mill, cron, every
from taskmill.errors import JobCancelled, JobFailed, ResultTimeout

mill = Mill("sqlite:///tutorial.db")
signals: list[Event] = []  # the worker's threads share the memory of this process


@mill.on  # or @mill.on("failed", "cancelled"), for some kinds only
def keep(event: Event) -> None:
    signals.append(event)


@mill.task(priority=50)
def quick_add(a: int, b: int) -> int:
    return a + b


@mill.task(priority=10)
def slow_io(seconds: float = 1.0) -> str:
    time.sleep(seconds)
    return f"slept {seconds:g} s"


@mill.task(retries=3, retry_delay=0.5, priority=100)
def flaky_network_call(context: Context, failures: int) -> str:
    if context.attempt <= failures:
        raise ConnectionError("transient failure (simulated)")
    return f"OK on attempt {context.attempt} of {context.max_attempts}"


@mill.task(priority=60)
def estimate_pi(context: Context, samples: int) -> dict[str, Any]:
    return {"job": context.id, "pi": 4 * sum((-1) ** n / (2 * n + 1) for n in range(samples))}


@mill.task(lock="daily-sync")  # or @mill.lock("daily-sync") above or below, or `with mill.lock(...)` inside
def sync(tag: str) -> str:
    begin = datetime.now(UTC)
    time.sleep(0.5)
    return f"{tag} {begin:%S.%f} to {datetime.now(UTC):%S.%f}"


@mill.task
def fetch_number(seed: int) -> int:
    return seed % 100


@mill.task
def transform_number(number: int, scale: int) -> int:
    return number * scale


@mill.task
async def store_number(number: int) -> dict[str, Any]:
    return {"stored": number, "at": datetime.now(UTC)}


@mill.periodic(every(seconds=2))
def heartbeat() -> None:
    print(f"  [heartbeat] {datetime.now(UTC):%H:%M:%S.%f}")


@mill.periodic(cron("* * * * *"))
def minutely() -> None:
    print(f"  [minutely] {datetime.now(UTC):%H:%M:%S.%f}")


def show_results() -> None:
    fast, slow = quick_add.enqueue(10, 32), slow_io.enqueue(0.5)
    print(f"quick_add: {fast.get(timeout=5)}")
    try:
        slow.get(timeout=0)
    except ResultTimeout as error:
        print(f"slow_io, not waited for: {error}")
    print(f"slow_io, waited for: {slow.get(timeout=5)}")
    print(f"estimate_pi: {estimate_pi.enqueue(100_000).get(timeout=10)}")


def show_retries() -> None:
    print(f"flaky_network_call: {flaky_network_call.enqueue(failures=2).get(timeout=10)}")
    broken = flaky_network_call.using(retries=1).enqueue(failures=99)
    try:
        broken.get(timeout=10)
    except JobFailed as error:
        print(f"failed for good: {error.error_type}, attempts before it: {len(broken.job().attempts)}")


def show_locks() -> None:
    for result in sync.map(["first", "second", "third"]):
        print(f"one at a time: {result.get(timeout=10)}")


def show_scheduling() -> None:
    soon = slow_io.using(delay=timedelta(seconds=1)).enqueue(0.1)
    revoked = slow_io.using(run_at=datetime.now(UTC) + timedelta(seconds=1)).enqueue(0.1)
    revoked.cancel()
    print(f"scheduled: {soon.get(timeout=10)}")
    try:
        revoked.get(timeout=0)
    except JobCancelled as error:
        print(f"revoked: {error}")


def show_pipeline() -> None:
    pipeline = (fetch_number.s(123) | transform_number.s(5) | store_number.s()).enqueue()
    print(f"pipeline: {pipeline.get(timeout=10)}")
    print(f"its steps: {[step.get(timeout=0) for step in pipeline.steps[:-1]]}")


def main() -> None:
    with mill.worker(threads=4):  # leaving the block stops it gracefully
        show_results()
        show_retries()
        show_locks()
        show_scheduling()
        show_pipeline()
        threading.Timer(0.5, quick_add.enqueue, (1, 2)).start()
        time.sleep(4)  # the heart beats, each 2 seconds
    print(f"signals heard: {dict(Counter(event.kind for event in signals))}")
    print("the latest events, read from the file:")
    for event in mill.events(limit=8):
        print(f"  {event.at:%H:%M:%S.%f} {event.kind:<9} {event.task}{event.args}")


if __name__ == "__main__":
    main()
