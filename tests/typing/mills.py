"""What type checkers say of a Mill beside its tasks."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import assert_type

from taskmill import Context, Event, Mill

mill = Mill("memory://", imports=["shop.tasks"], lease=timedelta(seconds=30))


@mill.on
def every_event(event: Event) -> None:
    assert_type(event.task, str)


@mill.on("succeeded", "failed")
def some_events(event: Event) -> int:
    return len(event.args)


@mill.wrap
def around(context: Context) -> Iterator[None]:
    assert_type(context.attempt, int)
    yield


@mill.wrap
@contextmanager
def also_around(context: Context) -> Generator[None]:
    yield


@mill.on_start
def start() -> None: ...


@mill.on_stop
def stop() -> None: ...


@mill.register
@dataclass
class Order:
    number: int


def refusals() -> None:
    mill.on("succeded")  # type: ignore[call-overload]
    mill.on(3)  # type: ignore[call-overload]
    mill.lock(3)  # type: ignore[arg-type]


def rest() -> None:
    assert_type([finding.advice for finding in mill.doctor(verify=True)], list[str])
    assert_type(mill.backup("copy.db", replace=True).jobs, int)
    assert_type(some_events(mill.events(10)[0]), int)
    assert_type(Order(3).number, int)
    assert_type(mill.url, str)
    with mill.lock("daily", timeout=3) as lock:
        assert_type(lock.token, int)
    with mill.worker(threads=2):
        pass


async def in_a_coroutine() -> None:
    async with mill.lock("daily") as lock:
        assert_type(lock.lost, bool)
