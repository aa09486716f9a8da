"""From a URL to a store."""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING, Literal

from taskmill._core.wording import nearest
from taskmill._storage.urls import check_options, has_ports, shown
from taskmill.errors import ConfigurationError, InvalidURL

if TYPE_CHECKING:
    from taskmill._storage.base import Storage
    from taskmill._storage.clock import Clock

_SCHEMES = ("sqlite", "postgresql", "redis", "rediss", "valkey", "memory")
_OPTIONS = ("durability", "timeout")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*", re.IGNORECASE)

DEFAULT_TIMEOUT = 5.0


def open_storage(url: str, *, clock: Clock | None = None) -> Storage:
    """The store at *url*; nothing is opened or made before its first operation.

    - ``sqlite:///jobs.db`` is a file in the current folder, ``sqlite:////var/lib/jobs.db`` one anywhere;
      options: ``?durability=full`` (default; or ``normal``: a power cut may take the last moments) and
      ``&timeout=5`` (seconds to wait for another process that writes).
    - ``memory://`` lives in this process and ends with it.
    - ``postgresql://user@host/database`` is a schema of its own in that database; options, besides those of libpq:
      ``?timeout=5`` (seconds to go on trying while the server is away), ``&connections=10`` (the most that a process
      opens), ``&listen=host:port`` (for notifications, where a pooler stands before the server).
    - ``redis://user:password@host:6379/0`` is a Redis or Valkey server (``valkey://`` says the same), ``rediss://`` one
      by TLS; options: ``?name=taskmill`` (several mills can lie in one server, each under a name), ``&timeout=5``
      (seconds within which a call returns or raises StoreUnavailable), ``&ca_certs=/path`` (whom to trust, for TLS).

    Raises:
        InvalidURL: anything else.
        ConfigurationError: psycopg is not installed, which a store in PostgreSQL needs, or redis-py for one in Redis.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        raise _invalid(url, "it begins with no scheme and '://'")
    place, _, query = rest.partition("?")
    match scheme.lower():
        case "sqlite":
            return _sqlite(url, place, query, clock)
        case "memory":
            return _memory(url, rest, clock)
        case "redis" | "rediss" | "valkey" | "valkeys":
            _check_authority(url, rest)
            return _redis(url, clock)
        case "postgresql" | "postgres":
            _check_authority(url, rest)
            return _postgres(url, clock)
        case unknown:
            hint = nearest(unknown, _SCHEMES)
            raise _invalid(url, f"there is no store {unknown!r}{hint}, only {', '.join(_SCHEMES)}")


def _check_authority(url: str, rest: str) -> None:
    """Refuse what a password that is not encoded takes apart: pieces of it would be told as host or port."""
    before, _, fragment = rest.partition("#")
    place, _, query = before.partition("?")
    authority, _, path = place.partition("/")
    port = authority.rpartition(":")[2] if ":" in authority and not authority.endswith("]") else "0"
    # What stands behind a port may have an @ only as the value of an option.
    names = [option.partition("=")[0] for option in query.split("&")]
    is_odd = not port.isdigit() or any("@" in piece for piece in (path, fragment, *names))
    is_cut_short = "@" in rest and "@" not in authority and is_odd
    if is_cut_short or authority.count("@") > 1:
        raise _invalid(url, "in the user and the password, @ / ? # are written as %40 %2F %3F %23")
    if not has_ports(authority):
        raise _invalid(
            url,
            "behind the colon of a host stands its port, a number up to 65535; user and password come before it, as "
            "user:password@host",
        )


def is_shared(url: str) -> bool:
    """Whether other processes can reach the store at *url*."""
    return not url.lower().startswith("memory:")


def _memory(url: str, rest: str, clock: Clock | None) -> Storage:
    if rest:
        raise _invalid(url, "nothing follows 'memory://'")
    from taskmill._storage.memory.storage import MemoryStorage  # noqa: PLC0415  (only the adapter in use is loaded)

    return MemoryStorage(clock)


def _sqlite(url: str, place: str, query: str, clock: Clock | None) -> Storage:
    path = _path(url, place)
    given = _given(url, query)
    durability, timeout = _durability(url, given), _timeout(url, given)
    from taskmill._storage.sqlite.storage import SqliteStorage  # noqa: PLC0415  (only the adapter in use is loaded)

    return SqliteStorage(path, durability=durability, timeout=timeout, clock=clock)


def _postgres(url: str, clock: Clock | None) -> Storage:
    try:
        import psycopg  # noqa: F401, PLC0415  (only the adapter in use is loaded)
    except ImportError as error:
        raise ConfigurationError(
            "a store in PostgreSQL needs psycopg: pip install 'taskmill[postgres]' (" + str(error) + ")"
        ) from error
    from taskmill._storage.postgres.address import address  # noqa: PLC0415
    from taskmill._storage.postgres.storage import PostgresStorage  # noqa: PLC0415

    return PostgresStorage(address(url, shown(url)), clock=clock)


def _redis(url: str, clock: Clock | None) -> Storage:
    try:
        import redis  # noqa: F401, PLC0415  (only the adapter in use is loaded)
    except ImportError as error:
        raise ConfigurationError(
            "a store in Redis or Valkey needs redis-py: pip install 'taskmill[redis]' (" + str(error) + ")"
        ) from error
    from taskmill._storage.redis.address import address  # noqa: PLC0415
    from taskmill._storage.redis.storage import RedisStorage  # noqa: PLC0415

    return RedisStorage(address(url, shown(url)), url, clock=clock)


def _unquoted(text: str) -> str:
    if "%" not in text:
        return text
    from urllib.parse import unquote  # noqa: PLC0415  (4 ms of the import, and seldom needed)

    return unquote(text)


def _path(url: str, place: str) -> str:
    path = _unquoted(place.removeprefix("/"))
    if not place.startswith("/"):
        raise _invalid(url, "the path of a file begins after the third slash, 'sqlite:///jobs.db'")
    if path == ":memory:":
        raise _invalid(url, "a store in memory is 'memory://'")
    if not path or path.endswith("/"):
        raise _invalid(url, "it names no file")
    if not _is_name(path):
        raise _invalid(url, "no file can have such a name")
    return path


def _is_name(path: str) -> bool:
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _given(url: str, query: str) -> dict[str, str]:
    check_options(shown(url), query, _OPTIONS, " and ".join(_OPTIONS))
    options = (item.partition("=") for item in filter(None, query.split("&")))
    return {name: _unquoted(value) for name, _, value in options}


def _durability(url: str, given: dict[str, str]) -> Literal["full", "normal"]:
    match given.get("durability", "full"):
        case "full":
            return "full"
        case "normal":
            return "normal"
        case other:
            raise _invalid(url, f"durability={other} is neither full nor normal")


def _timeout(url: str, given: dict[str, str]) -> float:
    try:
        timeout = float(given.get("timeout", DEFAULT_TIMEOUT))
    except ValueError:
        timeout = math.nan
    if not 0 <= timeout < math.inf:
        raise _invalid(url, f"timeout={given['timeout']} is no number of seconds")
    return timeout


def _invalid(url: str, problem: str) -> InvalidURL:
    return InvalidURL(shown(url), problem)
