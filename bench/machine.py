"""What the figures depend on besides the programs."""

from __future__ import annotations

import os
import platform
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.statistic import median, timed


def pause() -> None:
    """At no fixed beat, so that what polls is met at any point of its interval."""
    time.sleep(random.uniform(0.005, 0.015))


def at_once() -> None:
    """No pause."""


def sync_time(between: Callable[[], None] = at_once, samples: int = 200) -> float:
    """What a durable write of 4 KiB costs on this disk, in milliseconds: the median of so many.

    A disk, and a processor, that had a *pause* take several times as long as those that are at it.
    """
    with tempfile.TemporaryDirectory() as folder:
        descriptor = os.open(Path(folder) / "sync", os.O_WRONLY | os.O_CREAT)
        times = [_timed_write(descriptor, between) for _ in range(samples)]
        os.close(descriptor)
    return median(times)


def _timed_write(descriptor: int, between: Callable[[], None]) -> float:
    between()
    return timed(_write_durably, descriptor)


def _write_durably(descriptor: int) -> None:
    os.pwrite(descriptor, b"x" * 4096, 0)
    os.fdatasync(descriptor)


def description() -> str:
    return (
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    )
