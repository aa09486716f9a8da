"""The application under load: tasks of every kind, which write what they did into one file."""

from __future__ import annotations

import asyncio
import os
import time

from soak import LEASE
from taskmill import Context, Event, Mill, every

KEPT = 5.0
"""Seconds that a job is kept after it ended."""

mill = Mill(os.environ["SOAK_URL"], lease=LEASE)
# A single write with O_APPEND is not torn, and survives SIGKILL.
_notes = os.open("notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def note(what: str, job_id: str) -> None:
    os.write(_notes, f"{what} {job_id}\n".encode())


@mill.on("succeeded", "failed", "cancelled")
def tell(event: Event) -> None:
    note("ended", event.job_id)


@mill.task(result_ttl=KEPT)
def nothing(context: Context) -> None:
    note("did", context.id)


# Of one that is not kept, nothing tells an enqueue that is repeated, because a server died before it answered.
@mill.task(result_ttl=KEPT if mill.app.storage.is_remote else 0)
def unkept(context: Context) -> None:
    note("did", context.id)


@mill.task(result_ttl=KEPT)
def nap(context: Context, seconds: float) -> None:
    time.sleep(seconds)
    note("did", context.id)


@mill.task(result_ttl=KEPT)
async def rest(context: Context, seconds: float) -> None:
    await asyncio.sleep(seconds)
    note("did", context.id)


@mill.task(result_ttl=KEPT, retries=2, retry_delay=0.2)
def flaky(context: Context) -> None:
    if context.attempt == 1:
        raise OSError("the first attempt always fails")
    note("did", context.id)


@mill.task(result_ttl=KEPT, queue="hopeless")
def hopeless(context: Context) -> None:
    note("did", context.id)
    raise ValueError("it always fails")


@mill.task(result_ttl=KEPT, lock="serial")
def serial(context: Context) -> None:
    time.sleep(0.002)
    note("did", context.id)


# While the store is away, for whatever reason, this task waits for it as any caller does.
@mill.task(result_ttl=KEPT, retries=5, retry_delay=0.5)
def guarded(context: Context) -> None:
    with mill.lock("guarded"):
        note("did", context.id)


@mill.task(result_ttl=KEPT)
def first(context: Context, number: int) -> int:
    note("did", context.id)
    return number + 1


@mill.task(result_ttl=KEPT)
def second(context: Context, number: int) -> int:
    note("did", context.id)
    return number + 1


@mill.task(result_ttl=KEPT)
def bulky(context: Context, data: bytes) -> bytes:
    note("did", context.id)
    return data


@mill.task(result_ttl=KEPT, executor="process", timeout=30)
def compute(context: Context) -> int:
    total = sum(range(20_000))
    note("did", context.id)
    return total


@mill.periodic(every(1), result_ttl=KEPT)
def tick(context: Context) -> None:
    note("ticked", context.id)
