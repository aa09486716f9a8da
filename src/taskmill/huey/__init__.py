"""Huey's names over taskmill's engine: change the imports of a program, and it runs here.

>>> from taskmill.huey import SqliteHuey, crontab
>>> huey = SqliteHuey("app", filename="app.db")
"""

from __future__ import annotations

from taskmill.huey.api import Huey, MemoryHuey, SqliteHuey
from taskmill.huey.exceptions import (
    CancelExecution,
    ConfigurationError,
    HueyException,
    ResultTimeout,
    RetryTask,
    TaskException,
    TaskLockedException,
)
from taskmill.huey.schedule import crontab

__all__ = [
    "CancelExecution",
    "ConfigurationError",
    "Huey",
    "HueyException",
    "MemoryHuey",
    "ResultTimeout",
    "RetryTask",
    "SqliteHuey",
    "TaskException",
    "TaskLockedException",
    "crontab",
]
