"""What a server must be like to hold jobs; looked at once by each process, and its mark by each connection."""

from __future__ import annotations

import logging
import threading
from typing import Any, NamedTuple

from redis import exceptions

from taskmill._core.finding import Finding, error
from taskmill._storage.redis.address import Address
from taskmill.errors import NotAStore, SchemaTooNew, UnsafeServer

logger = logging.getLogger("taskmill.storage")

SCHEMA = 1
_OLDEST = (7, 0)
_ADVICE = "set appendonly yes and appendfsync always"


class Manner(NamedTuple):
    """How the server keeps what it is given; None: it does not tell."""

    version: tuple[int, ...] | None
    appendonly: str | None
    appendfsync: str | None
    save: str | None
    policy: str | None
    memory_limit: int | None


class Opening:
    """The looks at one server by one process."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._mutex = threading.Lock()
        self._has_looked = False

    def check(self, connection: Any) -> None:
        """Look at the server behind a new *connection*, and mark the store as one of this schema if it is new.

        UnsafeServer, SchemaTooNew, NotAStore; the errors of redis-py.
        """
        if getattr(connection, "is_checked", False):
            return
        with self._mutex:
            if not self._has_looked:
                self._judge(manner_of(connection))
                self._has_looked = True
        self.mark(connection)
        connection.is_checked = True

    def mark(self, connection: Any) -> None:
        """Mark the store as one of this schema if it is new; SchemaTooNew, NotAStore if it is one of another."""
        key = f"{self._address.base}schema"
        connection.send_command("GET", key)
        found = connection.read_response()
        if found is None:
            # Only then: a full server takes nothing.
            connection.send_command("SET", key, SCHEMA, "NX", "GET")
            found = connection.read_response()
        check_schema(self._address, found)

    def _judge(self, manner: Manner) -> None:
        refused = refusal(manner)
        if refused is not None:
            raise UnsafeServer(f"the server at {self._address} {refused.found}: {refused.advice}")
        for told in losses(manner):
            logger.warning("the Redis server at %s: %s", self._address, told)


def refusal(manner: Manner) -> Finding | None:
    """Why such a server is not used, of which the finding's text speaks as "it"; None if it is."""
    if manner.version is not None and manner.version < _OLDEST:
        told = ".".join(map(str, manner.version))
        return error("server-version", f"is Redis {told}", "use Redis 7 or later, or Valkey")
    if (manner.policy or "").startswith("allkeys"):
        return error(
            "eviction",
            f"throws keys away when its memory is full (maxmemory-policy {manner.policy}), jobs as well",
            "set maxmemory-policy to noeviction, or use another server",
        )
    return None


def check_schema(address: Address, found: bytes | None) -> None:
    """Raise where the mark of a store is not what this taskmill can use."""
    if found is None:
        return
    if not found.isdigit():
        raise NotAStore(
            f"{address.base}schema at {address} is {found!r}, which no taskmill wrote: use ?name=..."
        )
    if int(found) > SCHEMA:
        raise SchemaTooNew(str(address), int(found), SCHEMA)


def losses(manner: Manner) -> list[str]:
    """What may be lost that was acknowledged, one sentence each."""
    if manner.appendonly is None:
        return []
    if manner.appendonly != "yes":
        kept = "the last snapshot" if manner.save else "nothing"
        return [f"appendonly is off: when it stops, {kept} is left of all jobs; {_ADVICE}"]
    match manner.appendfsync:
        case "always":
            return []
        case "everysec":
            return [
                "appendfsync is everysec: a power cut takes the last second's jobs; set appendfsync always"
            ]
        case other:
            return [f"appendfsync is {other}: a power cut takes some 30 s of jobs; {_ADVICE}"]


def manner_of(connection: Any) -> Manner:
    """Ask the server; where it does not tell (many that are rented do not, nor all to every user), None."""
    version = info_of(connection, "server").get("redis_version")
    found: dict[str, str] = {}
    for pattern in ("append*", "save", "maxmemory*"):
        reply = [each.decode() for each in _told(connection, "CONFIG", "GET", pattern) or ()]
        found.update(zip(reply[::2], reply[1::2], strict=True))
    limit = found.get("maxmemory")
    return Manner(
        version=None if version is None else tuple(int(part) for part in version.split(".")[:3]),
        appendonly=found.get("appendonly"),
        appendfsync=found.get("appendfsync"),
        save=found.get("save"),
        policy=found.get("maxmemory-policy"),
        memory_limit=None if limit is None else int(limit),
    )


def info_of(connection: Any, section: str) -> dict[str, str]:
    """What the server tells of itself under that head; nothing where this user may not ask."""
    text = _told(connection, "INFO", section) or b""
    return dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)


def _told(connection: Any, *command: str) -> Any:
    connection.send_command(*command)
    try:
        return connection.read_response()
    except exceptions.ResponseError:
        return None
