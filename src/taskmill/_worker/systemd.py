"""What a service manager is told of this process, by sd_notify(3): that it works, that it still does, that it ends."""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import MutableMapping

from taskmill._core.instant import SECOND
from taskmill._worker.supervisor import Supervisor

logger = logging.getLogger("taskmill.supervisor")

# Its own process reads what it is told at once, unless the whole machine stands still.
_PATIENCE = 1.0
# What is silent may come back at any moment.
_AGAIN = 1.0


class Systemd:
    """Speaks into the socket that the environment names, if it does.

    The names are taken out of *environment*, so that nothing which is started from here speaks in its place.
    """

    def __init__(self, environment: MutableMapping[str, str], supervisor: Supervisor) -> None:
        self._address = environment.pop("NOTIFY_SOCKET", "")
        self._interval = _watchdog(environment)
        self._supervisor = supervisor
        self._has_told_ready = self._has_told_end = False
        self._told = ""
        # When it wants to hear the next time that all is well.
        self._due_at = math.inf if self._interval == math.inf else -math.inf

    def step(self, now: float) -> float:
        """Say what is new; return after how many seconds to come again. It is called by the loop that it speaks for."""
        if not self._address:
            return math.inf
        facts = [*self._turns(), *self._status(), *self._life(now)]
        if facts:
            self._say(facts)
        return max(0.0, self._due_at - now)

    def _turns(self) -> list[str]:
        if self._supervisor.is_ending and not self._has_told_end:
            self._has_told_end = True
            return ["STOPPING=1", f"EXTEND_TIMEOUT_USEC={round(self._supervisor.longest_end * SECOND)}"]
        if self._supervisor.is_proven and not self._has_told_ready:
            self._has_told_ready = True
            return ["READY=1"]
        return []

    def _status(self) -> list[str]:
        before, self._told = self._told, self._supervisor.told()
        return [f"STATUS={self._told}"] if self._told != before else []

    def _life(self, now: float) -> list[str]:
        if now < self._due_at:
            return []
        if self._supervisor.silent():
            self._due_at = now + _AGAIN
            return []
        self._due_at = now + self._interval
        return ["WATCHDOG=1"]

    def _say(self, facts: list[str]) -> None:
        # An @ stands for the zero byte that names without a file begin with (unix(7)).
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(_PATIENCE)
                sender.sendto("\n".join(facts).encode(), address)
        except OSError as error:
            logger.warning("the service manager at %s was not told %s: %s", self._address, facts, error)


def _watchdog(environment: MutableMapping[str, str]) -> float:
    """How often it wants to hear that all is well: half of the time after which it would end this process."""
    micros, pid = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
    is_meant = pid in {"", str(os.getpid())} and micros.isdecimal() and int(micros)
    return int(micros) / SECOND / 2 if is_meant else math.inf
