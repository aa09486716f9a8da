"""What the exit status of a command says; in the help of `taskmill`."""

from __future__ import annotations

from taskmill.errors import ConfigurationError, SchemaTooNew, StoreError

OK = 0
FAILURE = 1
USAGE = 2
STORE_UNREACHABLE = 3
SCHEMA_UNUSABLE = 4
INTERRUPTED = 130
PIPE_CLOSED = 141

EXPLAINED = """\
exit status:
  0  done
  1  failed: it was refused, not found, or an error of the program; or, of
     doctor: something needs doing
  2  wrong usage, or the application cannot be imported
  3  the store cannot be reached
  4  the store's schema cannot be used by this taskmill
  130, 143  ended by Ctrl-C, by SIGTERM; a worker that stops gracefully: 0"""


def of(error: Exception) -> int:
    """The status that *error* ends a command with."""
    match error:
        case ConfigurationError():
            return USAGE
        case SchemaTooNew():
            return SCHEMA_UNUSABLE
        case StoreError():
            return STORE_UNREACHABLE
        case _:
            return FAILURE
