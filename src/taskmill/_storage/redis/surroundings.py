"""What is to be said of the server itself: whether it keeps what it is given, and has room for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from taskmill._core.finding import Finding, note, warning
from taskmill._core.wording import sized
from taskmill._storage.redis.link import Link
from taskmill._storage.redis.opening import Manner, check_schema, info_of, losses, manner_of, refusal
from taskmill.errors import StoreUnavailable

_MOST_FULL = 0.8


def findings(link: Link) -> Iterator[Finding]:
    """About the server; StoreUnavailable where there is no store in it, and could be one."""
    manner, used, schema = link.look_at(_seen)
    refused = refusal(manner)
    if refused is not None:
        yield refused._replace(found=f"the server {refused.found}; taskmill does not use it")
    yield from _of_manner(manner)
    yield from _of_memory(manner, used)
    if schema is None and refused is None:
        raise StoreUnavailable(f"there is no store named {link.address.name!r} at {link.address}")
    check_schema(link.address, schema)


def _seen(connection: Any, base: str) -> tuple[Manner, int, bytes | None]:
    manner = manner_of(connection)
    used = int(info_of(connection, "memory").get("used_memory", 0))
    connection.send_command("GET", f"{base}schema")
    return manner, used, connection.read_response()


def _of_manner(manner: Manner) -> Iterator[Finding]:
    if manner.appendonly is None:
        yield note(
            "persistence-unknown",
            "the server does not tell whether it keeps jobs when it stops (CONFIG is not allowed)",
            "ask who runs it: appendonly yes, and appendfsync always or everysec",
        )
    for told in losses(manner):
        found, _, advice = told.partition("; ")
        yield warning("persistence", found, advice)


def _of_memory(manner: Manner, used: int) -> Iterator[Finding]:
    if manner.memory_limit and used > _MOST_FULL * manner.memory_limit:
        yield warning(
            "memory",
            f"{sized(used)} of the {sized(manner.memory_limit)} of the server's memory are in use; "
            "when it is full, no job can be enqueued",
            "raise maxmemory, shorten result_ttl, or remove ended jobs with `taskmill purge --ended`",
        )
