"""What type checkers say of tasks; an ignore that silences nothing is an error of its own."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import Any, assert_type

from taskmill import Context, Mill, Pipeline, Result, Signature, State, cron, current_job, every

mill = Mill("memory://")


@mill.task
def add(a: int, b: int) -> int:
    return a + b


@mill.task(retries=3, retry_delay=1.0, queue="mail", retry_on=(OSError, TimeoutError))
def fetch(url: str, *, limit: int = 10) -> list[str]:
    return [url] * limit


@mill.task
async def download(url: str) -> bytes:
    return url.encode()


@mill.task
def resize(context: Context, path: str) -> bool:
    return context.id in path


@mill.task(timeout=5)
async def crawl(context: Context, url: str) -> str:
    return context.id + url


@mill.task(executor="process", soft_timeout=timedelta(seconds=50), timeout=60)
def render(context: Context, path: str) -> int:
    return len(context.id + path)


@mill.task
def load(path: str) -> Any:
    return path


@mill.task
def load_with(context: Context, path: str) -> Any:
    return context.id + path


@mill.task
def store(value: object, table: str = "all") -> str:
    return f"{value} in {table}"


@mill.task
async def send(value: Any) -> str:
    return f"{value}"


@mill.periodic(cron("*/5 * * * *"))
def sync() -> None:
    return None


@mill.task
@mill.lock("daily")
def locked(day: str) -> str:
    return day


@mill.lock("daily")
@mill.task
def locked_too(day: str) -> str:
    return day


nightly = mill.periodic(every(15), name="nightly")(sync)


def calling() -> None:
    assert_type(add(2, 3), int)
    assert_type(resize("a.png"), bool)
    assert_type(load("a.json"), Any)
    add(2, "3")  # type: ignore[arg-type]


def enqueueing() -> None:
    assert_type(add.enqueue(2, 3), Result[int])
    assert_type(fetch.enqueue("https://example.org", limit=3), Result[list[str]])
    assert_type(resize.enqueue("a.png"), Result[bool])
    assert_type(download.enqueue("a"), Result[bytes])
    assert_type(crawl.enqueue("a"), Result[str])
    assert_type(render.enqueue("a.svg"), Result[int])
    assert_type(store.enqueue({"a": 1}, table="b"), Result[str])
    assert_type(sync.enqueue(), Result[None])
    assert_type(nightly.enqueue(), Result[None])
    assert_type(locked.enqueue("monday"), Result[str])
    assert_type(locked_too.enqueue("monday"), Result[str])

    add.enqueue(2, "3")  # type: ignore[arg-type]
    add.enqueue(2)  # type: ignore[call-arg]
    add.enqueue(2, 3, 4)  # type: ignore[call-arg]
    fetch.enqueue("https://example.org", limits=3)  # type: ignore[call-arg]
    resize.enqueue(3)  # type: ignore[arg-type]
    crawl.enqueue("a", "b")  # type: ignore[call-arg]
    sync.enqueue(1)  # type: ignore[call-arg]
    locked.enqueue(1)  # type: ignore[arg-type]


def enqueueing_what_is_not_annotated() -> None:
    """Mypy knows nothing of a task with Any in its signature; at least nothing right is an error."""
    load.enqueue("a.json").get()
    load_with.enqueue("a.json").get()
    send.enqueue(1).get()


def options() -> None:
    assert_type(add.using(delay=30, priority=90, queue="slow", key="daily").enqueue(2, 3), Result[int])
    assert_type(add.using(tags=["a"]).using(expires=60).s(2, 3), Signature[int])
    assert_type(add.map([1, 2]), list[Result[int]])

    assert_type(add.using(connection=sqlite3.connect("jobs.db")).enqueue(2, 3), Result[int])
    add.using(priority=5).enqueue(2, "3")  # type: ignore[arg-type]
    add.using(priorities=5)  # type: ignore[call-arg]
    add.using(delay="5")  # type: ignore[arg-type]
    mill.task(retry=5)  # type: ignore[call-overload]
    mill.task(executor="proces")  # type: ignore[call-overload]
    mill.task(soft_timeout="5")  # type: ignore[call-overload]


def together() -> None:
    assert_type(mill.enqueue_many([add.s(1, 2), add.s(3, 4)]), list[Result[int]])
    assert_type(mill.enqueue_many(add.s(n, n) for n in range(3)), list[Result[int]])
    assert_type(fetch.s("a") | add.s(2), Pipeline[int])
    assert_type(fetch.s("a") | add.s(2) | resize.s(), Pipeline[bool])
    assert_type(fetch.s("a").then(add, 2).then(download), Pipeline[bytes])
    assert_type((fetch.s("a") | add.s(2)).enqueue().get(), int)


def results() -> None:
    assert_type(add.enqueue(2, 3).get(timeout=5), int)
    assert_type(sync.enqueue().get(), None)
    assert_type(add.enqueue(2, 3).state, State)
    assert_type(add.enqueue(2, 3).cancel(), bool)
    assert_type(mill.result("0193"), Result[Any])
    assert_type(current_job(), Context)
    any_result(add.enqueue(2, 3))


def any_result(result: Result[object]) -> None:
    assert_type(result.get(), object)


async def in_a_coroutine() -> None:
    assert_type(await download("a"), bytes)
    assert_type(await crawl("a"), str)
    assert_type(await crawl.enqueue("a"), str)
    assert_type(await download.aenqueue("a"), Result[bytes])
    assert_type(await (await add.aenqueue(2, 3)), int)
    assert_type(await mill.aenqueue_many([add.s(1, 2)]), list[Result[int]])
    await add.aenqueue(2, "3")  # type: ignore[arg-type]
