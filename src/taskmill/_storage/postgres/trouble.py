"""What PostgreSQL's errors mean: some pass by trying again, the others are told in taskmill's words."""

from __future__ import annotations

import psycopg
from psycopg import errors

from taskmill.errors import NotAStore, StoreBusy, StoreError, StoreRefused, StoreUnavailable

# What a statement raises: the server's and the driver's own errors, and Python's for texts that are no Unicode.
FAILURES = (psycopg.Error, UnicodeError)

_COLLISIONS = (errors.DeadlockDetected, errors.SerializationFailure)
_MISSING = (errors.InvalidSchemaName, errors.UndefinedTable, errors.UndefinedFunction, errors.UndefinedColumn)
_WAITED_IN_VAIN = (errors.LockNotAvailable, errors.QueryCanceled)

_FEWER = (
    "start fewer processes, or give each fewer connections (connections=2 in the URL), or the server more"
)
# libpq has no codes for what keeps it from connecting. The first that fits is given.
_ADVICE = {
    "does not support SSL": "write sslmode=prefer or sslmode=disable in the URL, or set `ssl = on` in the server",
    "root certificate file": "name whom to trust in the URL: sslrootcert=/path, or sslrootcert=system",
    "certificate verify failed": "name whom to trust in the URL: sslrootcert=/path, of who signed that of the server",
    "does not match host name": "name the server in the URL as its certificate does, or write sslmode=verify-ca",
    "valid client certificate": "name your certificate and its key in the URL: sslcert=/path&sslkey=/path",
    "no encryption": "its pg_hba.conf lets this user in from here by TLS only, or not at all: write sslmode=require in "
    "the URL, or add a line there",
    "SSL encryption": "its pg_hba.conf lets this user in from here without TLS only, or not at all: write "
    "sslmode=disable in the URL, or add a line there",
    "authentication failed": "check the user and the password in the URL, where @ is written as %40, and / as %2F",
    "no password supplied": "write it in the URL, user:password@host, or in ~/.pgpass or PGPASSWORD",
    "too many clients": _FEWER,
    "too many connections": _FEWER,
    "connection slots": _FEWER,
    "statement timeout": "let this user take longer: `alter role ... set statement_timeout = 0`",
    "does not exist": "create it, or name another one in the URL",
    "connection is closed": "check that the server runs, and that a connection you gave is open",
}
_OTHER_ADVICE = "check the URL, and that the server runs"
_QUESTION = "Is the server running on that host and accepting TCP/IP connections?"


class AlreadyStored(StoreRefused):
    """A unique index says that it is there."""


def is_collision(error: BaseException) -> bool:
    """Whether two got in each other's way, so that this one did nothing and may try again at once."""
    return isinstance(error, _COLLISIONS)


def is_loss(error: BaseException) -> bool:
    """Whether the connection is gone, or the server is: what was asked may have been done, or not."""
    return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)) and not isinstance(
        error, (*_COLLISIONS, *_WAITED_IN_VAIN, errors.DiskFull, errors.OutOfMemory)
    )


def is_incomplete(error: BaseException) -> bool:
    """Whether a part of the schema is not there."""
    return isinstance(error, _MISSING)


def translate(error: BaseException, where: str, waited: float) -> StoreError:
    """The StoreError that says what *error* means for the caller."""
    told = _told(error)
    match error:
        case errors.LockNotAvailable() | errors.DeadlockDetected() | errors.SerializationFailure():
            return StoreBusy(where, waited, "other transactions")
        case errors.DiskFull():
            return StoreUnavailable(f"the disk of {where} is full: make room, then try again")
        case errors.ReadOnlySqlTransaction():
            return StoreUnavailable(
                f"{where} is read-only, as a standby is: use the URL of the primary; or let this user write, "
                "`alter role ... set default_transaction_read_only = off`"
            )
        case errors.InsufficientPrivilege():
            return StoreUnavailable(
                f"{where} does not allow it ({told}): grant the user the role that owns the schema taskmill or, where "
                "there is none yet, create on the database"
            )
        case _ if is_incomplete(error):
            return NotAStore(
                f"{where} has no whole schema of taskmill ({told}): restore it from a backup; where all of it was "
                "dropped on purpose, the next program that is started makes a new one"
            )
        case errors.DataCorrupted() | errors.IndexCorrupted():
            return NotAStore(f"{where} is damaged ({told}): restore it from a backup")
        case psycopg.OperationalError() | psycopg.InterfaceError() | psycopg.InternalError():
            advice = next((advice for said, advice in _ADVICE.items() if said in told), _OTHER_ADVICE)
            return StoreUnavailable(f"{where} cannot be used: {told}; {advice}")
        case errors.UniqueViolation():
            return AlreadyStored(f"{where} has this already: {told}")
        case psycopg.DataError() | psycopg.IntegrityError() | UnicodeError():
            return StoreRefused(f"{where} cannot hold this value: {told}")
        case _:
            return StoreUnavailable(f"{where}: {told}")


def _told(error: BaseException) -> str:
    """The server's message, without the statement that it was about; libpq's, without what it asks the reader."""
    message = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return " ".join((message or str(error)).replace(_QUESTION, "").split())
