"""What goes in and out, as types: mypy holds the code to them, and openapi.json is made of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

from taskmill._core.job import HIGHEST_PRIORITY, LOWEST_PRIORITY, State

Instant = Annotated[str, ("format", "date-time"), ("description", "RFC 3339, in UTC")]
Seconds = Annotated[float, ("description", "in seconds")]
Count = Annotated[int, ("minimum", 0)]

MOST_ON_A_PAGE = 100
MOST_IDS = 10_000
LONGEST_NAME = 1_000

Name = Annotated[str, ("minLength", 1), ("maxLength", LONGEST_NAME)]
Session = Annotated[int, ("minimum", 0), ("maximum", (1 << 31) - 1)]
Priority = Annotated[int, ("minimum", LOWEST_PRIORITY), ("maximum", HIGHEST_PRIORITY)]


# --- what is asked


class Filter(TypedDict, total=False):
    """Which jobs: those that match all that is said. *text* is found in ids, tags, arguments, results and errors.

    *state* may be several. *lowest* and *highest* are of the priority; *session* is that which has the job or, once it
    has ended, had it.
    """

    state: Annotated[list[State], ("minItems", 1)]
    task: Name
    queue: Name
    tag: Name
    text: Annotated[str, ("minLength", 1), ("maxLength", 200)]
    lowest: Priority
    highest: Priority
    enqueued_from: Instant
    enqueued_before: Instant
    ended_from: Instant
    ended_before: Instant
    session: Session


class PageQuery(TypedDict, total=False):
    """A page: *after* is what the page before says as *more*."""

    after: Annotated[str, ("pattern", "^[0-9]+$"), ("maxLength", 18)]
    limit: Annotated[int, ("minimum", 1), ("maximum", MOST_ON_A_PAGE)]


class JobsQuery(Filter, PageQuery, total=False):
    """A page of those that match."""


class StatisticsQuery(TypedDict, total=False):
    """Of which task, and of how many minutes; by default 60."""

    task: Name
    minutes: Annotated[int, ("minimum", 1), ("maximum", 1440)]


class ErrorsQuery(TypedDict, total=False):
    """Of which task."""

    task: Name


class NewCall(TypedDict):
    """The task that is to be called."""

    task: Name


class Enqueue(NewCall, total=False):
    """A call of a task; values as stored ones are written, so ``{"!datetime": "2026-01-31T00:00:00+00:00"}`` is one."""

    args: list[Any]
    kwargs: dict[str, Any]
    queue: Name
    priority: Priority
    delay: Annotated[float, ("minimum", 0), ("description", "in seconds")]
    retries: Annotated[int, ("minimum", 0), ("maximum", 1_000_000)]
    key: Name
    tags: list[Name]


class BulkDeed(TypedDict):
    """What is to be done."""

    deed: Literal["retry", "cancel", "delete"]


class Bulk(BulkDeed, total=False):
    """To which jobs: exactly one of *job_ids*, *kind* (of error) and *matching*. With *only_count*, nothing is done."""

    job_ids: Annotated[list[str], ("maxItems", MOST_IDS)]
    kind: str
    matching: Filter
    only_count: bool


class Purge(TypedDict):
    """Which jobs of the queue are to be deleted."""

    what: Literal["waiting", "ended"]


# --- what is answered


class Error(TypedDict):
    """An error as text."""

    type: str
    message: str
    traceback: str


class JobLine(TypedDict):
    """A job as lists show it; *call* is made to recognise it by, and cut where it is long.

    *started_at*: of its latest attempt; while it runs, when it was claimed.
    """

    job_id: str
    task: str
    call: str
    queue: str
    state: State
    label: str
    reason: str | None
    priority: int
    attempt: Count
    max_attempts: Count
    enqueued_at: Instant
    run_at: Instant
    started_at: Instant | None
    ended_at: Instant | None
    error: str | None
    tags: list[str]
    lock: str | None
    key: str | None
    pipeline: str | None
    step: Count


class JobPage(TypedDict):
    """Jobs, newest first; *more* is what to ask for as *after*, null at the end."""

    jobs: list[JobLine]
    more: str | None


class Attempt(TypedDict):
    """One run that did not succeed."""

    number: Count
    outcome: str
    started_at: Instant | None
    ended_at: Instant
    error: Error | None


class Event(TypedDict):
    """Something that happened to a job."""

    kind: str
    at: Instant
    attempt: Count


class Progress(TypedDict):
    """How far a running job says that it is: *done* of *total*, if that is known."""

    done: float
    total: float | None
    text: str
    said_at: Instant


class LogLine(TypedDict):
    """What a job logged; where lines were left out, one without a level says how many.

    *attempt* is the same for an attempt that was handed back and the one after it, *fence* is not.
    """

    attempt: Count
    fence: Count
    at: Instant
    level: str
    logger: str
    message: str


class Cause(TypedDict):
    """Something that a job waits for; *job_id* is the other job's, if one is meant."""

    name: str
    told: str
    job_id: str | None


class Job(JobLine):
    """All that is known of a job. What is secret by its name is hidden in *args*, *kwargs*, *result* and *headers*.

    What is no call, since it was damaged, is in *args* as it is stored.
    """

    args: Any
    kwargs: dict[str, Any]
    result: Any
    headers: dict[str, str]
    failure: Error | None
    executor: str
    attempts: list[Attempt]
    events: list[Event]
    progress: Progress | None
    log: list[LogLine]
    waits_because: list[Cause]
    waits_for_lock: str | None
    steps: list[str]
    session: int | None
    rescues: Count
    crashes: Count
    claimed_at: Instant | None
    expires_at: Instant | None
    result_ttl: Seconds
    cancel_requested: bool


class Enqueued(TypedDict):
    """The job that was enqueued; with a key that is stored already, the one that has it."""

    job_id: str


class Done(TypedDict):
    """It was done; what *is_asked_to_stop* does so in a while."""

    done: bool
    is_asked_to_stop: bool


class BulkDone(TypedDict):
    """Of so many *found*, *refused* had moved on, and *left* are those that there was no time for: ask again."""

    found: Count
    changed: Count
    refused: Count
    left: Count
    is_all: bool


class Purged(TypedDict):
    """How many are gone."""

    deleted: Count


class Queue(TypedDict):
    """A queue. *backlog* are the jobs that are due or running: what an autoscaler should follow."""

    queue: str
    queued: Count
    due: Count
    blocked: Count
    running: Count
    succeeded: Count
    failed: Count
    cancelled: Count
    backlog: Count
    oldest_seconds: Annotated[float, ("minimum", 0), ("description", "for how long the first due job waits")]
    paused_at: Instant | None
    workers: Count


class Queues(TypedDict):
    """All of them, by name."""

    queues: list[Queue]


class Duration(TypedDict):
    """The middle one, and the slowest but one in twenty."""

    p50: Seconds
    p95: Seconds


class Task(TypedDict):
    """A task, and how its attempts ended in the last hours; *is_known*: this dashboard can enqueue it.

    *rates* says how many ended in each ten minutes.
    """

    name: str
    settings: str
    is_known: bool
    queued: Count
    due: Count
    ended: Count
    failed: Count
    wait: Duration | None
    run: Duration | None
    rates: list[int]


class Tasks(TypedDict):
    """All of them, by name."""

    tasks: list[Task]
    hours: Count


class Schedule(TypedDict):
    """A schedule; *told* says in English when it is due."""

    name: str
    task: str
    spec: str
    told: str
    last_slot: Instant | None
    next_at: Instant | None
    fired: Count
    skipped: Count
    last_job: str | None
    paused_at: Instant | None


class Schedules(TypedDict):
    """All of them, by name."""

    schedules: list[Schedule]


class Process(TypedDict):
    """A process that may hold jobs or locks; *executors* and *tasks* are null where it runs none.

    *queues* is null where it takes all. *running* is how many jobs it has, *jobs* are the first of them.
    """

    session: int
    kind: str
    host: str
    pid: int
    life: Literal["alive", "silent", "gone"]
    started_at: Instant
    parent: int | None
    is_asked_to_stop: bool
    running: Count
    jobs: list[str]
    queues: list[str] | None
    executors: list[str] | None
    tasks: list[str] | None


class Workers(TypedDict):
    """All processes, by session."""

    workers: list[Process]


class Lock(TypedDict):
    """A lock that is held."""

    name: str
    token: int
    session: int
    job_id: str | None
    since: Instant
    waiters: Count


class Locks(TypedDict):
    """All that are held, by name."""

    locks: list[Lock]


class ErrorKind(TypedDict):
    """Failed jobs of one kind; *kind* names it for `/jobs/bulk`, *hours* counts those of the last 24."""

    kind: str
    type: str
    message: str
    place: str
    task: str
    jobs: Count
    latest: str
    first_at: Instant
    last_at: Instant
    hours: list[int]


class Errors(TypedDict):
    """The kinds among the *looked_at* latest failed jobs, the latest first."""

    errors: list[ErrorKind]
    looked_at: Count
    is_all: bool


class Tally(TypedDict):
    """So many attempts came to *event* in that minute, and ran for up to *within*; of "waited", they waited so long."""

    minute: Instant
    task: str
    event: str
    within: Seconds
    number: Count


class Statistics(TypedDict):
    """What the workers counted, by minute and task."""

    tallies: list[Tally]


class Finding(TypedDict):
    """What the doctor has to say."""

    name: str
    severity: Literal["error", "warning", "note"]
    found: str
    advice: str


class Deed(TypedDict):
    """Something that was done by hand, or tried: *number* is 0 where nothing came of it."""

    at: Instant
    who: str
    origin: str
    what: str
    subject: str
    number: Count


class Deeds(TypedDict):
    """Deeds, newest first; *more* is what to ask for as *after*, null at the end."""

    deeds: list[Deed]
    more: str | None


class Overview(TypedDict):
    """How the store stands; *wait* and *run* are of the last hour, *drained_in* at the rate of the last minutes.

    *drained_in* is null while nobody is at work.
    """

    store: str
    now: Instant
    states: dict[str, Count]
    due: Count
    drained_in: Seconds | None
    workers: Count
    wait: Duration | None
    run: Duration | None
    findings: list[Finding]
