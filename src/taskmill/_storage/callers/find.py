"""From what ``using(connection=...)`` was given to what stores can use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from taskmill._storage.callers.base import AsyncCaller, Caller
from taskmill._storage.callers.drivers import AsyncPsycopgDriver, PsycopgDriver, SqliteDriver
from taskmill.errors import CannotJoin

T = TypeVar("T")

_LIBRARIES = ("sqlite3", "psycopg", "sqlalchemy", "django")


def caller_of(connection: Any) -> Caller:
    """What *connection* is to stores; CannotJoin if it is none, or if its statements have to be awaited."""
    match _library(connection):
        case "sqlite3" if hasattr(connection, "in_transaction"):
            return SqliteDriver(connection)
        case "psycopg" if hasattr(connection, "pgconn") and not _is_awaited(connection):
            return PsycopgDriver(connection)
        case "sqlalchemy" if not _is_awaited(connection):
            from taskmill._storage.callers.sqlalchemy import SqlalchemyCaller  # noqa: PLC0415  (they have it)

            return SqlalchemyCaller(connection)
        case "django" if hasattr(connection, "ensure_connection"):
            from taskmill._storage.callers.django import DjangoCaller  # noqa: PLC0415  (as above)

            return DjangoCaller(connection)
        case _ if _is_awaited(connection):
            raise CannotJoin(f"what connection={connection!r} executes has to be awaited: use aenqueue()")
        case _:
            raise CannotJoin(
                f"connection={connection!r} is none that jobs can be enqueued through: give a connection of sqlite3 or "
                "psycopg, a Session, AsyncSession or Connection of SQLAlchemy, or django.db.connection"
            )


def async_caller_of(connection: Any) -> AsyncCaller | None:
    """The same of a driver's connection whose statements are awaited; None where it is none."""
    is_awaited = _library(connection) == "psycopg" and _is_awaited(connection)
    return AsyncPsycopgDriver(connection) if is_awaited else None


async def within(connection: Any, work: Callable[[Caller], T]) -> T:
    """Run *work* with *connection*, here, as its library lets plain functions run in between what is awaited."""
    if _library(connection) == "sqlalchemy" and _is_awaited(connection):
        done: T = await connection.run_sync(lambda inner: work(caller_of(inner)))
        return done
    return work(caller_of(connection))


def _library(connection: object) -> str | None:
    """Whose class it is, or that it is derived from; asked by name, so that nothing is imported for it."""
    names = (cls.__module__.partition(".")[0] for cls in type(connection).__mro__)
    return next((name for name in names if name in _LIBRARIES), None)


def _is_awaited(connection: object) -> bool:
    return hasattr(connection, "run_sync") or hasattr(type(connection), "__aenter__")
