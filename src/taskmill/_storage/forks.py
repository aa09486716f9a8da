"""A fork must meet nothing half done, and no connection to a store may cross it.

With SQLite, the child would inherit what it remembers of its locks, and the kernel gives it none of them: it would
write into a log that the parent, as the last one who is seen to use it, deletes (sqlite.org/howtocorrupt.html, 2.6).
With a server, parent and child would speak into the same socket.
So all connections are closed before a fork and opened anew by the next use, in the parent as in the child.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Protocol
from weakref import WeakSet

# Who holds a mutex for longer is most likely the thread that forks, in a signal handler on top of its own work.
_PATIENCE = 30.0


class Mutex(Protocol):
    """A lock of `threading`, of either kind."""

    def acquire(self, blocking: bool = ..., timeout: float = ...) -> bool:  # noqa: FBT001  (as threading has it)
        """Take it; False on timeout."""
        ...

    def release(self) -> None:
        """Let it go."""
        ...


class Forkable(Protocol):
    """What is told of forks."""

    @property
    def mutexes(self) -> Sequence[Mutex]:
        """Held during the fork, taken in this order."""
        ...

    def before_fork(self) -> None:
        """Let go of what must not cross; not called if the mutexes could not be had."""
        ...

    def after_fork_in_child(self) -> None:
        """Forget what belongs to the parent."""
        ...


class _Forks:
    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._watched: WeakSet[Forkable] = WeakSet()
        self._told: list[Forkable] = []
        self._held: list[Mutex] = []

    def watch(self, user: Forkable) -> None:
        with self._mutex:
            self._watched.add(user)

    def before(self) -> None:
        self._mutex.acquire()
        self._told = list(self._watched)
        for user in self._told:
            taken = [mutex for mutex in user.mutexes if mutex.acquire(timeout=_PATIENCE)]
            self._held += taken
            if len(taken) == len(user.mutexes):
                user.before_fork()

    def after_in_parent(self) -> None:
        while self._held:
            self._held.pop().release()
        self._told.clear()
        self._mutex.release()

    def after_in_child(self) -> None:
        for user in self._told:
            user.after_fork_in_child()
        self.after_in_parent()


# One for the process, because hooks cannot be taken back.
_forks = _Forks()
os.register_at_fork(
    before=_forks.before,
    after_in_parent=_forks.after_in_parent,
    after_in_child=_forks.after_in_child,
)


def watch(user: Forkable) -> None:
    """Tell *user* of each fork of this process, as long as it lives."""
    _forks.watch(user)
