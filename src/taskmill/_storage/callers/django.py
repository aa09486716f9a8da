"""Django's connections, such as ``django.db.connection``; nothing of Django needs to be imported for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from taskmill._storage.callers.base import Caller, Found, Parameters
from taskmill._storage.callers.drivers import execute_on_psycopg, execute_on_sqlite


class DjangoCaller(Caller):
    def __init__(self, given: Any) -> None:
        given.ensure_connection()
        super().__init__(given.connection)
        self._given = given

    def execute(self, statement: str, parameters: Parameters = (), /) -> Found:
        execute = execute_on_sqlite if self._given.vendor == "sqlite" else execute_on_psycopg
        return execute(self.driver, statement, parameters)

    def after_commit(self, call: Callable[[], None]) -> None:
        # Outside of atomic(), where a program commits by itself, Django does not tell.
        if self._given.in_atomic_block:
            self._given.on_commit(call)
