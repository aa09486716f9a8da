"""Who is alive: each session holds a lock on a small file of its own beside the database, with its lease in another.

The kernel frees the lock when the process is gone, however it ended, so a free lock proves death. A held lock
proves nothing (the process may be stopped), so the lease counts too. `fcntl.lockf` and not `flock`: a child that
a task forked would keep a flock alive.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from taskmill._storage.clock import Clock
from taskmill._storage.sqlite import forks
from taskmill.errors import StoreUnavailable

_LEASE = struct.Struct("<q")


class Session(NamedTuple):
    """What the database knows of a session; `file` is the name of its files without the suffix."""

    session: int
    process: str
    boot: str
    lease: int
    file: str


class Liveness:
    """The session files of one store, as seen by this process: one that is locked, one that holds the lease.

    They are two, because closing any descriptor of a file drops the process's POSIX locks on it: the lease can be
    read at any time, while the locked file of a session of this process is never opened again.
    """

    def __init__(self, database: Path, clock: Clock) -> None:
        self._folder = database.with_name(database.name + "-sessions")
        self._clock = clock
        # A descriptor must not be closed while another thread writes to it: its number may be another file's by then.
        self._mutex = threading.Lock()
        self._held: dict[str, _Held] = {}
        self._missing_since: dict[str, int] = {}
        forks.watch(self)

    def begin(self, lease: int) -> str:
        """Begin to be alive; the name of the files that show it, which nobody else ever uses."""
        name = f"{os.getpid()}-{secrets.token_hex(6)}"
        with self._mutex, self._trouble_told():
            self._held[name] = self._make(name, lease)
        return name

    def renew(self, name: str) -> bool:
        """Push the lease out; False where a file is gone, so that only the database can tell."""
        with self._mutex, self._trouble_told():
            held = self._held.get(name)
            if held is None or not held.is_in_place():
                return False
            held.renew(self._clock.monotonic())
            return True

    def restore(self, name: str) -> bool:
        """Make the files of a living session anew after somebody removed them; False if it is not ours."""
        with self._mutex, self._trouble_told():
            held = self._held.get(name)
            if held is None:
                return False
            self._held[name] = self._make(name, held.lease)
            held.close()
            return True

    def let_go(self, name: str) -> None:
        """Stop being alive, if it was this process; the files go."""
        with self._mutex:
            held = self._held.pop(name, None)
            if held is not None:
                held.close()
        self._missing_since.pop(name, None)
        for file in (self._lock_file(name), self._lease_file(name)):
            with suppress(OSError):
                file.unlink()

    def is_dead(self, session: Session) -> bool:
        """Whether the session's process is gone for certain or its lease has run out."""
        if session.boot != boot_id():
            return True
        with self._trouble_told():
            try:
                lease = self._until(session.file)
                if session.process != process_identity() and _is_unlocked(self._lock_file(session.file)):
                    return True
            except FileNotFoundError:
                return self._is_missing_long(session)
            except PermissionError:
                # Another user's.
                return _has_ended(session.process)
        self._missing_since.pop(session.file, None)
        return lease < self._clock.monotonic()

    def _until(self, name: str) -> int:
        """When the lease ends; an emptied file is as good as none."""
        lease = self._lease_file(name).read_bytes()
        if len(lease) != _LEASE.size:
            raise FileNotFoundError(name)
        return int(_LEASE.unpack(lease)[0])

    def _is_missing_long(self, session: Session) -> bool:
        """Whether a living process would have made the files anew by now, when it renewed its lease."""
        now = self._clock.monotonic()
        since = self._missing_since.setdefault(session.file, now)
        return _has_ended(session.process) or since + session.lease < now

    def _make(self, name: str, lease: int) -> _Held:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        until = _LEASE.pack(self._clock.monotonic() + lease)
        leased = _place(self._lease_file(name), lambda descriptor: os.pwrite(descriptor, until, 0))
        try:
            locked = _place(self._lock_file(name), _lock)
        except OSError:
            os.close(leased)
            raise
        return _Held(locked, leased, lease)

    def _lock_file(self, name: str) -> Path:
        return self._folder / f"{name}.lock"

    def _lease_file(self, name: str) -> Path:
        return self._folder / f"{name}.lease"

    @contextmanager
    def _trouble_told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreUnavailable(
                f"the session files in {self._folder} cannot be used: {error.strerror}; "
                "make room, or make the folder writable for this user"
            ) from error

    # --- forks: the sessions stay with the parent

    @property
    def mutexes(self) -> Sequence[threading.Lock]:
        return (self._mutex,)

    def before_fork(self) -> None:
        """Nothing: the kernel gives the child none of the locks."""

    def after_fork_in_child(self) -> None:
        while self._held:
            self._held.popitem()[1].close()


class _Held(NamedTuple):
    """The descriptors of a session of this process."""

    locked: int
    leased: int
    lease: int

    def is_in_place(self) -> bool:
        return all(os.fstat(descriptor).st_nlink > 0 for descriptor in (self.locked, self.leased))

    def renew(self, now: int) -> None:
        os.pwrite(self.leased, _LEASE.pack(now + self.lease), 0)
        # Taken anew, should somebody in this process have opened and closed the file. One who looks at it can be in the
        # way for a moment.
        with suppress(BlockingIOError):
            _lock(self.locked)

    def close(self) -> None:
        os.close(self.locked)
        os.close(self.leased)


def _place(file: Path, prepare: Callable[[int], object]) -> int:
    """Make *file* under another name first, so that nobody sees it before it is ready; its descriptor."""
    hidden = file.with_name(f".{file.name}")
    descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        prepare(descriptor)
        hidden.rename(file)
    except OSError:
        os.close(descriptor)
        hidden.unlink(missing_ok=True)
        raise
    return descriptor


def _lock(descriptor: int) -> None:
    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_unlocked(file: Path) -> bool:
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def host_name() -> str:
    return socket.gethostname()


def boot_id() -> str:
    """A name of this boot of the machine: leases of another one are void."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


def process_identity() -> str:
    """A name of this process that no other process of this boot had, in whatever container."""
    return _identity(os.getpid())


def _identity(pid: int) -> str:
    """Number, start and container, where the system tells; the container is this process's own."""
    try:
        started = (
            Path(f"/proc/{pid}/stat")
            .read_text(encoding="utf-8", errors="replace")
            .rpartition(")")[2]
            .split()[19]
        )
        return f"{pid}:{started}:{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return str(pid)


def _has_ended(process: str) -> bool:
    """Whether the process of that identity is gone for certain; of another container's nothing is known."""
    pid, _, rest = process.partition(":")
    if rest.partition(":")[2] != process_identity().partition(":")[2].partition(":")[2]:
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _identity(int(pid)) not in (pid, process)
