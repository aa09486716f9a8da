"""Rings other processes: a datagram into the socket of one whose worker rests, or that waits for a result.

Beside the session files each process that waits keeps a socket, ``N.bell``, and two bytes that all can read,
``N.asks``: what a resting worker of it has room for, and whether somebody in it waits for a result. A process that
asks for nothing costs a look at memory. What makes a ring a hint: the socket may be full, the process of another user,
the folder unreachable. So whoever waits looks again after a second; where no socket can be had at all, after 50 ms.
"""

from __future__ import annotations

import atexit
import errno
import itertools
import logging
import mmap
import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path

from taskmill._storage import forks
from taskmill._storage.wake import PATIENCE, Ring, Room, Wake

logger = logging.getLogger("taskmill.storage")

_ROOM, _WAITS = 0, 1
_ROOMS: dict[Room, int] = {"some": 1, "all": 2}
_JOBS = b"jobs"
# An id has 36 characters; a datagram of them stays below 4 KiB, which every system takes.
_IDS = 100
_LARGEST = 8192
# The folder's time stamp is as coarse as the kernel's tick, so a change can hide behind it.
_SCAN_AGAIN = 1.0
_WITHOUT_SOCKET = 0.05


class Doorbell(Wake):
    """A Wake that reaches the other processes that use the same file."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._neighbours = Neighbours(folder)
        self._own: Bell | None = None
        self._opening = threading.RLock()
        forks.watch(self)

    @property
    def patience(self) -> float:
        return PATIENCE if self._bell().is_heard else _WITHOUT_SOCKET

    def on_end(self, job_id: str, ring: Ring) -> Callable[[], None]:
        forget_ring = super().on_end(job_id, ring)
        self._ask()

        def forget() -> None:
            forget_ring()
            self._ask()

        return forget

    def rest(self, ring: Ring, room: Room) -> None:
        super().rest(ring, room)
        self._ask()

    def rise(self, ring: Ring) -> None:
        super().rise(ring)
        self._ask()

    def jobs_added(self) -> None:
        if not self._ring_free():
            self._ring_all()
            self._neighbours.ring_for_jobs(self._own)

    def jobs_left(self) -> None:
        if not self._ring_free():
            self._neighbours.ring_for_jobs(self._own)

    def jobs_ended(self, job_ids: Collection[str]) -> None:
        super().jobs_ended(job_ids)
        self._neighbours.ring_who_waits(self._own, job_ids)

    def close(self) -> None:
        with self._opening:
            own, self._own = self._own, None
        if own is not None:
            own.close()
        self._neighbours.forget()

    def _ask(self) -> None:
        """Let the others know what this process wants to hear."""
        with self._mutex:
            room = max((_ROOMS[room] for room in self._resting.values()), default=0)
            self._bell().ask(room=room, waits=bool(self._waiters))

    def _bell(self) -> Bell:
        with self._opening:
            if self._own is None:
                self._own = Bell(self._folder, self._hear)
            return self._own

    def _hear(self, message: bytes) -> None:
        if message == _JOBS:
            super().jobs_added()
        else:
            super().jobs_ended(message.decode("utf-8", "surrogateescape").split())

    # --- forks: the bell and those who rest stay with the parent

    @property
    def mutexes(self) -> Sequence[forks.Mutex]:
        return self._mutex, self._opening, self._neighbours.mutex

    def before_fork(self) -> None:
        """Nothing that would have to be put away."""

    def after_fork_in_child(self) -> None:
        self._resting.clear()
        own, self._own = self._own, None
        if own is not None:
            own.abandon()


class Bell:
    """The socket and the bytes of this process, and the thread that listens."""

    def __init__(self, folder: Path, hear: Callable[[bytes], None]) -> None:
        self.name = ""
        self.is_heard = False
        self._folder = folder
        self._hear = hear
        try:
            self._open()
        except (OSError, RuntimeError) as error:
            # RuntimeError: no thread can be started, for example because the program ends.
            logger.info("no doorbell at %s (%s): other processes are noticed within 50 ms", folder, error)

    def _open(self) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._bind()
            self._asks = _map(self._folder / f"{self.name}.asks", os.O_RDWR | os.O_CREAT)
            self.is_heard = True
            threading.Thread(target=self._listen, name="taskmill-doorbell", daemon=True).start()
        except (OSError, RuntimeError):
            self.is_heard = False
            self._socket.close()
            _remove(self._folder, self.name)
            raise
        # A program that ends without closing its Mill.
        atexit.register(self.close)

    def _bind(self) -> None:
        for number in itertools.count():
            self.name = f"{os.getpid()}-{number}"
            try:
                _at(self._folder, f"{self.name}.bell", self._socket.bind)
            except OSError as error:
                # Left behind by a killed process of the same number, or held by another store object.
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return

    def ask(self, *, room: int, waits: bool) -> None:
        """Say what this process wants to be rung for."""
        if self.is_heard:
            self._asks[_ROOM], self._asks[_WAITS] = room, waits

    def close(self) -> None:
        if self.is_heard:
            self.is_heard = False
            atexit.unregister(self.close)
            _remove(self._folder, self.name)
            # Ends the thread that listens.
            self._socket.shutdown(socket.SHUT_RD)

    def abandon(self) -> None:
        """Let go of what a fork has copied: the parent still listens, and is not heard of for longer than it lives."""
        if self.is_heard:
            atexit.unregister(self.close)
            self._socket.close()
            self._asks.close()

    def _listen(self) -> None:
        with self._socket:
            # Anybody of this user may send an empty one; after the end it is the sign to leave.
            while (message := self._socket.recv(_LARGEST)) or self.is_heard:
                self._hear(message)


class Neighbours:
    """The bells of the other processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._place = str(folder)
        self._asks: dict[str, mmap.mmap] = {}
        self._seen: tuple[int, float] = (0, 0.0)
        self._socket: socket.socket | None = None
        self.mutex = threading.RLock()

    def ring_for_jobs(self, own: Bell | None) -> None:
        """Ring one that has room for any job, so that a single job does not wake them all; else all with some room."""
        with self.mutex:
            resting = self._asking(_ROOM, own)
            for name in resting:
                if self._asks[name][_ROOM] == _ROOMS["all"] and self._send(name, _JOBS):
                    # Taken off: who enqueues next rings the next one. It says anew when it rests again.
                    self._asks[name][_ROOM] = 0
                    return
            for name in resting:
                self._send(name, _JOBS)

    def ring_who_waits(self, own: Bell | None, job_ids: Collection[str]) -> None:
        """Tell all that wait for results which jobs ended."""
        with self.mutex:
            for name in self._asking(_WAITS, own):
                ids = iter(job_ids)
                while some := " ".join(itertools.islice(ids, _IDS)):
                    self._send(name, some.encode("utf-8", "surrogateescape"))

    def forget(self) -> None:
        with self.mutex:
            self._asks.clear()
            self._seen = (0, 0.0)
            if self._socket is not None:
                self._socket.close()
                self._socket = None

    def _asking(self, what: int, own: Bell | None) -> list[str]:
        try:
            self._scan()
        except OSError:
            # There is no folder before the first who waits makes one.
            self._asks.clear()
        if not self._asks:
            return []
        own_name = own.name if own is not None else ""
        return [name for name, asks in self._asks.items() if asks[what] and name != own_name]

    def _scan(self) -> None:
        # Not Path.stat(): this is on the way of every enqueue.
        stamp = os.stat(self._place).st_mtime_ns  # noqa: PTH116
        now = time.monotonic()
        if stamp == self._seen[0] and now - self._seen[1] < _SCAN_AGAIN:
            return
        names = {file.name.removesuffix(".asks") for file in self._folder.glob("*.asks")}
        for name in [name for name in names if not self._is_answered(name)]:
            # Its process was killed.
            _remove(self._folder, name)
            names.discard(name)
        for name in self._asks.keys() - names:
            del self._asks[name]
        for name in names - self._asks.keys():
            with suppress(OSError, ValueError):
                self._asks[name] = _map(self._folder / f"{name}.asks", os.O_RDWR)
        self._seen = (stamp, now)

    def _is_answered(self, name: str) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as caller:
            try:
                _at(self._folder, f"{name}.bell", caller.connect)
            except (ConnectionRefusedError, FileNotFoundError):
                return False
            except OSError:
                return True
        return True

    def _send(self, name: str, message: bytes) -> bool:
        try:
            ours = self._ready()
            _at(self._folder, f"{name}.bell", lambda path: ours.sendto(message, path))
        except (ConnectionRefusedError, FileNotFoundError):
            # Its process was killed.
            _remove(self._folder, name)
            return False
        except OSError:
            # Full: it has rings enough. Anything else: the slow look is there for that.
            return True
        return True

    def _ready(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.settimeout(0)
        return self._socket


def _at(folder: Path, name: str, call: Callable[[str], object]) -> None:
    """Call with a path short enough for a socket's name, of which 108 bytes is the limit."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        call(f"/proc/self/fd/{descriptor}/{name}")
    finally:
        os.close(descriptor)


def _map(file: Path, flags: int) -> mmap.mmap:
    descriptor = os.open(file, flags | os.O_CLOEXEC, 0o600)
    try:
        if flags & os.O_CREAT:
            os.ftruncate(descriptor, 2)
        return mmap.mmap(descriptor, 2)
    finally:
        os.close(descriptor)


def _remove(folder: Path, name: str) -> None:
    for suffix in (".bell", ".asks"):
        with suppress(FileNotFoundError):
            (folder / f"{name}{suffix}").unlink()
