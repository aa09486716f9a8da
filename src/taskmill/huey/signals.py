"""Huey's signals: their names, and who wants to hear of them in this process."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskmill.huey.task import Task

SIGNAL_CANCELED = "canceled"
SIGNAL_COMPLETE = "complete"
SIGNAL_ENQUEUED = "enqueued"
SIGNAL_ERROR = "error"
SIGNAL_EXECUTING = "executing"
SIGNAL_EXPIRED = "expired"
SIGNAL_INTERRUPTED = "interrupted"
SIGNAL_LOCKED = "locked"
SIGNAL_RETRYING = "retrying"
SIGNAL_REVOKED = "revoked"
SIGNAL_SCHEDULED = "scheduled"

Receiver = Callable[..., object]

_ANY = "any"

logger = logging.getLogger("huey")


class Signal:
    """Receivers by signal; those of a certain signal hear of it before those of any."""

    def __init__(self) -> None:
        self._receivers: dict[str, tuple[Receiver, ...]] = {}

    def connect(self, receiver: Receiver, *signals: str) -> None:
        """Call ``receiver(signal, task)``, for `error` with the exception as a third, at each of *signals*."""
        for signal in signals or (_ANY,):
            self._receivers[signal] = (*self._receivers.get(signal, ()), receiver)

    def disconnect(self, receiver: Receiver, *signals: str) -> None:
        """Undo `connect`, for *signals* or for all."""
        for signal in signals or tuple(self._receivers):
            remaining = [one for one in self._receivers.get(signal, ()) if one != receiver]
            self._receivers[signal] = tuple(remaining)

    def send(self, signal: str, task: Task, *details: Any) -> None:
        """Call the receivers; an error in one is logged and harms nothing."""
        for receiver in (*self._receivers.get(signal, ()), *self._receivers.get(_ANY, ())):
            try:
                receiver(signal, task, *details)
            except Exception:
                logger.exception("signal receiver %r failed on %r of %r", receiver, signal, task)
