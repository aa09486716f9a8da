"""Functions without annotations: nothing that is right may be an error."""

# ruff: noqa: ANN001, ANN201
# mypy: allow-untyped-defs, allow-untyped-calls
# pyright: basic, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from taskmill import Mill, current_job

mill = Mill("memory://")


@mill.task
def add(a, b):
    return a + b


@mill.task(retries=3)
def fetch(url, limit=10):
    return [url] * limit


@mill.task
async def download(url):
    return current_job().id + url


def plainly() -> None:
    total = add(2, 3) + add.enqueue(2, 3).get()
    urls = fetch("a", limit=3)[0], fetch.enqueue("a", limit=3).get()[0]
    (download.s("a") | add.s(b=total)).enqueue()
    fetch.using(delay=3).enqueue(urls)


async def in_a_coroutine() -> None:
    await download("a")
    await download.enqueue("a")
    await fetch.aenqueue(url="a")
