"""Plain functions, each in a process beside the worker, which can be killed and may crash."""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from queue import SimpleQueue

from taskmill._app.application import Application
from taskmill._app.context import Tenure
from taskmill._core.crash import described
from taskmill._core.job import Claimed, ErrorInfo
from taskmill._core.limit import Limits, Stop
from taskmill._core.outcome import Crashed, Outcome, Raised, Released, stopped
from taskmill._storage.base import Slots
from taskmill._storage.open import is_shared
from taskmill._worker.bond import signals_held
from taskmill._worker.executors.base import Finished, Report, Ring
from taskmill._worker.report import harmless
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
from taskmill._worker.slot import HeldSlot, JobKey, Timekeeper

logger = logging.getLogger("taskmill.worker")

# How long a process whose worker stops may take for its own end.
_LAST_MOMENT = 2.0
# One that does not write its stacks in time is made to by a signal.
_DUMP_PATIENCE = 2.0

_UNSHARED = ErrorInfo(
    "ConfigurationError",
    'executor="process" needs a store that another process can reach, and memory:// lives in this one: use a file, '
    "sqlite:///jobs.db",
)


class Runner:
    """A process that runs jobs, and the line to it; it belongs to the thread that talks to it."""

    def __init__(self, url: str, log_level: int | None) -> None:
        self._line, theirs = socket.socketpair()
        with theirs, signals_held():
            # Not from the current folder, where a file may have the name of a module: it is told the path.
            command = [sys.executable, "-P", "-m", "taskmill._worker.runner", str(theirs.fileno())]
            # A group of its own: Ctrl-C is for the worker, and what a task has started is killed with it.
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], start_new_session=True)
        # Who only waits for the end of the line waits for all that the process has forked, too.
        self._death = os.pidfd_open(self._process.pid) if sys.platform == "linux" else None
        self._signs = selectors.DefaultSelector()
        for sign in (self._line, self._death):
            if sign is not None:
                self._signs.register(sign, selectors.EVENT_READ)
        self._received = b""
        self._owes_dump = False
        # One thread hands out the job, another one stops it.
        self._saying = threading.Lock()
        root_level = logging.getLogger().level
        self.say(Setup(os.getpid(), os.pathsep.join(sys.path), url, log_level, root_level))

    def say(self, message: Message) -> None:
        """Send, if there is still somebody."""
        with self._saying, suppress(OSError):
            self._line.sendall(LANGUAGE.line_of(message))

    @property
    def pid(self) -> int:
        return self._process.pid

    def dump(self) -> None:
        """Let it write its stacks."""
        self._owes_dump = True
        self.say(Dump())

    def insist_on_dump(self) -> None:
        """Let it write its stacks whatever it is at, if it has not; only until it is buried or dismissed."""
        if self._owes_dump:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGUSR1)

    def hear(self) -> Message | None:
        """The next message about its job; None if the process has died."""
        while isinstance(message := self._next_message(), Dumped):
            self._owes_dump = False
        return message

    def _next_message(self) -> Message | None:
        messages: list[Message] = []
        while not messages:
            while b"\n" not in self._received:
                more = self._more()
                if not more:
                    return None
                self._received += more
            line, _, self._received = self._received.partition(b"\n")
            messages = LANGUAGE.messages_in([line])
        return messages[0]

    def kill(self) -> None:
        """Kill it, with what it has started. Any thread may do so, until it is buried or dismissed."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def bury(self) -> int:
        """See to it that nothing is left of it; its status as subprocess has it."""
        # It may be dead, and what it has started not; until it is waited for, its number is its own.
        self.kill()
        status = self._process.wait()
        self._close()
        return status

    def dismiss(self) -> None:
        """Let it end by itself, if it takes no more than a moment."""
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(_LAST_MOMENT)
        except subprocess.TimeoutExpired:
            self.bury()
        else:
            self._close()

    def _close(self) -> None:
        self._signs.close()
        self._line.close()
        if self._death is not None:
            os.close(self._death)

    def _more(self) -> bytes:
        self._signs.select()
        with suppress(OSError):
            return self._line.recv(1 << 16, socket.MSG_DONTWAIT)
        return b""


class ProcessSlot(HeldSlot):
    """Room for one job in a process; such a job is told to stop, then killed."""

    def __init__(self, timekeeper: Timekeeper, tenure: Tenure, number: int = 0) -> None:
        super().__init__(timekeeper)
        self.number = number
        self._tenure = tenure
        self.inbox: SimpleQueue[Claimed | None] = SimpleQueue()
        self.thread: threading.Thread | None = None
        self._runner: Runner | None = None

    def ask(self, order: Run, url: str) -> Message | None:
        """Give the process a job; its first answer, None if it died or the job was stopped before it began.

        One that is kept may have died since its last job: then it is a fresh one that counts.
        """
        if self._runner is not None:
            self._runner.say(order)
            answer = self._runner.hear()
            if answer is not None or self.stop_of(order.claimed) is not None:
                return answer
            self.bury()
        runner = Runner(url, self._tenure.log_level)
        with self._mutex:
            self._runner = runner
            is_stopped = self.stop_of(order.claimed) is not None
        if is_stopped:
            return None
        runner.say(order)
        return runner.hear()

    def hear(self) -> Message | None:
        """What it says next of how the job goes on; None if it died. What the job itself has said is noted."""
        if self._runner is None:
            return None
        while isinstance(message := self._runner.hear(), Noted):
            if self.job is not None and self._tenure.open_notes is not None:
                self._tenure.open_notes(self.job).relay(message.said)
        return message

    def running(self) -> tuple[Claimed, int | None] | None:
        """The job that is in it and the number of its process, None while that is being started."""
        job, runner = self.job, self._runner
        return None if job is None else (job, None if runner is None else runner.pid)

    def dump(self) -> None:
        """Let the process write its stacks, if a job is in it."""
        with self._mutex:
            runner = self._runner
            if self.job is None or runner is None:
                return
            runner.dump()
        timer = threading.Timer(_DUMP_PATIENCE, self._insist_on_dump, [runner])
        timer.daemon = True
        timer.start()

    def _insist_on_dump(self, runner: Runner) -> None:
        with self._mutex:
            if self._runner is runner:
                runner.insist_on_dump()

    def halt(self, stop: Stop) -> None:
        """Kill the job that is in it, if there is one."""
        with self._mutex:
            if self.job is not None:
                self._kill(self.job, stop)

    def bury(self) -> int:
        """Be done with a process that has died; its status."""
        runner = self._take_runner()
        return 0 if runner is None else runner.bury()

    def close(self) -> None:
        """Let the process end, if there is one."""
        runner = self._take_runner()
        if runner is not None:
            runner.dismiss()

    def _take_runner(self) -> Runner | None:
        with self._mutex:
            # From here on nobody else kills it: its number may be another one's soon.
            runner, self._runner = self._runner, None
        return runner

    def _stop(self, held: Claimed, stop: Stop) -> bool:
        if stop == "force":
            self._kill(held, self.stop_of(held) or "hard")
        elif stop == "hard":
            self._kill(held, stop)
        else:
            # Where there is no process yet, the job will not be given to it.
            self._note(held, stop)
            if self._runner is not None:
                self._runner.say(Halt(held.job_id, held.fence, stop))
        return True

    def _kill(self, held: Claimed, stop: Stop) -> None:
        self._note(held, stop)
        if self._runner is not None:
            self._runner.kill()


class ProcessExecutor:
    """Processes are started when there is a job for them, kept for the next one, and replaced when they have died."""

    def __init__(
        self,
        processes: int,
        app: Application,
        tenure: Tenure,
        *,
        timekeeper: Timekeeper,
        slots: Slots,
        first_slot: int,
        report: Report,
        ring: Ring,
    ) -> None:
        self.slots = processes
        self._app = app
        self._tenure = tenure
        self._report = report
        self._ring = ring
        self._mutex = threading.Lock()
        self._waiting: deque[Claimed] = deque()
        self._noted = slots
        self._held = [ProcessSlot(timekeeper, tenure, first_slot + number) for number in range(processes)]
        # The one that was used last is at the end: its process is warm.
        self._free = list(self._held)
        self._load = 0
        self._is_closing = False

    def load(self) -> int:
        return self._load

    def submit(self, jobs: Sequence[Claimed]) -> None:
        with self._mutex:
            self._load += len(jobs)
            for job in jobs:
                if self._free:
                    self._hand_to(self._free.pop(), job)
                else:
                    self._waiting.append(job)

    def withdraw(self) -> Sequence[Claimed]:
        with self._mutex:
            jobs = list(self._waiting)
            self._waiting.clear()
            self._load -= len(jobs)
        return jobs

    def cancel(self, key: JobKey) -> bool:
        return any(slot.cancel(key) for slot in self._held)

    def running(self) -> dict[Claimed, int | None]:
        """What runs at this moment, with the number of its process; None while that is being started."""
        return dict(each for slot in self._held if (each := slot.running()) is not None)

    def dump(self) -> None:
        """Let the processes that run a job write their stacks to standard error."""
        for slot in self._held:
            slot.dump()

    def interrupt(self) -> None:
        for slot in self._held:
            slot.halt("release")

    def close(self) -> None:
        """Kill what still runs, and let the others end."""
        self._is_closing = True
        self.interrupt()
        for slot in self._held:
            slot.inbox.put(None)
        for slot in self._held:
            if slot.thread is not None:
                slot.thread.join(2 * _LAST_MOMENT)

    def _hand_to(self, slot: ProcessSlot, job: Claimed) -> None:
        slot.inbox.put(job)
        if slot.thread is None:
            # It outlives the process that it starts: the kernel kills that with the thread that began it.
            slot.thread = threading.Thread(
                target=self._work, args=(slot,), name="taskmill-process", daemon=True
            )
            slot.thread.start()

    # --- in the thread of a slot

    def _work(self, slot: ProcessSlot) -> None:
        job = slot.inbox.get()
        while job is not None:
            self._report(self._finished(job, slot))
            with self._mutex:
                self._load -= 1
            self._ring()
            job = self._next(slot)
        slot.close()

    def _next(self, slot: ProcessSlot) -> Claimed | None:
        with self._mutex:
            if self._waiting and not self._is_closing:
                return self._waiting.popleft()
            self._free.append(slot)
        return slot.inbox.get()

    def _finished(self, job: Claimed, slot: ProcessSlot) -> Finished:
        started_at, begun = self._app.storage.now(), time.perf_counter()
        slot.job = job
        # It can kill this process, too.
        self._noted.note(slot.number, job.ref, job.fence)
        try:
            outcome = self._outcome(job, slot)
        except BaseException as error:
            logger.exception("%s %s: no process could be had for it", job.task, job.job_id)
            outcome = Raised(ErrorInfo(type(error).__name__, f"no process could be had for it: {error}"))
        finally:
            self._noted.clear(slot.number)
            slot.let_go()
        return Finished(job, outcome, started_at, time.perf_counter() - begun)

    def _outcome(self, job: Claimed, slot: ProcessSlot) -> Outcome:
        if self._is_closing:
            return Released()
        if not is_shared(self._app.url):
            return Raised(_UNSHARED, is_retriable=False)
        task = self._app.tasks[job.task]
        limits = task.limits or Limits()
        answer = slot.ask(Run(task.func.__module__, self._tenure.session, job), self._app.url)
        if isinstance(answer, Begun):
            with harmless():
                self._app.tell_claimed("started", job)
            answer = slot.hear()
        if isinstance(answer, Called):
            slot.expect(limits)
            answer = slot.hear()
        if isinstance(answer, Ended):
            if answer.is_reported:
                self._app.reported.note(job)
            return answer.outcome
        status, stop = slot.bury(), slot.stop_of(job)
        if stop is not None and stop != "soft":
            return stopped(stop, limits)
        return Crashed(described(status))
