"""Whether a store is whole: SQLite's own check, rules between rows, and texts that can be read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator

from taskmill._core.job import Reason
from taskmill._storage.base import Violation
from taskmill._storage.sql import Queries
from taskmill._storage.sqlite.opening import Connection
from taskmill._storage.sqlite.trouble import is_damage

RULES = Queries("taskmill._storage.sqlite", "verification.sql")
_EXAMPLES = 5
# Where each text of a job, an attempt or a session lies: what it belongs to, and whether it may be unreadable (a job
# that failed for that keeps its bytes).
_TEXTS = (
    "select job_id, coalesce(reason, '') = ?, args, result, tags, headers, error from taskmill_job",
    "select j.job_id, coalesce(j.reason, '') = ?, p.data from taskmill_payload p join taskmill_job j on j.id = p.job",
    "select j.job_id, coalesce(j.reason, '') = ?, a.error from taskmill_attempt a join taskmill_job j on j.id = a.job",
    "select 'session ' || id, '' = ?, serves from taskmill_session",
)


def violations(connection: Connection) -> list[Violation]:
    """All rules that are broken; where SQLite's own check finds fault, the others are not asked."""
    # Each statement for itself: one long transaction would keep the log from being folded in.
    return list(_of_file(connection)) or [*_of_rows(connection), *_of_texts(connection)]


def _of_file(connection: Connection) -> Iterator[Violation]:
    try:
        faults = [str(line) for [line] in connection.execute("pragma integrity_check(100)")]
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        faults = [str(error)]
    if faults != ["ok"]:
        yield Violation("integrity", len(faults), faults[:_EXAMPLES])


def _of_rows(connection: Connection) -> Iterator[Violation]:
    for rule, statement in RULES:
        broken = [str(what) for [what] in connection.execute(statement)]
        if broken:
            yield Violation(rule, len(broken), broken[:_EXAMPLES])


def _of_texts(connection: Connection) -> Iterator[Violation]:
    broken = [name for statement in _TEXTS for name in _unreadable(connection, statement)]
    if broken:
        yield Violation("unreadable-text", len(broken), broken[:_EXAMPLES])


def _unreadable(connection: Connection, statement: str) -> Iterator[str]:
    factory, connection.text_factory = connection.text_factory, bytes
    try:
        for name, is_known, *texts in connection.execute(statement, (Reason.UNDECODABLE,)):
            if not is_known and not all(text is None or _is_json(text) for text in texts):
                yield name.decode("utf-8", "backslashreplace")
    finally:
        connection.text_factory = factory


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
