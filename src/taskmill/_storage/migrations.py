"""Versioned migrations: numbered .sql files of an adapter, applied in order.

A file says in its first line which taskmills may go on using what it makes of the store, ``-- usable from: 1``: those
that know at least the schema of that number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import NamedTuple

from taskmill.errors import SchemaTooNew

_USABLE_FROM = re.compile(r"-- usable from: (\d+)\n")


class Migration(NamedTuple):
    """The schema of that *number*, and the oldest one that a taskmill must know to use it."""

    number: int
    script: str
    usable_from: int


def migration(number: int, script: str) -> Migration:
    found = _USABLE_FROM.match(script)
    assert found is not None, f"migration {number} does not say which taskmills may use it"  # noqa: S101  (in every test)
    return Migration(number, script, int(found[1]))


def migrations_of(package: str) -> list[Migration]:
    """Those of an adapter, in order."""
    found = [entry for entry in files(package).iterdir() if entry.name.endswith(".sql")]
    return sorted(migration(int(entry.name[:4]), entry.read_text(encoding="utf-8")) for entry in found)


def missing_behind(found: int, known: Sequence[Migration]) -> Iterator[Migration]:
    """What is to be applied to a store of schema *found*; each says who may use it after it and those before."""
    usable_from = 0
    for each in known:
        usable_from = max(usable_from, each.usable_from)
        if each.number > found:
            yield each._replace(usable_from=usable_from)


def check_usable(where: str, *, found: int, usable_from: int | None, known: int) -> None:
    """Raise SchemaTooNew if a newer taskmill made of the store what one that knows *known* must not touch."""
    if found > known and (usable_from or found) > known:
        raise SchemaTooNew(where, found, known)
