"""What the processes do: workers, a supervisor with its children, and those who want something of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, cast

from simulation.process import INIT, Process
from simulation.tasks import Word, make_mill
from simulation.world import World
from taskmill import Mill
from taskmill._app.signature import Pipeline, Signature
from taskmill._core.instant import SECOND
from taskmill._storage.open import open_storage
from taskmill._worker.child import Child
from taskmill._worker.guardian import Guardian
from taskmill._worker.messages import Begin, FromChild, FromParent, Role
from taskmill._worker.options import WorkerOptions
from taskmill._worker.supervisor import Child as Watched
from taskmill._worker.supervisor import Supervisor, SupervisorOptions
from taskmill.errors import LockTimeout, StoreError

THREADS = 2
# In seconds; longer than a simulation with all that is done to its clock.
KEPT = 100_000
LOCKS = ("L", "M")
# For a worker that is asked to stop, in seconds: what runs is often left in the middle of it.
GRACES = (0.0, 0.0, 1.0)
# What makes its process crash runs only where somebody watches that process.
POISON = "poison"
QUEUES = ("default", "mail")

Program = Callable[[], None]


class Site:
    """The processes that a seed has, each started again after its death by an init that never dies."""

    def __init__(self, world: World, lease: float) -> None:
        self.world = world
        self.lease = lease
        self.is_closing = False
        self.has_parent = False
        self.known: list[str] = []
        self._chance = world.host.chance

    def open(self) -> None:
        """Start all."""
        init = Process(1, INIT, None)
        self.world.host.processes.append(init)
        chance = self._chance
        self.has_parent = chance.random() < 0.5
        workers = chance.randrange(0 if self.has_parent else 1, 4 - self.has_parent)
        programs = [("worker", self.work)] * workers
        programs += [("parent", self.supervise)] * self.has_parent
        programs += [("producer", self.produce)] * chance.randrange(1, 3)
        programs += [("operator", self.operate)]
        programs += [("client", self.hold_locks)] * chance.randrange(1, 3)
        for name, program in programs:
            self.world.host.thread(partial(self._keep, name, program), init, name)

    def _keep(self, name: str, program: Program) -> None:
        scheduler = self.world.host.scheduler
        while True:
            scheduler.wait(self.world.host.start(name, program).has_ended)
            scheduler.wait(seconds=self._chance.uniform(0.05, 1.0))
            if self.is_closing and name not in ("worker", "parent"):
                return

    # --- workers

    def work(self) -> None:
        mill = make_mill(self.world, self.lease)
        grace = self._chance.choice(GRACES)
        worker = mill.worker(threads=THREADS, coroutines=1, process_slots=0, queues=QUEUES, grace=grace)
        self._process.on_stop = worker.ask_to_stop
        worker.start()
        worker.finish()
        mill.close()

    def supervise(self) -> None:
        Parent(self.world, self.lease, self._chance.randrange(1, 3)).run()

    # --- those who want something

    def produce(self) -> None:
        mill = make_mill(self.world, self.lease)
        while not self.is_closing:
            self._pause(1.0)
            calls = [self._call(mill) for _ in range(self._chance.choice([1, 1, 1, 3]))]
            jobs = [job for call in calls for job in call.new_jobs()]
            # What is not kept after it ended could run again if it were enqueued twice.
            is_kept = all(job.result_ttl == KEPT * SECOND for job in jobs)
            for _ in range(self._chance.randrange(1, 6) if is_kept else 1):
                with suppress(StoreError):
                    job_ids = mill.app.submit(jobs)
                    self.world.witness.note_acknowledged(job_ids)
                    self.known += job_ids
                    break
                self._pause(0.3)
        mill.close()

    def operate(self) -> None:
        mill, witness = make_mill(self.world, self.lease), self.world.witness
        while not self.is_closing:
            self._pause(2.0)
            if not self.known:
                continue
            job_id = self._chance.choice(self.known[-15:])
            with suppress(StoreError):
                if self._chance.random() < 0.5:
                    witness.asked_to_cancel.add(job_id)
                    mill.cancel(job_id)
                else:
                    witness.asked_to_retry.add(job_id)
                    mill.retry(job_id)
        mill.close()

    def hold_locks(self) -> None:
        mill = make_mill(self.world, self.lease)
        while not self.is_closing:
            self._pause(0.5)
            name = self._chance.choice(LOCKS)
            with suppress(StoreError, LockTimeout), mill.lock(name, timeout=2) as lock:
                holding = self.world.witness.hold(name, lock.token, self._process)
                try:
                    self._pause(1.0)
                finally:
                    holding.is_over = True
        mill.close()

    def _call(self, mill: Mill) -> Signature[Any] | Pipeline[Any]:
        chance = self._chance
        if chance.random() < 0.25:
            first = self._step(mill, "job")
            steps = [self._step(mill, "step") for _ in range(chance.randrange(1, 4))]
            return Pipeline((first, *steps))
        return self._step(mill, chance.choice(["job", "hasty"]))

    def _step(self, mill: Mill, name: str) -> Signature[Any]:
        chance = self._chance
        script: Sequence[Word] = chance.choice(
            [
                ["ok"],
                ["ok"],
                ["long"],
                ["long"],
                ["fail", "ok"],
                ["fail", "fail", "ok"],
                ["fail"],
                ["snooze", "ok"],
                ["cancel"],
                ["long"],
            ]
        )
        options: dict[str, Any] = {
            "queue": chance.choice(QUEUES),
            "priority": chance.choice([0, 0, 0, 5]),
            "retries": chance.choice([0, 1, 2]),
            "result_ttl": chance.choice([0, 2, KEPT, KEPT, KEPT]),
        }
        if chance.random() < 0.3:
            options["lock"] = chance.choice(LOCKS)
        if chance.random() < 0.2:
            options["delay"] = chance.uniform(0, 3)
        elif chance.random() < 0.1:
            options["expires"] = chance.uniform(0, 3)
        if self.has_parent and chance.random() < 0.1:
            options["queue"], script = POISON, chance.choice([["crash", "ok"], ["crash"]])
        task = mill.app.tasks.find(name)
        assert task is not None
        return task.using(**options).s(script=script)

    # --- the process that this is

    @property
    def _process(self) -> Process:
        return self.world.host.scheduler.process

    def _pause(self, longest: float) -> None:
        self.world.host.scheduler.wait(seconds=self._chance.uniform(0, longest))


class Line:
    """The child's end of its line to the supervisor; what is said arrives."""

    def __init__(self, world: World, parent: Parent) -> None:
        self._scheduler = world.host.scheduler
        self._parent = parent
        self.said: list[FromParent] = []
        self.child: ChildProcess | None = None

    def say(self, message: FromChild) -> None:
        assert self.child is not None
        self._parent.heard.append((self.child, message))

    def hear(self) -> Sequence[FromParent] | None:
        self._scheduler.wait(lambda: bool(self.said))
        messages, self.said = self.said, []
        return messages


class ChildProcess:
    """A child as its supervisor has it."""

    def __init__(self, world: World, process: Process, line: Line) -> None:
        self._world = world
        self.process = process
        self._line = line

    @property
    def pid(self) -> int:
        return self.process.pid

    def say(self, message: FromParent) -> None:
        self._line.said.append(message)

    def kill(self) -> None:
        self._world.host.kill(self.process)

    def dump(self) -> None:
        pass

    def is_stopped(self) -> bool:
        return self.process.goes_on_at > self._world.host.monotonic()

    def memory(self) -> int:
        return 0


class Parent:
    """The supervising process: the real supervisor and guardian, between simulated processes."""

    def __init__(self, world: World, lease: float, processes: int) -> None:
        self.heard: list[tuple[ChildProcess, FromChild]] = []
        self._world = world
        self._lease = lease
        self._process = world.host.scheduler.process
        self._guardian = Guardian(lambda url: open_storage(url, clock=world.host))
        options = SupervisorOptions(processes=processes, grace=world.host.chance.choice(GRACES))
        self._supervisor = Supervisor(
            options, self._spawn, self._guardian, lambda: world.host.monotonic() / SECOND, lambda _: None
        )
        self._process.on_stop = self._supervisor.ask_to_stop
        self._processes: list[ChildProcess] = []

    def run(self) -> None:
        scheduler = self._world.host.scheduler
        while not self._supervisor.is_over:
            rest = self._supervisor.step()
            scheduler.wait(self._has_news, rest)
            self._hear()
            for process in [each for each in self._processes if not each.process.is_alive]:
                self._hear()
                self._processes.remove(process)
                self._supervisor.mourn(self._watched(process), process.process.status or 0)
        self._guardian.close()

    def _has_news(self) -> bool:
        return bool(self.heard) or any(not each.process.is_alive for each in self._processes)

    def _hear(self) -> None:
        while self.heard:
            process, message = self.heard.pop(0)
            self._supervisor.hear(self._watched(process), message)

    def _watched(self, process: ChildProcess) -> Watched:
        return next(child for child in self._supervisor.children if child.process is process)

    def _spawn(self, role: Role) -> ChildProcess:
        line = Line(self._world, self)
        process = self._world.host.start(
            "child" if role == "worker" else "solitary", lambda: self._be_child(line, role), self._process
        )
        line.child = ChildProcess(self._world, process, line)
        self._processes.append(line.child)
        return line.child

    def _be_child(self, line: Line, role: Role) -> None:
        """In the child."""
        mill = make_mill(self._world, self._lease)
        child = Child(cast(Any, line), max_jobs=0)
        child._obey(Begin(role))
        options = WorkerOptions(threads=THREADS, coroutines=1, process_slots=0, grace=math.inf)
        child.run(mill.app, options)
        mill.close()
        child.leave(0)
