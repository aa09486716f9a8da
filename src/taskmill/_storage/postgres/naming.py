"""What the functions of the database are called there, and the statements that call them.

A schema has functions of its own, so that a taskmill of before goes on with those that it knows when a newer one has
migrated (decision 58). In the files, ``taskmill.turn(...)`` is that of whoever reads it; stored as v1_turn, v2_turn ...
"""

from __future__ import annotations

import re
from functools import cache

from taskmill._storage.migrations import Migration, migrations_of
from taskmill._storage.sql import Queries

_PACKAGE = "taskmill._storage.postgres"
# A table is followed by a space.
_FUNCTION = re.compile(r"\btaskmill\.(\w+\()")


@cache
def migrations() -> list[Migration]:
    return migrations_of(f"{_PACKAGE}.migrations")


def known_version() -> int:
    """The newest schema that this taskmill can work with."""
    return max(known.number for known in migrations())


def versioned(text: str, version: int) -> str:
    """*text* with the functions of that schema."""
    return _FUNCTION.sub(rf"taskmill.v{version}_\1", text)


class Statements(Queries):
    """The statements of one .sql file beside this one."""

    def __init__(self, file: str) -> None:
        super().__init__(_PACKAGE, file)
        version = known_version()
        self._statements = {name: versioned(text, version) for name, text in self._statements.items()}
