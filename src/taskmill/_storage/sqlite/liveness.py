"""Who is alive: each session holds a lock on a small file of its own beside the database, with its lease in another.

The kernel frees the lock when the process is gone, however it ended, so a free lock proves death. A held lock
proves nothing (the process may be stopped), so the lease counts too. `fcntl.lockf` and not `flock`: a child that
a task forked would keep a flock alive.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from taskmill._storage import forks
from taskmill._storage.base import Slots
from taskmill._storage.clock import Clock
from taskmill._storage.process import boot_id, has_ended, process_identity
from taskmill._storage.slots import FileSlots, running_in
from taskmill.errors import StoreUnavailable

# When it ends, and the same again with all bits turned: a damaged lease must not look like one that is over.
_LEASE = struct.Struct("<qq")
# A row can be damaged, and what it names is opened and removed.
_NAME = re.compile(r"[0-9]+-[0-9a-f]+")


class Session(NamedTuple):
    """What the database knows of a session; `file` is the name of its files without the suffix."""

    session: int
    parent: int | None
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
        self._place = f"{self._folder}{os.sep}"
        self._clock = clock
        # A descriptor must not be closed while another thread writes to it: its number may be another file's by then.
        self._mutex = threading.Lock()
        self._held: dict[str, _Held] = {}
        self._slots: dict[str, FileSlots] = {}
        self._missing_since: dict[str, int] = {}
        forks.watch(self)

    def begin(self, lease: int) -> str:
        """Begin to be alive; the name of the files that show it, which nobody else ever uses."""
        # Not by secrets, whose hashlib brings OpenSSL: 4 MB and 4 ms for each process.
        name = f"{os.getpid()}-{os.urandom(6).hex()}"
        with self._mutex, self._trouble_told():
            self._held[name] = self._make(name, lease)
        return name

    def slots(self, name: str, count: int) -> Slots:
        """The slots of a session that began here, in the file that holds its lease."""
        with self._mutex, self._trouble_told():
            # They lie behind the lease.
            slots = self._slots[name] = FileSlots(self._held[name].leased, count, offset=_LEASE.size)
            return slots

    def running(self, name: str) -> Collection[tuple[int, int]]:
        """What the slots of any session name; nothing if its file is gone."""
        with self._trouble_told():
            try:
                slots = self._lease_file(name).read_bytes()[_LEASE.size :]
            except FileNotFoundError:
                return []
        return running_in(slots)

    def renew(self, name: str) -> bool:
        """Push the lease out; False where a file is gone, so that only the database can tell."""
        with self._mutex, self._trouble_told():
            held = self._held.get(name)
            if held is None or not held.is_in_place():
                return False
            held.renew(self._clock.monotonic())
            return True

    def renew_for(self, session: Session) -> bool:
        """Push out the lease of a session of another process; False where its file is gone."""
        with self._trouble_told():
            try:
                descriptor = os.open(self._lease_file(session.file), os.O_WRONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return False
            try:
                os.pwrite(descriptor, _lease_until(self._clock.monotonic() + session.lease), 0)
            finally:
                os.close(descriptor)
            return True

    def restore(self, name: str) -> bool:
        """Make the files of a living session anew after somebody removed them; False if it is not ours."""
        with self._mutex, self._trouble_told():
            held = self._held.get(name)
            if held is None:
                return False
            fresh = self._held[name] = self._make(name, held.lease)
            if name in self._slots:
                self._slots[name].move(fresh.leased)
            held.close()
            return True

    def let_go(self, name: str) -> None:
        """Stop being alive, if it was this process; the files go."""
        with self._mutex:
            held = self._held.pop(name, None)
            self._slots.pop(name, None)
            if held is not None:
                held.close()
        self._missing_since.pop(name, None)
        for file in (self._lock_file, self._lease_file):
            with suppress(OSError):
                file(name).unlink()

    def is_dead(self, session: Session, *, is_watched: bool = False) -> bool:
        """Whether the session's process is gone for certain or its lease has run out.

        Where it *is_watched* the lease alone counts: that the process is gone, its watcher knows first.
        """
        if session.boot != boot_id():
            return True
        with self._trouble_told():
            try:
                lease = self._until(session.file)
                is_other = session.process != process_identity()
                if is_other and not is_watched and _is_unlocked(self._lock_file(session.file)):
                    return True
            except FileNotFoundError:
                return self._is_missing_long(session)
            except PermissionError:
                # Another user's.
                return has_ended(session.process)
        self._missing_since.pop(session.file, None)
        return lease < self._clock.monotonic()

    def is_gone(self, session: Session) -> bool:
        """Whether the process of the session has ended for certain."""
        if session.boot != boot_id():
            return True
        with suppress(OSError):
            if session.process != process_identity() and _is_unlocked(self._lock_file(session.file)):
                return True
        return has_ended(session.process)

    def _until(self, name: str) -> int:
        """When the lease ends; an emptied or damaged file is as good as none."""
        # Not Path.read_bytes(): every worker asks this of every session four times a second.
        descriptor = os.open(self._path(name, "lease"), os.O_RDONLY | os.O_CLOEXEC)
        try:
            lease = os.pread(descriptor, _LEASE.size, 0)
        finally:
            os.close(descriptor)
        if len(lease) == _LEASE.size:
            until, turned = _LEASE.unpack(lease)
            if turned == ~until:
                return int(until)
        raise FileNotFoundError(name)

    def _is_missing_long(self, session: Session) -> bool:
        """Whether a living process would have made the files anew by now, when it renewed its lease."""
        now = self._clock.monotonic()
        since = self._missing_since.setdefault(session.file, now)
        return has_ended(session.process) or since + session.lease < now

    def _make(self, name: str, lease: int) -> _Held:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        until = _lease_until(self._clock.monotonic() + lease)
        leased = _place(self._lease_file(name), lambda descriptor: os.pwrite(descriptor, until, 0))
        try:
            locked = _place(self._lock_file(name), _lock)
        except OSError:
            os.close(leased)
            raise
        return _Held(locked, leased, lease)

    def _lock_file(self, name: str) -> Path:
        return Path(self._path(name, "lock"))

    def _lease_file(self, name: str) -> Path:
        return Path(self._path(name, "lease"))

    def _path(self, name: str, suffix: str) -> str:
        """Where that file of a session is; FileNotFoundError for a name that `begin` never made."""
        if not _NAME.fullmatch(name):
            raise FileNotFoundError(name)
        return f"{self._place}{name}.{suffix}"

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
    def mutexes(self) -> Sequence[forks.Mutex]:
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
        os.pwrite(self.leased, _lease_until(now + self.lease), 0)
        # Taken anew, should somebody in this process have opened and closed the file. One who looks at it can be in the
        # way for a moment.
        with suppress(BlockingIOError):
            _lock(self.locked)

    def close(self) -> None:
        os.close(self.locked)
        os.close(self.leased)


def _lease_until(instant: int) -> bytes:
    return _LEASE.pack(instant, ~instant)


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
