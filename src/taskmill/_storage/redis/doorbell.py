"""Rings between processes by what the server pushes: each process that rests or waits listens to a channel of its own.

Who makes jobs claimable rings one process that rests, taken from a set in the script that changes the store; who ends
jobs says which on a channel for all that wait for results. Both are hints: whoever waits looks again after a second,
and while nothing can be heard after 50 ms.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from redis import exceptions

from taskmill._storage import forks
from taskmill._storage.redis import trouble
from taskmill._storage.redis.link import Link
from taskmill._storage.wake import PATIENCE, Ring, Room, Wake
from taskmill.errors import StoreError

logger = logging.getLogger("taskmill.storage")

_UNHEARD = 0.05
# A server from which nothing came for so long is asked whether it is there, and has as long to answer.
_QUIET = 5.0
# Who has waited for a result most likely waits for another.
_LINGER = 10.0
_AGAIN = 0.25
# So long after a turn that told of a rest, nobody need ask for the version.
_FRESH = 0.005


class RedisBell(Wake):
    """A Wake that reaches the other processes that use the same mill."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link
        self._listener: Listener | None = None
        self._opening = threading.RLock()
        self._told: Room | None = None
        self._has_rested = False
        self._rested_at = 0.0
        self._version: int | None = None
        self._seen = 0
        forks.watch(self)

    @property
    def patience(self) -> float:
        listener = self._listener
        return PATIENCE if listener is not None and listener.is_heard else _UNHEARD

    def on_end(self, job_id: str, ring: Ring) -> Callable[[], None]:
        forget = super().on_end(job_id, ring)
        self._listening().hear_ends()
        return forget

    def rest(self, ring: Ring, room: Room) -> None:
        super().rest(ring, room)
        listener = self._listening()
        told: Room = "all" if "all" in self._resting.values() else "some"
        if listener.is_heard and told != self._told:
            # As long as it was not rung, it is known to rest.
            self._told = told
            try:
                self._link.run("rest", listener.channel, told)
            except StoreError:
                # A hint; the worker finds out what is wrong when it looks.
                self._told = None
        self._has_rested = True

    def offer(self) -> str:
        """The channel of this process, if it most likely rests after a turn, as it did before; else "".

        The turn may tell the server, which saves a call before the rest. `offered` says afterwards whether it did.
        """
        listener = self._listener
        is_offered = self._has_rested and self._told is None and len(self._workers) == 1
        if listener is None or not is_offered or not listener.is_heard:
            return ""
        self._told = "all"
        return listener.channel

    def offered(self, *, is_taken: bool) -> None:
        """Whether the turn told the server; for what came in since, this process was rung, or another one."""
        if not is_taken:
            self._told = None
        self._rested_at = time.monotonic() if self._told else 0.0

    def close(self) -> None:
        with self._opening:
            listener, self._listener, self._told = self._listener, None, None
        if listener is not None:
            listener.close()

    def _listening(self) -> Listener:
        with self._opening:
            if self._listener is None:
                self._listener = Listener(self._link, self)
            return self._listener

    # --- what the listener says

    def is_waited_for(self) -> bool:
        return bool(self._waiters)

    def forget_rest(self) -> None:
        """What the server was told may be lost."""
        self._told = None

    def learn(self, version: int | None) -> None:
        """The store has that version, or an unknown one: who asks next need not ask the server."""
        self._version = version

    def take_version(self) -> int | None:
        """What was learnt, if nobody has taken it yet, and it is news; or what was seen by a turn just now."""
        version, self._version = self._version, None
        if version is not None and version > self._seen:
            return version
        return self._seen if time.monotonic() < self._rested_at + _FRESH else None

    def saw(self, version: int) -> None:
        """Somebody here has seen the store in that version."""
        self._seen = version

    def rung(self, version: int | None = None) -> None:
        """There may be jobs, and nobody else was told."""
        self._told, self._rested_at = None, 0.0
        self.learn(version)
        is_resting = bool(self._resting)
        super().jobs_added()
        if not is_resting:
            # It was busy again before it could say so.
            with suppress(StoreError):
                self._link.run("ring")

    # --- forks: who rests stays with the parent

    @property
    def mutexes(self) -> Sequence[forks.Mutex]:
        return self._mutex, self._opening

    def before_fork(self) -> None:
        """Nothing that would have to be put away."""

    def after_fork_in_child(self) -> None:
        self._resting.clear()
        self._listener = self._told = None


class Listener:
    """A connection that hears, and the thread that listens to it."""

    def __init__(self, link: Link, bell: RedisBell) -> None:
        self.channel = link.key(f"bell:{os.getpid()}-{os.urandom(6).hex()}")
        self.is_heard = False
        self._link = link
        self._bell = bell
        self._ends = link.key("ended")
        self._connection: Any = None
        self._hears_ends = threading.Event()
        self._sending = threading.Lock()
        self._last_wait = 0.0
        self._is_closed = False
        with suppress(*trouble.LOST, trouble.ANSWERED):
            self._subscribe()
        threading.Thread(target=self._listen, name="taskmill-doorbell", daemon=True).start()

    def hear_ends(self) -> None:
        """Hear which jobs end, from before this returns; where nothing can be heard, patience is short."""
        self._last_wait = time.monotonic()
        if self.is_heard and not self._hears_ends.is_set():
            with suppress(*trouble.LOST):
                self._send("SUBSCRIBE", self._ends)
                self._hears_ends.wait(_UNHEARD)

    def close(self) -> None:
        """Listen no more; the thread ends when it hears of that."""
        self._is_closed = True
        if self.is_heard:
            with suppress(*trouble.LOST):
                self._send("UNSUBSCRIBE", self.channel)

    def _send(self, *command: str) -> None:
        with self._sending:
            self._connection.send_command(*command)

    def _subscribe(self) -> None:
        connection = self._link.connect(_QUIET)
        connection.send_command("SUBSCRIBE", self.channel)
        connection.read_response()
        self._hears_ends.clear()
        self._connection = connection
        self.is_heard = not self._is_closed

    def _listen(self) -> None:
        while not self._is_closed:
            try:
                if not self.is_heard:
                    self._subscribe()
                    # Whatever was said meanwhile, nobody heard.
                    self._bell.rung()
                    if self._bell.is_waited_for():
                        self._send("SUBSCRIBE", self._ends)
                self._hear_all()
            except (*trouble.LOST, trouble.ANSWERED) as error:
                self._after_loss(error)
        if self._connection is not None:
            self._connection.disconnect()

    def _after_loss(self, error: Exception) -> None:
        if self.is_heard:
            logger.info("no doorbell at %s (%s): others are noticed within 50 ms", self._link.address, error)
        self.is_heard = False
        self._bell.forget_rest()
        if self._connection is not None:
            self._connection.disconnect()
        time.sleep(_AGAIN)

    def _hear_all(self) -> None:
        connection = self._connection
        try:
            told = connection.read_response(disconnect_on_error=False)
        except exceptions.TimeoutError:
            self._send("PING")
            told = connection.read_response()
        self._hear(*told)

    def _hear(self, kind: bytes, channel: bytes, message: object = None) -> None:
        if kind == b"subscribe":
            self._hears_ends.set()
        elif kind == b"message" and isinstance(message, bytes):
            if channel.decode() == self.channel:
                self._bell.rung(int(message) if message.isdigit() else None)
            elif self._bell.is_waited_for():
                self._bell.jobs_ended(_ids_in(message))
            elif time.monotonic() - self._last_wait > _LINGER:
                self._hears_ends.clear()
                self._send("UNSUBSCRIBE", self._ends)


def _ids_in(message: bytes) -> list[str]:
    """The ids of a message; none where it is somebody else's."""
    try:
        return [job_id for job_id in json.loads(message) if isinstance(job_id, str)]
    except (ValueError, TypeError):
        return []
