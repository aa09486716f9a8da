"""What the worker's tests are written with: a machine that is stepped by hand, a store that can be in trouble."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any, Self

from taskmill import Mill
from taskmill._app.context import Tenure
from taskmill._app.task import Task
from taskmill._core.instant import SECOND
from taskmill._core.job import EXECUTORS, Claimed
from taskmill._core.outcome import Outcome
from taskmill._core.record import Job
from taskmill._storage.base import Storage
from taskmill._worker.attempt import Attempts
from taskmill._worker.machine import Machine
from taskmill._worker.options import WorkerOptions
from taskmill.errors import StoreBusy

DEADLINE = 45.0
LEASE = 30 * SECOND


def wait_for(condition: Callable[[], Any], what: str = "the condition", timeout: float = DEADLINE) -> Any:
    """Poll until *condition* holds and return what it returned; the timeout is a failure, not a measure."""
    began = time.monotonic()
    while not (found := condition()):
        waited = time.monotonic() - began
        assert waited < timeout, f"not within {timeout:g} s: {what}"
        # The longer it takes the more seldom, or who looks would take the processor from those who are looked at.
        time.sleep(min(0.002 + waited / 20, 0.05))
    return found


class Gate:
    """A place in a task's body: it says who came in and lets nobody out before it is opened."""

    def __init__(self) -> None:
        self.inside: list[Any] = []
        self._open = threading.Event()

    def pass_through(self, who: Any = None) -> None:
        self.inside.append(who)
        assert self._open.wait(DEADLINE)

    def open(self) -> None:
        self._open.set()

    def wait_for(self, count: int) -> None:
        wait_for(lambda: len(self.inside) >= count, f"{count} at the gate, there are {self.inside}")


def a_gated_task(mill: Mill, gate: Gate, name: str = "gated") -> Task[[], None]:
    """A task that waits at *gate*."""

    @mill.task(name=name)
    def gated() -> None:
        gate.pass_through()

    return gated


class Stepper:
    """A machine without a driver."""

    def __init__(self, mill: Mill, **options: Any) -> None:
        self._rung = threading.Event()
        self.machine = Machine(mill.app, WorkerOptions(**options), self._rung.set)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.machine.close()

    def step(self, times: int = 1) -> float:
        """Step so often; what the last one returned."""
        return [self.machine.step() for _ in range(times)][-1]

    def until(self, condition: Callable[[], Any], what: str = "the condition") -> None:
        """Step as a driver does until *condition* holds."""
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, f"not within {DEADLINE:g} s: {what}"
            rest = self.machine.step()
            if rest > 0:
                self._rung.wait(min(rest, 0.01))
            self._rung.clear()

    def until_idle(self) -> None:
        """Step until all that is due now has ended."""
        self.machine.step()
        self.until(lambda: self.machine.is_idle, "the machine is idle")


class Lost:
    """A call that does what it should, and raises nevertheless."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error or busy()


class Faults:
    """Trouble for the operations of a store, to come one after the other as planned."""

    def __init__(self) -> None:
        self._planned: defaultdict[str, deque[BaseException | Lost | None]] = defaultdict(deque)
        self._always: dict[str, BaseException] = {}
        self.calls: list[str] = []

    def plan(self, operation: str, *troubles: BaseException | Lost | None) -> None:
        """Let the next calls raise instead of doing anything; None: that call goes well."""
        self._planned[operation].extend(troubles)

    def break_down(self, operation: str, error: BaseException | None = None) -> None:
        """Let all calls raise until `heal`."""
        self._always[operation] = error or busy()

    def heal(self) -> None:
        self._always.clear()
        self._planned.clear()

    def count(self, operation: str) -> int:
        return self.calls.count(operation)

    def around(self, operation: str, call: Callable[[], Any]) -> Any:
        self.calls.append(operation)
        planned = self._planned[operation].popleft() if self._planned[operation] else None
        trouble = self._always.get(operation, planned)
        if isinstance(trouble, BaseException):
            raise trouble
        answer = call()
        if isinstance(trouble, Lost):
            raise trouble.error
        return answer


class _FaultyRole:
    def __init__(self, role: Any, faults: Faults, prefix: str = "") -> None:
        self._role = role
        self._faults = faults
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._role, name)
        if not callable(operation):
            return operation
        known_as = self._prefix + name

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._faults.around(known_as, lambda: operation(*args, **kwargs))

        return call


class FaultyStorage:
    """Any store, with faults in its jobs (``turn``), sessions (``sessions.renew``) and so on, and ``version``."""

    def __init__(self, storage: Storage, faults: Faults) -> None:
        self._storage = storage
        self._faults = faults
        self.jobs = _FaultyRole(storage.jobs, faults)
        for role in ("sessions", "schedules", "limits", "statistics", "journals", "inspection"):
            setattr(self, role, _FaultyRole(getattr(storage, role), faults, f"{role}."))
        self.wake = storage.wake
        self.is_remote = storage.is_remote

    def version(self) -> int:
        return int(self._faults.around("version", self._storage.version))

    def now(self) -> int:
        return self._storage.now()

    def close(self) -> None:
        self._storage.close()


def with_faults(mill: Mill) -> Faults:
    """Put a store that can be in trouble under *mill*."""
    faults = Faults()
    storage: Any = FaultyStorage(mill.app.storage, faults)
    mill.app._storage = storage
    return faults


def busy() -> StoreBusy:
    return StoreBusy("jobs.db", 5.0, "process 1")


def claim(mill: Mill, session: int | None = None, **wants: int) -> list[Claimed]:
    """Claim what is due under a session that nobody renews."""
    if session is None:
        session = mill.app.storage.sessions.open(kind="worker", lease=LEASE)
    turn = mill.app.storage.jobs.turn(
        session,
        [],
        claim=time.monotonic_ns(),
        wants={executor: wants.get(executor, 100) for executor in EXECUTORS},
        queues=None,
    )
    return list(turn.claimed)


def run_next(mill: Mill, tenure: Tenure | None = None) -> Outcome:
    """Claim the only job that is due and run its function here."""
    [claimed] = claim(mill)
    return Attempts(mill.app, tenure or Tenure(1)).run(claimed)


def job_of(mill: Mill, job_id: str) -> Job:
    return mill.result(job_id).job()
