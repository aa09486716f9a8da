"""The worker that programs see: a thread that steps the machine, its start, its run and its graceful stop."""

from __future__ import annotations

import atexit
import logging
import math
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

from taskmill._app.application import Application
from taskmill._app.bridge import in_thread
from taskmill._core.wording import counted
from taskmill._worker import capture, stacks
from taskmill._worker.bell import Bell
from taskmill._worker.logbook import name_of
from taskmill._worker.machine import Machine
from taskmill._worker.options import WorkerOptions
from taskmill._worker.outage import Outage
from taskmill._worker.place import Place
from taskmill._worker.service import Service
from taskmill.errors import ConfigurationError, StoreError, StoreUnusable

logger = logging.getLogger("taskmill.worker")

# How long coroutines that were cancelled at the end of the grace may take to clean up.
_CLEAN_UP = 2.0
# How long is waited for threads that were interrupted; one that is in C may take any time.
_TAKE_NOTICE = 0.3
# The pause before a session is asked for again.
_AGAIN = 0.5
_ASKED = "asked to stop by somebody who looks after the store"
# Python runs signal handlers between two waits.
_SLICE = 0.2


class Worker:
    """Runs jobs in threads and on an event loop of this process.

    >>> with mill.worker(threads=4):
    ...     print(add.enqueue(2, 3).get())
    5

    Leaving the block stops it: no new jobs, what runs may finish within the grace, the rest goes back to the
    queue with no attempt burnt: coroutines are cancelled, in threads JobReleased is raised. A thread that is in C
    for longer cannot be stopped; whatever it returns later changes nothing, since the job is no longer its own.
    """

    def __init__(self, app: Application, options: WorkerOptions, place: Place | None = None) -> None:
        self._app = app
        self._options = options
        self._place = place or Place()
        self._bell = Bell()
        self._asked = 0  # how often it was asked to stop
        self._deadline = math.inf  # of what runs then
        self._ended = threading.Event()
        self._machine: Machine | None = None
        self._outage = Outage(logger, self._meanwhile)
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
        if self._options.log_level is not None:
            capture.install()
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

    def finish(self) -> None:
        """Wait until it has stopped, and raise what ended it, if that was an error."""
        self.wait()
        self.stop()
        self._raise_own_error()

    def stacks(self) -> str:
        """Where every thread and coroutine of this process stands, with its job."""
        return stacks.told({}) if self._machine is None else self._machine.stacks()

    def dump_processes(self) -> None:
        """Let the processes that run jobs of executor "process" write where they stand."""
        if self._machine is not None:
            self._machine.dump_processes()

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
        self.stop_within(0.0 if self._asked else self._options.grace)

    def stop_within(self, grace: float) -> None:
        """As `ask_to_stop`, and what runs has *grace* seconds from now, whatever was said before."""
        self._deadline = time.monotonic() + grace
        self._asked += 1
        if self._machine is not None:
            self._machine.claim_no_more()
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
                machine = self._next_machine(machine)
        except StoreUnusable as error:
            self._error = error
            logger.critical("%s; this worker ends, and its jobs go back", error)
        except BaseException as error:
            self._error = error
            logger.critical("the worker ended by an error of its own; its jobs go back", exc_info=True)
        finally:
            forget()
            self._run_stop_hooks()
            self._ended.set()

    def _serve(self, machine: Machine) -> bool:
        """Work under the session of *machine*; True at the end of the worker, False if the session was lost."""
        heartbeat = Service([machine.heartbeat], self._outage)
        heartbeat.start("taskmill-heartbeat")
        self._machine = machine
        try:
            self._work(machine)
            if machine.tenure.lost and not self._asked:
                # Others run the same jobs by now.
                self._interrupt(machine)
                return False
            self._drain(machine)
        finally:
            heartbeat.stop()
            self._close(machine)
        return True

    def _work(self, machine: Machine) -> None:
        while not self._asked and not machine.tenure.lost and not machine.is_spent:
            if machine.is_asked_to_stop:
                logger.info(_ASKED)
                return
            rest = machine.step()
            if self._options.burst and machine.is_idle:
                return
            self._rest_for(machine, rest)

    def _drain(self, machine: Machine) -> None:
        """What runs may finish within the grace; then coroutines are ended, and threads are left behind."""
        machine.stop_claiming()
        if not self._asked:
            self._deadline = time.monotonic() + self._options.grace
        if under_way := machine.awaited_load():
            self._tell_of_drain(machine, counted(under_way, "job"))
            machine.note_stopping()
        while machine.awaited_load() > 0 and time.monotonic() < self._deadline and not machine.tenure.lost:
            self._step(machine)
        self._interrupt(machine)
        # What ended in the last moment.
        machine.step()
        if not machine.tenure.lost:
            for claimed in machine.outlasting():
                logger.warning("%s outlasts the grace and goes back to the queue", name_of(claimed))

    def _interrupt(self, machine: Machine) -> None:
        """Stop what runs, and wait for those that notice."""
        machine.interrupt()
        now = time.monotonic()
        while machine.stoppable_load() and time.monotonic() < now + _CLEAN_UP:
            self._step(machine)
        while machine.awaited_load() > 0 and time.monotonic() < now + _TAKE_NOTICE:
            self._step(machine)

    def _tell_of_drain(self, machine: Machine, jobs: str) -> None:
        seconds = self._deadline - time.monotonic()
        if seconds == math.inf:
            logger.info("this process is being replaced and lets its %s finish", jobs)
        elif machine.is_spent and not self._asked:
            logger.info("this process is being replaced and gives its %s %.1f s to finish", jobs, seconds)
        else:
            logger.info(
                "stopping: %s under way may finish within %.1f s; a second signal gives back at once what runs",
                jobs,
                seconds,
            )

    def _step(self, machine: Machine) -> None:
        self._rest_for(machine, machine.step())

    def _rest_for(self, machine: Machine, seconds: float) -> None:
        if seconds > 0:
            self._rest(machine, seconds)
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
        return Machine(self._app, self._options, self._bell.ring, self._place, self._outage)

    def _meanwhile(self) -> str:
        return "no job is under way here" if self._machine is None else self._machine.meanwhile()

    def _next_machine(self, lost: Machine) -> Machine | None:
        """That of a new session, however long the store takes to begin one; None if asked to stop."""
        told = "session %d was taken for dead and its jobs were given to others; %s"
        if self._place.serves == "suspects" and lost.is_running:
            # A thread goes on with the job of the lost session, and beside it no other would run alone.
            logger.warning(told, lost.tenure.session, "this process ends, since a job still runs in it")
            return None
        logger.warning(told, lost.tenure.session, "going on under a new one")
        while not self._asked:
            try:
                if lost.was_asked_to_stop():
                    logger.info(_ASKED)
                    return None
                machine = self._new_machine()
            except StoreError as error:
                self._outage.failed("session", error)
                time.sleep(_AGAIN)
            else:
                self._outage.worked("session")
                return machine
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
