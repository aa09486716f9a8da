"""Rings other processes by NOTIFY, and listens for them on a connection of its own.

In a small table each process that waits says what it wants to hear (`tell` and `ring` in functions/changes.sql), so
that nothing is sent where nobody asks. What makes a ring a hint: the connection may be half open, or go through a
pooler that lets no notification through. So whoever waits looks again after a second and, until a notification of its
own has come back to it, much sooner.
"""

from __future__ import annotations

import logging
import os
import random
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

import psycopg
from psycopg import OperationalError

from taskmill._storage import forks
from taskmill._storage.postgres.connection import Connection
from taskmill._storage.postgres.database import Database
from taskmill._storage.postgres.naming import Statements
from taskmill._storage.postgres.pool import abandon
from taskmill._storage.wake import PATIENCE, Ring, Room, Wake
from taskmill.errors import StoreError

logger = logging.getLogger("taskmill.storage")

SQL = Statements("doorbell.sql")

_ROOMS: dict[Room, int] = {"some": 1, "all": 2}
_DEAF = 0.05
# Seconds between two tries to listen again: anything up to this.
_LONGEST_PAUSE = 2.0
# So long is waited for a notification before the listener looks whether it shall go on.
_SLICE = 5.0


class Hear(Protocol):
    """What is done with a message; *is_own*: an operation of this process sent it."""

    def __call__(self, message: str, *, is_own: bool) -> None:
        """Hear it."""
        ...


class Doorbell(Wake):
    """A Wake that reaches the other processes that use the same database; *on_news* is called when one is heard of."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database
        self.on_news: Callable[[], None] = lambda: None
        self._opening = threading.RLock()
        self._saying = threading.RLock()
        self._ear: Ear | None = None
        # What the table says of this process, as far as it is known here: somebody who rang has set the room to 0.
        self._said = (0, False)
        forks.watch(self)

    @property
    def patience(self) -> float:
        ear = self._ear
        return PATIENCE if ear is not None and ear.is_heard else _DEAF

    @property
    def resting(self) -> int | None:
        """The number under which a ring for a worker of this process is asked for though none rests."""
        if self._said[0] and not self._resting and self._ear is not None:
            return self._ear.number
        return None

    def has_taken(self) -> None:
        """The turn that was told this number claimed something, and has withdrawn what was asked for."""
        self._said = (0, self._said[1])

    def on_end(self, job_id: str, ring: Ring) -> Callable[[], None]:
        forget = super().on_end(job_id, ring)
        self._say()
        return forget

    def rest(self, ring: Ring, room: Room) -> None:
        super().rest(ring, room)
        self._say()

    def _say(self, *, also_less: bool = False) -> None:
        """Let the others know what this process wants to hear; less than before only if that is asked for.

        Less is said by the next turn, or when nothing was heard for a while: who waits often would say both often.
        """
        ear = self._listen()
        with self._saying:
            with self._mutex:
                room = max((_ROOMS[room] for room in self._resting.values()), default=0)
                wanted = (room, bool(self._waiters))
            if not also_less:
                wanted = (max(room, self._said[0]), wanted[1] or self._said[1])
            if wanted == self._said or not ear.is_heard:
                return
            # Without it, whoever waits looks again in time.
            with suppress(StoreError):
                self._database.rows(SQL.say, (ear.number, *wanted))
                self._said = wanted
        # What came in before was not told to this process.
        self.on_news()

    def _listen(self) -> Ear:
        with self._opening:
            if self._ear is None:
                self._ear = Ear(self._database, self._hear, self._begin_anew, self._calm_down)
            return self._ear

    def _hear(self, message: str, *, is_own: bool) -> None:
        kind, _, rest = message.partition(" ")
        number = self._ear.number if self._ear is not None else 0
        if kind == "jobs" and rest in ("0", str(number)):
            self._said = (0, self._said[1])
            self.on_news()
            super().jobs_added()
        elif kind == "ended" and not is_own:
            # Of its own, this process was told when the operation was done.
            super().jobs_ended(rest.split(" "))
        elif kind == "changed":
            self.on_news()

    def _begin_anew(self) -> None:
        """Nothing was heard for a while, and the table may have been emptied: who waits looks again before long."""
        self._said = (0, False)
        self.on_news()
        self._say()

    def _calm_down(self) -> None:
        """Nobody waits any more, perhaps."""
        if self._said[1] and not self._waiters:
            self._say(also_less=True)

    def close(self) -> None:
        with self._opening:
            ear, self._ear = self._ear, None
        self._said = (0, False)
        if ear is not None:
            ear.close()

    # --- forks: the ear and those who rest stay with the parent

    @property
    def mutexes(self) -> Sequence[forks.Mutex]:
        return self._mutex, self._opening, self._saying

    def before_fork(self) -> None:
        """Nothing that would have to be put away."""

    def after_fork_in_child(self) -> None:
        self._resting.clear()
        self._said = (0, False)
        ear, self._ear = self._ear, None
        if ear is not None:
            ear.abandon()


class Ear:
    """The connection that listens, and the thread that waits for what it hears."""

    def __init__(
        self,
        database: Database,
        hear: Hear,
        begin_anew: Callable[[], None],
        calm_down: Callable[[], None],
    ) -> None:
        self.number = int.from_bytes(os.urandom(7))
        self.is_heard = False
        self._is_told = False
        self._database = database
        self._hear = hear
        self._begin_anew = begin_anew
        self._calm_down = calm_down
        self._connection: Connection | None = None
        self._is_closed = threading.Event()
        with suppress(RuntimeError):  # no thread can be started when the program ends
            threading.Thread(target=self._run, name="taskmill-doorbell", daemon=True).start()

    def close(self) -> None:
        self._is_closed.set()
        self.is_heard = False
        with suppress(StoreError):
            self._database.rows(SQL.leave, (self.number,))
            # Ends the wait of the thread that listens.
            self._database.rows(SQL.echo, (self._echo,))

    def abandon(self) -> None:
        """Let go of what a fork has copied."""
        self._is_closed.set()
        if self._connection is not None:
            abandon(self._connection)

    @property
    def _echo(self) -> str:
        return f"echo {self.number}"

    def _run(self) -> None:
        while not self._is_closed.is_set():
            try:
                with self._database.address.connect_to_listen() as connection:
                    self._connection = connection
                    self._listen(connection)
            except (psycopg.Error, OSError, StoreError) as error:
                self._tell(error)
            self.is_heard = False
            self._is_closed.wait(random.uniform(0, _LONGEST_PAUSE))  # noqa: S311  (spreads retries, no secret)

    def _tell(self, error: Exception) -> None:
        """Once until one has come through again: it is tried twice a second."""
        if not self._is_told:
            told = " ".join(str(error).split())
            logger.info("no notifications from %s: %s", self._database.address.shown, told)
        self._is_told = True

    def _listen(self, connection: Connection) -> None:
        connection.execute("listen taskmill")
        # By another connection, as others do: a pooler gives the two to different ones, and this one hears nothing.
        self._database.rows(SQL.echo, (self._echo,))
        is_asked = False
        while not self._is_closed.is_set():
            is_quiet = True
            for notification in connection.notifies(timeout=_SLICE, stop_after=1):
                is_quiet = False
                if self._is_closed.is_set():
                    return
                if notification.payload != self._echo:
                    is_own = self._database.has_backend(notification.pid)
                    self._hear(notification.payload, is_own=is_own)
                elif not self.is_heard:
                    self.is_heard, self._is_told = True, False
                    self._begin_anew()
            if not is_quiet:
                is_asked = False
            elif is_asked:
                raise OperationalError("a notification did not come back")
            else:
                self._calm_down()
                # Does the connection still lead anywhere? A pooler's never did.
                if is_asked := self.is_heard:
                    self._database.rows(SQL.echo, (self._echo,))
