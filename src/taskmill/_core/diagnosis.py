"""What is wrong with the work in a store, judged from its census: jobs, locks and schedules that nobody looks after."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from taskmill._core.census import Census, HeldLock, KnownSchedule, Presence, Serves, Waiting
from taskmill._core.finding import Finding, error, note, warning
from taskmill._core.identity import made_at
from taskmill._core.instant import HOUR, MINUTE, SECOND
from taskmill._core.schedule import of_spec
from taskmill._core.wording import counted, listed, sized, span

# What takes no longer than this is on its way.
_LONG_WAIT = 10 * MINUTE
_LONG_LOCK = 1 * HOUR
_LATE_SLOT = 1 * MINUTE
_CLOCK_STEP = 5 * SECOND
_LONG_CRATE = 10 * SECOND
_MUCH_PAYLOAD = 256 << 20
_MANY_ATTEMPTS = 100_000

_START = "start one: taskmill worker MODULE:MILL"


def diagnose(census: Census) -> Iterator[Finding]:
    """All findings on *census*, in no set order."""
    for rule in _RULES:
        yield from rule(census)


# --- jobs


def _no_worker(census: Census) -> Iterator[Finding]:
    due = [waiting for waiting in census.waiting if waiting.due]
    if due and not census.working:
        yield error("no-worker", f"{_due(due, census.now)}, and {census.lack_of_workers}", _START)


def _unserved(census: Census) -> Iterator[Finding]:
    """What no worker takes, said once: of a queue that has none, neither executor nor task is of interest."""
    working = census.working
    lacks: defaultdict[tuple[str, str, str], list[Waiting]] = defaultdict(list)
    for waiting in census.waiting:
        lack = lack_of(waiting.queue, waiting.executor, waiting.task, working) if working else None
        if lack is not None and waiting.due:
            lacks[lack].append(waiting)
    for (name, what, why), group in lacks.items():
        yield error(name, f"{_due(group, census.now, what)}, and no living worker {why}", _UNSERVED[name])


_UNSERVED = {
    "unserved-queue": f"{_START} --queues NAME, or add the queue to those of one that runs",
    "unserved-executor": "give one some: --threads for thread, --coroutines for asyncio, --process-slots for process",
    "unknown-task": "start a worker of the version that defines it, or give its new name aliases=",
}


def lack_of(queue: str, executor: str, task: str, working: Sequence[Serves]) -> tuple[str, str, str] | None:
    """The name of what keeps such jobs from being run, of which jobs that is true, and what no worker does."""
    of_queue = [serves for serves in working if serves.has_queue(queue)]
    if not of_queue:
        return "unserved-queue", f" of queue {queue!r}", "serves that"
    with_room = [serves for serves in of_queue if executor in serves.executors]
    if not with_room:
        what = f" for executor {executor!r} of queue {queue!r}"
        return "unserved-executor", what, "that serves the queue has room for them"
    if not any(task in serves.tasks for serves in with_room):
        return (
            "unknown-task",
            f" of task {task!r}",
            "that could take them knew the task when it started",
        )
    return None


def _backlog(census: Census) -> Iterator[Finding]:
    working = census.working
    queues: defaultdict[str, list[Waiting]] = defaultdict(list)
    for waiting in census.waiting:
        lack = lack_of(waiting.queue, waiting.executor, waiting.task, working)
        if waiting.due and working and lack is None and waiting.queue not in census.paused:
            queues[waiting.queue].append(waiting)
    for queue, group in queues.items():
        if census.now - _oldest(group, census.now) > _LONG_WAIT:
            yield warning(
                "backlog",
                f"{_due(group, census.now, f' of queue {queue!r}')}, though a worker serves it",
                "give it more --threads or --processes, or start another; taskmill queues list shows how it goes",
            )


def _paused(census: Census) -> Iterator[Finding]:
    for queue, since in census.paused.items():
        due = sum(waiting.due for waiting in census.waiting if waiting.queue == queue)
        yield note(
            "paused-queue",
            f"queue {queue!r} has been paused for {_lasting(census.now - since)}; {counted(due, 'due job')} in it "
            f"{'waits' if due == 1 else 'wait'}",
            f"taskmill queues resume {queue}",
        )


def _oldest(group: Sequence[Waiting], now: int) -> int:
    return min((waiting.oldest for waiting in group if waiting.oldest is not None), default=now)


def _due(group: Sequence[Waiting], now: int, what: str = "") -> str:
    due = sum(waiting.due for waiting in group)
    count = due or sum(waiting.queued for waiting in group)
    jobs = f"{counted(count, 'due job' if due else 'job')}{what} {'waits' if count == 1 else 'wait'}"
    return f"{jobs}, the oldest for {_lasting(now - _oldest(group, now))}" if due else jobs


# --- sessions and what they hold


def _dead_sessions(census: Census) -> Iterator[Finding]:
    gone = [each for each in census.sessions if each.life == "gone"]
    if not gone:
        return
    held = sum(each.held for each in gone)
    found = f"{counted(len(gone), 'session')} of processes that are gone: {_processes(gone)}"
    if not held:
        yield note("dead-sessions", found, "nothing; the next worker removes them")
    elif census.working:
        yield note(
            "dead-sessions", f"{found}; {_held(held)}", "nothing; a living worker takes that back at once"
        )
    else:
        yield warning("dead-sessions", f"{found}; {_held(held)}", f"{_START}; it takes that back")


def _silent_sessions(census: Census) -> Iterator[Finding]:
    silent = [each for each in census.sessions if each.life == "silent"]
    if silent:
        held = sum(each.held for each in silent)
        yield warning(
            "silent-sessions",
            f"{counted(len(silent), 'session')} without a sign of life for longer than their lease: "
            f"{_processes(silent)}; {_held(held)}",
            "look whether the process is stopped (SIGSTOP, a debugger), or the machine has no time for it",
        )


def _locks(census: Census) -> Iterator[Finding]:
    lives = {each.session: each.life for each in census.sessions}
    for lock in census.locks:
        if not lock.waiters:
            continue
        holder = f"job {lock.job_id}" if lock.job_id else f"session {lock.session}"
        found = f"lock {lock.name!r}, for which {_waiters(lock)}, is held by {holder}"
        if lives.get(lock.session, "gone") == "gone":
            if not census.working:
                yield warning("lock-of-the-dead", f"{found}, whose process is gone", f"{_START}; it frees it")
        elif census.now - lock.since > _LONG_LOCK:
            lasting = _lasting(census.now - lock.since)
            look = f"taskmill jobs show {lock.job_id}, or cancel it" if lock.job_id else "look at its process"
            yield warning("lock-held-long", f"{found} for {lasting}", f"{look}; a timeout= keeps that short")


def _waiters(lock: HeldLock) -> str:
    return f"{counted(lock.waiters, 'job')} {'waits' if lock.waiters == 1 else 'wait'}"


def _processes(sessions: Sequence[Presence]) -> str:
    return listed([f"{each.kind} {each.pid} on {each.host}" for each in sessions])


def _held(count: int) -> str:
    return (
        f"they hold {counted(count, 'job or lock')}" if count == 1 else f"they hold {count:,} jobs and locks"
    )


# --- schedules and time


def _schedules(census: Census) -> Iterator[Finding]:
    paused = [schedule for schedule in census.schedules if schedule.paused_at is not None]
    if paused:
        names = [f"{each.name!r} for {_lasting(census.now - (each.paused_at or 0))}" for each in paused]
        yield note(
            "paused-schedules",
            f"{counted(len(paused), 'schedule')} paused: {listed(names)}",
            "taskmill schedules resume NAME lets the next slot fire; those in the pause are not made up for",
        )
    running = [schedule for schedule in census.schedules if schedule.paused_at is None]
    late = {schedule: slot for schedule in running for slot in _late_slots(schedule, census.now)}
    working = census.working
    known = {task for serves in working for task in serves.tasks}
    left_over = [schedule for schedule in late if working and schedule.task not in known]
    missed = [schedule for schedule in late if schedule not in left_over]
    if missed:
        why = "though a worker knows their task" if working else f"and {census.lack_of_workers}"
        yield warning(
            "missed-schedules",
            f"{_overdue(missed, late, census.now)}, {why}",
            "look at the worker's log"
            if working
            else f"{_START}; of slots that were missed, the latest runs if it is less than an hour old",
        )
    if left_over:
        yield note(
            "left-over-schedules",
            f"{_overdue(left_over, late, census.now)}, and no living worker knew their task when it started",
            "nothing, if the program has them no more",
        )


def _late_slots(schedule: KnownSchedule, now: int) -> Iterator[int]:
    """The first slot that should have fired by now, if there is one."""
    lag = lag_of(schedule, now)
    if lag is not None and lag > _LATE_SLOT:
        yield now - lag


def lag_of(schedule: KnownSchedule, now: int) -> int | None:
    """For how long its next slot is overdue; None where only a worker can tell, as of an application's own making."""
    try:
        slot = of_spec(schedule.spec).next_after(schedule.last_slot)
    except ValueError:
        return None
    return 0 if slot is None else max(0, now - slot)


def _overdue(schedules: Sequence[KnownSchedule], late: dict[KnownSchedule, int], now: int) -> str:
    names = [f"{schedule.name!r} for {_lasting(now - late[schedule])}" for schedule in schedules]
    return f"{counted(len(names), 'schedule')} overdue: {listed(names)}"


def _clock(census: Census) -> Iterator[Finding]:
    ahead = census.newest - census.now
    if ahead > _CLOCK_STEP:
        yield warning(
            "clock",
            f"the wall clock of this host is {_lasting(ahead)} behind the newest entry of the store",
            "check the time of this host: until it has caught up, schedules and new delayed jobs are late",
        )


# --- moving house


def _crate(census: Census) -> Iterator[Finding]:
    """While a move is under way each crate is there for a moment only, but one follows the other."""
    if census.crate is None:
        return
    age = census.now - (made_at(census.crate.crate_id) or 0)
    if age > _LONG_CRATE:
        what = counted(census.crate.jobs, "job") if census.crate.jobs else "the schedules"
        yield warning(
            "interrupted-move",
            f"taskmill move has taken out {what} and has come no further for {_lasting(age)}: what it took out "
            "runs in neither store",
            "run the same move again, with the same two stores: it goes on where it was",
        )


# --- growth


def _outlived(census: Census) -> Iterator[Finding]:
    if census.outlived_at is None or census.now - census.outlived_at <= _LONG_WAIT:
        return
    found = (
        f"{counted(census.outlived, 'ended job')} should have been deleted, the first "
        f"{_lasting(census.now - census.outlived_at)} ago"
    )
    if census.working:
        yield warning(
            "unpruned", found, "look at the worker's log; taskmill purge --ended deletes all ended jobs"
        )
    else:
        yield note("unpruned", found, "nothing; a worker deletes them, a few thousand a second")


def _growth(census: Census) -> Iterator[Finding]:
    if census.payload > _MUCH_PAYLOAD:
        yield note(
            "payload",
            f"arguments and results take {sized(census.payload)}, of {counted(census.ended, 'ended job')} among others",
            "keep large data elsewhere and pass its path, or keep results for less long: result_ttl=",
        )
    if census.attempts > _MANY_ATTEMPTS:
        yield note(
            "attempts",
            f"the history has {counted(census.attempts, 'attempt')} that did not end their job",
            "look for tasks that retry very often: taskmill jobs list --state queued",
        )


def _lasting(micros: int) -> str:
    return span(micros / SECOND)


_RULES: Sequence[Callable[[Census], Iterator[Finding]]] = (
    _no_worker,
    _unserved,
    _backlog,
    _paused,
    _dead_sessions,
    _silent_sessions,
    _locks,
    _schedules,
    _clock,
    _crate,
    _outlived,
    _growth,
)
