"""The supervising process: it owns the signals, starts the children, hears what they say and waits for their end."""

from __future__ import annotations

import logging
import math
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from taskmill._storage.base import Storage
from taskmill._storage.open import is_shared, open_storage
from taskmill._worker.guardian import Guardian
from taskmill._worker.messages import Begin, FromChild, Hello, Role
from taskmill._worker.process import ChildProcess, Command
from taskmill._worker.reload import Changes
from taskmill._worker.supervisor import Child, Supervisor, SupervisorOptions
from taskmill._worker.systemd import Systemd

logger = logging.getLogger("taskmill.supervisor")

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGCHLD)
# Nothing is waited for longer, whatever may have got lost.
_LONGEST_WAIT = 5.0
# A spare that died by itself, or that there was no room for, is not replaced sooner.
_SPARE_AGAIN = 10.0
# What the store refuses is tried again a second later, and at the end left to the rescue by others.
_PATIENCE = 0.3
# Who watches the worker asks again as well, and nothing else waits for that.
_PROBE_PATIENCE = 2.0


class Parent:
    """Runs in the main thread of a process that does nothing else and imports nothing of the application.

    It can be process 1 of a container: it handles the signals that nobody handles there, and waits for strangers.
    *http*: a socket that listens, on which it answers who watches it; *version* is what it says of itself there.
    *changes*: of the files of the application, upon which it is started anew.
    """

    def __init__(
        self,
        options: SupervisorOptions,
        command: Command,
        on_ready: Callable[[Hello], None],
        *,
        version: str = "",
        http: socket.socket | None = None,
        changes: Changes | None = None,
    ) -> None:
        self._options = options
        self._changes = changes
        self._command = command
        self._version = version
        self._http = http
        self._guardian = Guardian(lambda url: open_storage(_with_patience(url, _PATIENCE)))
        self._supervisor = Supervisor(options, self._spawn, self._guardian, time.monotonic, on_ready)
        self._systemd = Systemd(os.environ, self._supervisor)
        self._processes: dict[int, ChildProcess] = {}
        self._spare: ChildProcess | None = None
        self._spare_at = -math.inf
        self._selector = selectors.DefaultSelector()

    def run(self) -> int:
        """Supervise until all is over; the exit status."""
        with self._signals() as signals, self._watched():
            self._selector.register(signals, selectors.EVENT_READ)
            if self._changes is not None:
                self._selector.register(self._changes, selectors.EVENT_READ)
            try:
                self._loop(signals)
            finally:
                for process in (*self._processes.values(), *([self._spare] if self._spare else ())):
                    process.end()
                self._guardian.close()
                self._selector.close()
        if not self._supervisor.status:
            logger.info("stopped")
        return self._supervisor.status

    def _loop(self, signals: socket.socket) -> None:
        while not self._supervisor.is_over:
            rest = min(self._supervisor.step(), self._systemd.step(time.monotonic()))
            self._prepare_spare()
            ready = [key for key, _ in self._selector.select(min(rest, _LONGEST_WAIT))]
            self._hear([key.data for key in ready if key.data is not None])
            for number in _received(signals):
                self._on_signal(number)
            if self._changes is not None and (what := self._changes.read()):
                self._supervisor.reload(what)
            for process in self._processes.values():
                process.line.say_the_rest()
            # Always: a storm of other signals may have drowned the one that says that a child has ended.
            self._wait_for_ended()

    def _spawn(self, role: Role) -> ChildProcess:
        process, self._spare = self._spare or ChildProcess(self._command), None
        process.say(Begin(role))
        self._processes[process.pid] = process
        self._selector.register(process.line, selectors.EVENT_READ, process)
        return process

    def _prepare_spare(self) -> None:
        """Have a process that has loaded all but the application: who takes the place of a dead one is quick then."""
        is_wanted = self._supervisor.is_staffed and not self._options.burst
        if self._spare is not None or not is_wanted or time.monotonic() < self._spare_at:
            return
        try:
            self._spare = ChildProcess(self._command)
        except OSError:
            # It is missed when it is needed, if then.
            self._spare_at = time.monotonic() + _SPARE_AGAIN

    def _hear(self, processes: Sequence[ChildProcess]) -> None:
        for process in processes:
            messages = process.line.hear()
            if messages is None:
                # Its end follows, and says more.
                self._selector.unregister(process.line)
            else:
                self._tell_supervisor(process, messages)

    def _tell_supervisor(self, process: ChildProcess, messages: Sequence[FromChild]) -> None:
        child = self._child_of(process)
        for message in messages:
            self._supervisor.hear(child, message)

    def _child_of(self, process: ChildProcess) -> Child:
        return next(child for child in self._supervisor.children if child.process is process)

    def _on_signal(self, number: int) -> None:
        match number:
            case signal.SIGTERM | signal.SIGINT:
                self._supervisor.ask_to_stop()
            case signal.SIGUSR1:
                self._supervisor.ask_for_stacks()

    def _wait_for_ended(self) -> None:
        for pid, status in _ended():
            process = self._processes.pop(pid, None)
            if process is not None:
                self._bury(process, os.waitstatus_to_exitcode(status))
            elif self._spare is not None and pid == self._spare.pid:
                self._spare.note_end(status)
                self._spare, self._spare_at = None, time.monotonic() + _SPARE_AGAIN

    def _bury(self, process: ChildProcess, status: int) -> None:
        child = self._child_of(process)
        self._tell_supervisor(process, process.line.overhear())
        if process.line in self._selector.get_map():
            self._selector.unregister(process.line)
        process.note_end(status)
        self._supervisor.mourn(child, status)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Answer those who watch, from the first moment to the last."""
        if self._http is None:
            yield
            return
        from taskmill._worker.probes.server import Server  # noqa: PLC0415  (only who is watched pays for it)
        from taskmill._worker.probes.site import Site  # noqa: PLC0415  (as above)
        from taskmill._worker.probes.store import Store  # noqa: PLC0415  (as above)

        store = Store(self._probed)
        server = Server(self._http, Site(self._supervisor, store, self._version))
        server.start()
        try:
            yield
        finally:
            server.stop()
            store.close()

    def _probed(self) -> Storage | None:
        url = self._supervisor.url
        return (
            None if url is None or not is_shared(url) else open_storage(_with_patience(url, _PROBE_PATIENCE))
        )

    @contextmanager
    def _signals(self) -> Iterator[socket.socket]:
        """Have signals arrive as bytes, one for each; the handlers stay, so that none can end the process by halves."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            for end in (ours, theirs):
                end.settimeout(0)
            before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
            for number in _SIGNALS:
                signal.signal(number, lambda *_: None)
            try:
                yield ours
            finally:
                signal.set_wakeup_fd(before)


def _with_patience(url: str, seconds: float) -> str:
    """The store at *url*, for a process that signals and children wait for while it waits for the store."""
    return f"{url}{'&' if '?' in url else '?'}timeout={seconds}"


def _received(signals: socket.socket) -> bytes:
    try:
        return signals.recv(1 << 16)
    except BlockingIOError:
        return b""


def _ended() -> Iterator[tuple[int, int]]:
    """Every child of this process that has ended, those that it never started included."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status
