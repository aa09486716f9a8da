"""Telling how far long work is: once a second, on standard error."""

from __future__ import annotations

import time

from taskmill._cli.output import note
from taskmill._core.wording import counted


class Progress:
    """Called with how many jobs are done; *told* is what was done to them, *of* how many there are in all."""

    def __init__(self, told: str, of: int | None = None) -> None:
        self._told = told
        self._of = "" if of is None else f" of {of:,}"
        self.told_at = time.monotonic()

    def __call__(self, jobs: int) -> None:
        now = time.monotonic()
        if now - self.told_at >= 1:
            self.told_at = now
            note(f"taskmill: {counted(jobs, 'job')}{self._of} {self._told} so far")
