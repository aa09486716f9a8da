"""The process beside a worker in which a job of executor "process" runs: one at a time, one after the other.

It belongs to its worker: it goes when the line between them is cut, and is killed with it.
"""

from __future__ import annotations

import faulthandler
import importlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import SimpleQueue
from types import FrameType, ModuleType
from typing import BinaryIO

from taskmill._app.application import Application
from taskmill._app.context import Tenure, awaited_threads
from taskmill._core.job import Claimed
from taskmill._core.limit import Limits, Stop
from taskmill._core.outcome import Raised
from taskmill._worker import capture, stacks
from taskmill._worker.attempt import Attempts, info_of
from taskmill._worker.bond import die_with, leave_signals_to_the_parent, take_signals
from taskmill._worker.interrupt import KINDS, is_safe_at
from taskmill._worker.runner.journal import RunnerJournal
from taskmill._worker.runner.messages import (
    LANGUAGE,
    Begun,
    Called,
    Dump,
    Dumped,
    Ended,
    Halt,
    Message,
    Noted,
    Run,
    Setup,
)
from taskmill._worker.slot import JobKey, Slot, next_pause
from taskmill.errors import UnknownTask

# Its default is to do nothing, so that one which comes too early or too late does no harm.
_STOP_SIGNAL = signal.SIGURG


class RunnerSlot(Slot):
    """The main thread with the job that it runs; stopped by a signal, which ends a wait in C as well.

    The signal does nothing outside of the function, and nothing where an exception would do harm: it is sent until it
    was heeded, or the attempt is over. *on_call* is called when the time limits of a job begin to count.
    """

    def __init__(self, on_call: Callable[[], None]) -> None:
        super().__init__()
        self._on_call = on_call
        self._attempt: JobKey | None = None
        self._main = threading.main_thread().ident or 0
        self._asked: Halt | None = None
        self._done: tuple[Claimed, Stop] | None = None
        self._cancelled: JobKey | None = None
        signal.signal(_STOP_SIGNAL, self._on_signal)

    def begin(self, key: JobKey) -> None:
        """That claim of a job is about to be run, and can be stopped; called by the thread that listens."""
        self._attempt = key

    def end(self) -> None:
        """What comes now to stop it comes too late."""
        self._attempt = self._asked = None

    def expect(self, limits: Limits) -> None:  # noqa: ARG002  (the worker knows them)
        # What is said must not be torn by an exception.
        job, self.job = self.job, None
        self._on_call()
        self.job = job

    def let_go(self) -> None:
        self.job = None
        awaited_threads.discard(self._main)

    def halt(self, asked: Halt) -> None:
        """Stop the job as soon as its function runs and where that is safe; called by the thread that listens."""
        key, before = JobKey(asked.job_id, asked.fence), self._asked
        if asked.stop == "cancel":
            self._cancelled = key
        elif before is not None and before.stop == "cancel" and before[:2] == key:
            return
        self._asked = asked
        threading.Thread(target=self._insist, args=(asked,), name="taskmill-stop", daemon=True).start()

    def is_cancelled(self, claimed: Claimed) -> bool:
        return self._cancelled == (claimed.job_id, claimed.fence)

    def stop_of(self, claimed: Claimed) -> Stop | None:
        done = self._done
        return done[1] if done is not None and done[0] is claimed else None

    def _insist(self, asked: Halt) -> None:
        pause = 0.0
        while self._asked is asked and self._attempt == asked[:2]:
            if self.job is not None:
                signal.pthread_kill(self._main, _STOP_SIGNAL)
            pause = next_pause(pause)
            time.sleep(pause)

    def _on_signal(self, _number: int, frame: FrameType | None) -> None:
        asked, job = self._asked, self.job
        if asked is None or job is None or (job.job_id, job.fence) != asked[:2]:
            return
        if frame is None or not is_safe_at(frame):
            awaited_threads.add(self._main)
            return
        awaited_threads.discard(self._main)
        self._asked = None
        self._done = (job, asked.stop)
        raise KINDS[asked.stop]


class RunnerTenure(Tenure):
    """The worker holds the job and says what becomes of it; where it lost the job, this process is killed."""

    def __init__(self, session: int, slot: RunnerSlot, journal: RunnerJournal, log_level: int | None) -> None:
        super().__init__(session, journal.open, log_level)
        self._slot = slot

    def is_unwanted(self, _app: Application, claimed: Claimed) -> bool:
        return self._slot.is_cancelled(claimed)


class Runner:
    """Runs what it is told to, until the line is cut."""

    def __init__(self, line: socket.socket, url: str, log_level: int | None) -> None:
        self._line = line
        self._url = url
        self._log_level = log_level
        self._journal = RunnerJournal(lambda said: self._say(Noted(said)))
        self._slot = RunnerSlot(lambda: self._say(Called()))
        self._orders: SimpleQueue[Run | None] = SimpleQueue()
        self._ready: set[Application] = set()
        self._order: Run | None = None
        # Two threads speak: the one that works, and the one that listens.
        self._speaking = threading.Lock()
        # For when Python itself hangs: the handler is in C and needs nothing of the interpreter.
        with _harmless_dump():
            faulthandler.register(signal.SIGUSR1, all_threads=True)

    def serve(self, lines: BinaryIO) -> None:
        threading.Thread(target=self._listen, args=(lines,), name="taskmill-line", daemon=True).start()
        while (order := self._orders.get()) is not None:
            self._order = order
            ended = self._run(order)
            self._slot.end()
            self._order = None
            self._journal.conclude()
            self._say(ended)
        for app in self._ready:
            for hook in app.stop_hooks:
                hook()

    def _listen(self, lines: BinaryIO) -> None:
        for line in lines:
            for message in LANGUAGE.messages_in([line]):
                self._obey(message)
        if self._slot.job is not None:
            os._exit(1)
        self._orders.put(None)

    def _obey(self, message: Message) -> None:
        match message:
            case Run() as order:
                self._slot.begin(JobKey(order.claimed.job_id, order.claimed.fence))
                self._orders.put(order)
            case Halt() as asked:
                self._slot.halt(asked)
            case Dump():
                self._dump()

    def _say(self, message: Message) -> None:
        with self._speaking:
            self._line.sendall(LANGUAGE.line_of(message))

    def _dump(self) -> None:
        order, main = self._order, threading.main_thread().ident
        jobs = {} if order is None or main is None else {main: order.claimed}
        with _harmless_dump():
            sys.stderr.write(stacks.told(jobs))
            sys.stderr.flush()
        self._say(Dumped())

    def _run(self, order: Run) -> Ended:
        try:
            app = self._app_of(order)
        except BaseException as error:  # noqa: BLE001  (whatever the application does where it is imported)
            return Ended(Raised(info_of(error, f"{order.module}, imported by a process of its own: ")))
        self._say(Begun())
        tenure = RunnerTenure(order.session, self._slot, self._journal, self._log_level)
        attempts = Attempts(app, tenure, tells_start=False)
        outcome = attempts.run(order.claimed, self._slot)
        return Ended(outcome, order.claimed in app.reported)

    def _app_of(self, order: Run) -> Application:
        """The application that knows the task, ready for it."""
        module = importlib.import_module(order.module)
        app = next((app for app in _apps_in(module) if app.tasks.find(order.claimed.task)), None)
        if app is None:
            raise UnknownTask(order.claimed.task, f", looked for at the top level of {order.module}")
        if app not in self._ready:
            self._make_ready(app)
        return app

    def _make_ready(self, app: Application) -> None:
        if app.url != self._url:
            app.configure(self._url)
        for hook in app.start_hooks:
            hook()
        self._ready.add(app)


def _harmless_dump() -> suppress:
    """Around what needs standard error, which may be missing, replaced or closed: no reason to lose a job."""
    return suppress(Exception)


def _apps_in(module: ModuleType) -> Iterator[Application]:
    """Those of the tasks and Mills at the top level of *module*."""
    for value in vars(module).values():
        app = None
        with suppress(Exception):  # whatever stands there may object to being asked
            app = getattr(value, "app", None)
        if isinstance(app, Application):
            yield app


def main(descriptor: int) -> None:
    """Serve the worker at the other end of that socket."""
    leave_signals_to_the_parent()
    line = socket.socket(fileno=descriptor)
    # What a task starts must not keep the line open.
    line.set_inheritable(False)
    lines = line.makefile("rb")
    setup = LANGUAGE.message_of(lines.readline())
    assert isinstance(setup, Setup)  # noqa: S101  (a mistake of ours)
    die_with(setup.parent)
    sys.path[:] = setup.path.split(os.pathsep)
    runner = Runner(line, setup.url, setup.log_level)
    if setup.log_level is not None:
        capture.install()
        # Where the application sets up no log of its own, what counts in the worker counts here; nothing is printed.
        logging.getLogger().setLevel(setup.root_level)
    take_signals()
    runner.serve(lines)


if __name__ == "__main__":
    main(int(sys.argv[1]))
