"""Who sees everything: each commit, each run of a task, each answer that a program got; by no code of taskmill's."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from simulation import rules
from simulation.host import Host, Lease
from simulation.process import Process
from simulation.rows import JobRow, Picture, SessionRow
from simulation.stores.base import Store


class Violation(Exception):
    """A promise of taskmill was broken."""


class Presence:
    """A process inside of what nobody else may do at the time.

    `is_excused`: it was taken from it with good reason, because it had stood still for too long, or was leaving.
    """

    def __init__(self, process: Process) -> None:
        self.process = process
        self.is_over = False
        self.is_excused = False

    @property
    def is_alive(self) -> bool:
        """Whether nobody else may do the same now."""
        return not self.is_over and not self.is_excused and self.process.is_alive


class Run(Presence):
    """One run of a task's function; `word`: how it ended, None as long as it has not and where it was cut off."""

    def __init__(self, job_id: str, fence: int, process: Process, earlier: int) -> None:
        super().__init__(process)
        self.job_id = job_id
        self.fence = fence
        self.earlier = earlier
        self.lock: str | None = None
        self.word: str | None = None

    @property
    def key(self) -> tuple[str, int]:
        """The claim that it is under."""
        return self.job_id, self.fence

    @property
    def has_succeeded(self) -> bool:
        return self.word in {"ok", "long"}

    def __str__(self) -> str:
        return f"the run under fence {self.fence} in {self.process}"


class Holding(Presence):
    """A block of a program that holds a lock."""

    def __init__(self, name: str, token: int, process: Process) -> None:
        super().__init__(process)
        self.name = name
        self.token = token

    def __str__(self) -> str:
        return f"the block in {self.process}"


class Witness:
    """The first violation is the one that counts: what follows may follow from it."""

    def __init__(self, host: Host, store: Store) -> None:
        self.host = host
        self.violation: Violation | None = None
        self.now = store.picture()
        self.looks = 0
        self.runs: defaultdict[str, list[Run]] = defaultdict(list)
        self.holdings: list[Holding] = []
        # Claims whose lock went to somebody else while their process stood still.
        self.lost_locks: set[tuple[str, int]] = set()
        # Since which look a job could have been claimed.
        self.free_since: dict[str, int] = {}
        self.asked_to_cancel: set[str] = set()
        self.asked_to_retry: set[str] = set()
        # How often a job ended (it may have been retried since), and was all that ran in a process that died.
        self.endings: Counter[str] = Counter()
        self.lone_deaths: Counter[str] = Counter()
        self._excused: set[tuple[str, int]] = set()
        self._labels: dict[str, str] = {}
        self._store = store

    # --- what programs tell

    def label(self, job_id: str) -> str:
        """A name of the job that is the same whenever the seed is."""
        return self._labels.get(job_id, "a job")

    def note_acknowledged(self, job_ids: Iterable[str]) -> None:
        """A program was told that these jobs are stored."""
        if any(job_id not in self._labels for job_id in job_ids):
            self.object("a job was acknowledged and is not stored")

    def begin(self, process: Process, job_id: str, fence: int) -> Run:
        """A task's function is called."""
        self.host.tell(f"{process} runs {self.label(job_id)} under fence {fence}")
        run = Run(job_id, fence, process, self._ended_before(job_id))
        run.is_excused = run.key in self._excused
        if row := self.now.jobs.get(job_id):
            run.lock = row.lock
        rules.on_begin(self, run)
        self.runs[job_id].append(run)
        return run

    def check_given(self, job_id: str, given: int) -> None:
        """A step got that as the result of the step before."""
        row = self.now.jobs.get(job_id)
        before = rules.step_before(self.now, row) if row else None
        if before is not None and before.result != str(given):
            self.object(f"{self.label(job_id)} got {given}, and the step before gave {before.result}")

    def hold(self, name: str, token: int, process: Process) -> Holding:
        """A program is inside of a block that holds a lock."""
        holding = Holding(name, token, process)
        lock = self.now.locks.get(name)
        # It may have stood still before it knew that it had the lock, for longer than its lease.
        holding.is_excused = lock is None or lock.token != token
        if not holding.is_excused:
            rules.on_lock(self, name, str(holding))
        self.holdings.append(holding)
        return holding

    def note_death(self, process: Process) -> None:
        """It takes down what runs in it; that can be one job's doing only if nothing else runs."""
        match list(self.runs_in(process)):
            case [run]:
                self.lone_deaths[run.job_id] += 1

    # --- what it sees by itself

    def look(self, actor: Process) -> None:
        """*actor* has just committed something."""
        if not self._store.has_changed():
            return
        self.looks += 1
        before, self.now = self.now, self._store.picture()
        self._note_leases(actor, before)
        for job_id in self.now.jobs:
            self._labels.setdefault(job_id, f"j{len(self._labels) + 1}")
        if self.host.is_told:
            self._tell(actor, before)
        rules.Commit(self, actor, before, self.now).judge()
        self._note_free(before)

    def object(self, what: str) -> None:
        """Say that a promise was broken."""
        if self.violation is None:
            self.violation = Violation(what)
            self.host.tell(f"VIOLATION: {what}")

    def excuse(self, job_id: str, fence: int) -> None:
        """That claim was taken away with good reason, whether or not its run has begun."""
        self._excused.add((job_id, fence))
        if run := self.run_of(job_id, fence):
            run.is_excused = True

    # --- what the rules ask

    def failures(self, job_id: str) -> int:
        """How often the function has really failed."""
        return sum(run.word == "fail" for run in self.runs[job_id])

    def run_of(self, job_id: str, fence: int) -> Run | None:
        return next((run for run in self.runs[job_id] if run.fence == fence), None)

    def runs_in(self, process: Process) -> Iterator[Run]:
        """What runs there at the moment."""
        return (run for run in self.all_runs() if run.process is process and not run.is_over)

    def all_runs(self) -> Iterator[Run]:
        return (run for runs in self.runs.values() for run in runs)

    def is_own(self, session: SessionRow, actor: Process) -> bool:
        return self.host.leases[session.file].owner is actor

    def is_forfeit(self, session: SessionRow, actor: Process) -> bool:
        """Whether *actor* may end the session, be it its own or not: its lease is over, or its process is gone."""
        lease = self.host.leases[session.file]
        if lease.until < self.host.monotonic():
            return True
        if lease.owner.is_alive:
            return False
        # As long as its supervisor lives, the end of it is for that to deal with.
        parent = self.now.sessions.get(session.parent or 0)
        return parent is None or self.is_own(parent, actor) or self.is_forfeit(parent, actor)

    def _ended_before(self, job_id: str) -> int:
        """How many runs of it came to an end of their own."""
        return sum(run.word not in {None, "crash"} for run in self.runs[job_id])

    def _note_leases(self, actor: Process, before: Picture) -> None:
        """Who has which lease, where the store knows of them; how long they last is known without it."""
        now = self.host.monotonic()
        for session, row in self.now.sessions.items():
            old = before.sessions.get(session)
            if row.lease is not None and old is None:
                self.host.leases[row.file] = Lease(actor, now + row.lease, row.lease)
            elif old is not None and old.until != row.until:
                self.host.leases[row.file].renew(now)

    def _note_free(self, before: Picture) -> None:
        for job_id, row in self.now.jobs.items():
            old = before.jobs.get(job_id)
            if not rules.is_free(row):
                self.free_since.pop(job_id, None)
            elif job_id not in self.free_since or old is None or _line(old) != _line(row):
                self.free_since[job_id] = self.looks

    def _tell(self, actor: Process, before: Picture) -> None:
        """What the commit has changed."""
        now = self.now
        for job_id, row in now.jobs.items():
            old = before.jobs.get(job_id)
            if old != row:
                self.host.tell(f"{actor}: {self.label(job_id)} {old.state if old else 'new'} -> {_told(row)}")
        for label in sorted(map(self.label, before.jobs.keys() - now.jobs.keys())):
            self.host.tell(f"{actor}: {label} is gone")
        for name in sorted(before.locks.keys() | now.locks.keys()):
            lock = now.locks.get(name)
            if before.locks.get(name) != lock:
                self.host.tell(f"{actor}: lock {name} {f'of session {lock.session}' if lock else 'is free'}")
        for session in sorted(before.sessions.keys() ^ now.sessions.keys()):
            self.host.tell(f"{actor}: session {session} {'begins' if session in now.sessions else 'ends'}")


def _line(row: JobRow) -> object:
    return row.queue, row.executor, row.place


def _told(row: JobRow) -> str:
    held = f" under session {row.session} and fence {row.fence}" if row.state == "running" else ""
    waits = f", waits for {row.waits_for}" if row.waits_for else ""
    return f"{row.state}{held}, attempt {row.attempt}{waits}{f', {row.reason}' if row.reason else ''}"
