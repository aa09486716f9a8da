"""Where the jobs of a run are kept: in a file, or by a server, which is killed now and then as well."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import psycopg
from redis import Redis

from tests import servers

MB = 1e6


@dataclass(frozen=True, slots=True)
class Place:
    """*sessions*: the folder with a file for each session; *sizes*: what is stored, in MB, by what it is."""

    url: str
    sessions: Path
    sizes: Callable[[], Mapping[str, float]]
    server: servers.Server | None = None


@contextmanager
def sqlite(folder: Path) -> Iterator[Place]:
    file = folder / "jobs.db"

    def sizes() -> Mapping[str, float]:
        log = file.with_name("jobs.db-wal")
        return {"database": file.stat().st_size / MB, "write-ahead log": log.stat().st_size / MB}

    yield Place(f"sqlite:///{file}", file.with_name("jobs.db-sessions"), sizes)


@contextmanager
def postgresql(folder: Path) -> Iterator[Place]:
    # With each crash it forgets what there is to be vacuumed, and by itself it looks for that once a minute only.
    with servers.postgres(autovacuum_naptime="5s") as server:
        url = f"{server.url}/postgres"

        def sizes() -> Mapping[str, float]:
            with psycopg.connect(url) as connection:
                found = connection.execute("select pg_database_size(current_database())").fetchone()
            return {"database": found[0] / MB} if found else {}

        yield Place(url, _of_the_host(folder), sizes, server)


@contextmanager
def redis(folder: Path, kind: Literal["redis", "valkey"]) -> Iterator[Place]:
    with servers.redis(kind, appendonly="yes", appendfsync="always") as server:

        def sizes() -> Mapping[str, float]:
            with Redis.from_url(server.url) as client:
                return {"memory": client.info("memory")["used_memory"] / MB}

        yield Place(server.url, _of_the_host(folder), sizes, server)


def _of_the_host(folder: Path) -> Path:
    """Where the processes of a run, whose temporary folder is theirs, put what only their host can use."""
    return folder / f"taskmill-slots-{os.getuid()}"


PLACES: Mapping[str, Callable[[Path], AbstractContextManager[Place]]] = {
    "sqlite": sqlite,
    "postgresql": postgresql,
    "redis": partial(redis, kind="redis"),
    "valkey": partial(redis, kind="valkey"),
}
