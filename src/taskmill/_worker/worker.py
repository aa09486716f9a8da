"""The worker that programs see: a thread that steps the machine, its start, its run and its graceful stop."""

from __future__ import annotations

import atexit
import logging
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import FrameType, TracebackType
from typing import Self

from taskmill._app.application import Application
from taskmill._app.bridge import in_thread
from taskmill._worker.machine import Machine
from taskmill._worker.options import WorkerOptions
from taskmill._worker.service import Service
from taskmill._worker.ticks.heartbeat import Heartbeat
from taskmill.errors import ConfigurationError, StoreError

logger = logging.getLogger("taskmill.worker")

# How long coroutines that were cancelled at the end of the grace may take to clean up.
_CLEAN_UP = 2.0
# The pause before a session is asked for again.
_AGAIN = 0.5
# Python runs signal handlers between two waits.
_SLICE = 0.2


class Bell:
    """Wakes the driver. Unlike an Event, a queue has no lock that a signal handler could be stuck at."""

    def __init__(self) -> None:
        self._rings: SimpleQueue[None] = SimpleQueue()

    def ring(self) -> None:
        if self._rings.empty():
            self._rings.put(None)

    def wait(self, seconds: float) -> None:
        """Return when it rings, or rang since it was cleared, or after so many seconds."""
        with suppress(Empty):
            self._rings.get(timeout=seconds)

    def clear(self) -> None:
        """Forget that it rang."""
        while not self._rings.empty():
            self._rings.get()


class Worker:
    """Runs jobs in threads and on an event loop of this process.

    >>> with mill.worker(threads=4):
    ...     print(add.enqueue(2, 3).get())
    5

    Leaving the block stops it: no new jobs, what runs may finish within the grace, the rest goes back to the
    queue with no attempt burnt. A thread whose job outlasts the grace cannot be stopped; whatever it returns
    later changes nothing, since the job is no longer its own.
    """

    def __init__(self, app: Application, options: WorkerOptions) -> None:
        self._app = app
        self._options = options
        self._bell = Bell()
        self._asked = 0  # how often it was asked to stop
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._options.burst and error is None:
                self.wait()
        finally:
            self.stop()
        if error is None:
            self._raise_own_error()

    async def __aenter__(self) -> Self:
        await in_thread(self.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await in_thread(self.__exit__, kind, error, trace)

    def start(self) -> None:
        """Start in the background; errors of the store and of `on_start` handlers are raised here."""
        if self._thread is not None:
            raise ConfigurationError("this worker was started before: make a new one with mill.worker()")
        # Trouble with the store is told before the handlers do their work, which may take longer than a lease.
        self._app.storage.version()
        for hook in self._app.start_hooks:
            hook()
        machine = self._new_machine()
        self._thread = threading.Thread(
            target=self._drive, args=(machine,), name="taskmill-worker", daemon=True
        )
        self._thread.start()
        # A notebook or a script that ends without stopping it.
        atexit.register(self.stop)

    def run(self) -> None:
        """Start, and return when stopped: by `stop`, by SIGTERM or SIGINT, or with burst when nothing is due.

        Signals are taken over only in the main thread, where Python allows it. The second one ends the grace.
        An error that ended the worker is raised.
        """
        restore = self._take_signals()
        try:
            self.start()
            self.wait()
        finally:
            restore()
            self.stop()
        self._raise_own_error()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has stopped; False on timeout."""
        deadline = None if timeout is None else time.monotonic() + timeout
        # In slices: a wait without timeout would not let Python run signal handlers on all systems.
        while deadline is None or time.monotonic() + _SLICE < deadline:
            if self._ended.wait(_SLICE):
                return True
        return self._ended.wait(max(0.0, deadline - time.monotonic()))

    def ask_to_stop(self) -> None:
        """Begin the graceful stop and return at once; asked again, the grace is over. A signal handler may call it."""
        self._asked += 1
        self._bell.ring()

    def stop(self) -> None:
        """Stop gracefully and return when stopped; harmless when repeated."""
        atexit.unregister(self.stop)
        if self._thread is None:
            return
        if not self._asked:
            self.ask_to_stop()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _raise_own_error(self) -> None:
        if self._error is not None:
            raise self._error

    # --- the driving thread

    def _drive(self, first: Machine) -> None:
        forget = self._app.storage.wake.on_jobs(self._bell.ring)
        machine: Machine | None = first
        try:
            while machine is not None and not self._serve(machine):
                logger.warning(
                    "session %d was taken for dead and its jobs were given to others; going on under a new one",
                    machine.tenure.session,
                )
                machine = self._next_machine()
        except BaseException as error:
            self._error = error
            logger.critical("the worker ended by an error of its own; its jobs go back", exc_info=True)
        finally:
            forget()
            self._run_stop_hooks()
            self._ended.set()

    def _serve(self, machine: Machine) -> bool:
        """Work under the session of *machine*; True at the end of the worker, False if the session was lost."""
        sessions = self._app.storage.sessions
        heartbeat = Service([Heartbeat(sessions, machine.tenure, self._app.lease, self._bell.ring)])
        heartbeat.start("taskmill-heartbeat")
        try:
            self._work(machine)
            if machine.tenure.lost and not self._asked:
                return False
            self._drain(machine)
        finally:
            heartbeat.stop()
            self._close(machine)
        return True

    def _work(self, machine: Machine) -> None:
        while not self._asked and not machine.tenure.lost:
            self._step(machine)
            if self._options.burst and machine.is_idle:
                return

    def _drain(self, machine: Machine) -> None:
        """What runs may finish within the grace; then coroutines are ended, and threads are left behind."""
        machine.stop_claiming()
        if under_way := machine.load():
            logger.info(
                "stopping: %d jobs under way have %g s to finish; a second signal gives them back at once",
                under_way,
                self._options.grace,
            )
        deadline = time.monotonic() + self._options.grace
        while machine.load() and not self._is_grace_over(deadline) and not machine.tenure.lost:
            self._step(machine)
        machine.interrupt()
        deadline = time.monotonic() + _CLEAN_UP
        while machine.coroutine_load() and time.monotonic() < deadline:
            self._step(machine)
        # What ended in the last moment.
        machine.step()

    def _is_grace_over(self, deadline: float) -> bool:
        return self._asked > 1 or time.monotonic() >= deadline

    def _step(self, machine: Machine) -> None:
        rest = machine.step()
        if rest > 0:
            self._rest(machine, rest)
        self._bell.clear()

    def _rest(self, machine: Machine, seconds: float) -> None:
        room = machine.room()
        if room is None:
            self._bell.wait(seconds)
            return
        wake = self._app.storage.wake
        wake.rest(self._bell.ring, room)
        try:
            # What was added before the others could know that this worker rests, nobody rang for.
            if not machine.has_news():
                self._bell.wait(seconds)
        finally:
            wake.rise(self._bell.ring)

    def _close(self, machine: Machine) -> None:
        try:
            machine.close()
        except StoreError as error:
            logger.warning("%s; the jobs go back when the lease of this worker is over", error)

    def _new_machine(self) -> Machine:
        return Machine(self._app, self._options, self._bell.ring)

    def _next_machine(self) -> Machine | None:
        """That of a new session, however long the store takes to begin one; None if asked to stop."""
        while not self._asked:
            try:
                return self._new_machine()
            except StoreError as error:
                logger.warning("%s; no session was begun, tried again in %g s", error, _AGAIN)
                time.sleep(_AGAIN)
        return None

    def _run_stop_hooks(self) -> None:
        for hook in self._app.stop_hooks:
            try:
                hook()
            except BaseException:
                logger.exception("on_stop handler %r failed", hook)

    # --- signals

    def _take_signals(self) -> Callable[[], None]:
        """Let SIGTERM and SIGINT stop the worker; returns the way back."""
        if threading.current_thread() is not threading.main_thread():
            return lambda: None
        ours = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self._on_signal) for number in ours}

        def restore() -> None:
            for number, handler in before.items():
                # None: it was not set by Python.
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

        return restore

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        # No logging here: the interrupted code may hold the logging lock.
        self.ask_to_stop()
