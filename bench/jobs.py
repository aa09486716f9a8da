"""The tasks for what only taskmill is asked; the application of the ``taskmill worker`` processes that run them."""

from __future__ import annotations

import time

from taskmill import Mill


class Jobs:
    """A mill with these tasks, on the store at *url* (None: as the environment says)."""

    def __init__(self, url: str | None = None) -> None:
        self.mill = Mill(url)
        self.nothing = self.mill.task(name="nothing")(nothing)
        self.lateness = self.mill.task(name="lateness")(lateness)
        self.spin = self.mill.task(name="spin")(spin)
        self.nap = self.mill.task(name="nap")(nap)
        self.swallow = self.mill.task(name="swallow")(swallow)


def make_mill() -> Mill:
    return Jobs().mill


def nothing() -> None: ...


def lateness(sent: float) -> float:
    """How many milliseconds ago that was."""
    return (time.time() - sent) * 1000


def spin(turns: int) -> None:
    """Keep the interpreter busy."""
    for _ in range(turns):
        pass


def nap(seconds: float) -> None:
    time.sleep(seconds)


def swallow(text: str) -> int:
    return len(text)
