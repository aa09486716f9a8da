"""Every exception that taskmill raises; each message says what was wrong and what to do next.

TaskmillError
├── ConfigurationError          the program or the command line is set up wrongly
│   ├── InvalidURL              the store's URL cannot be read
│   ├── NoCurrentJob            `current_job()` is called outside of a job
│   ├── UnknownTask             a task name that nothing here defines
│   ├── UnsafeFileSystem        SQLite's WAL does not work on this file system
│   └── UnsafeServer            a Redis server that throws jobs away, or is too old
├── EnqueueError                the call cannot become a job; nothing was stored
│   ├── InvalidArguments        the arguments do not fit the task's signature
│   ├── InvalidOption           an option of the call is wrong, such as a naive datetime
│   ├── CannotJoin              the transaction of `using(connection=...)` cannot take the job in
│   ├── Unserializable          an argument (or result) has no lossless text form
│   └── PayloadTooLarge         an argument list (or result) above the size limit
├── ResultError                 what `Result.get()` raises instead of returning a value
│   ├── JobFailed               the last attempt failed
│   ├── JobCancelled            revoked, or a step before it failed
│   │   └── JobExpired          nobody started it in time
│   ├── ResultTimeout           it has not ended yet
│   ├── ResultNotKept           the store no longer (or never) held it
│   └── WouldDeadlock           a task waits for a job that may need the task's own slot
├── StoreError                  the store could not do what was asked
│   ├── StoreBusy               another process held the write lock until the deadline
│   ├── StoreUnavailable        disk full, read-only, I/O error, folder missing, file deleted
│   ├── StoreRefused            a value that this store cannot hold
│   ├── StoreReentered          called by a signal handler that interrupted a call of the same thread
│   ├── NotAStore               the file is no SQLite database, or it is damaged
│   └── StoreUnusable           this process cannot use it any more, whatever it tries
│       ├── SchemaTooNew        a newer taskmill wrote it
│       └── StoreSevered        its log was deleted under this process, which has to be restarted
├── BackupFailed                no copy of the store was made, and nothing is left of it
├── MoveRefused                 jobs cannot be moved from the one store to the other
├── NotAnExport                 a file that is to be imported cannot be read, or not to its end
├── LockTimeout                 `mill.lock(name, timeout=...)` was not free in time
├── LockError                   a lock is taken twice, or its token asked for, by the wrong one
├── UndecodablePayload          stored text that does not decode
└── TaskSignal                  raised *by* a task to steer its own job; no error
    ├── Retry   ├── Snooze   └── Cancel

BaseException
└── Interruption                raised *in* a task that runs: let it through; `except Exception` does
    ├── SoftTimeout             its soft_timeout is over; it has until its timeout to clean up
    ├── HardTimeout             its timeout is over
    ├── CancelRequested         somebody cancelled the job
    └── JobReleased             the worker gives the job back: it stops, or may have lost it
"""

from __future__ import annotations

from datetime import timedelta


class TaskmillError(Exception):
    """The root of the tree above; all of them can be pickled, as process pools do."""

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(cls: type[TaskmillError], args: tuple[object, ...], state: dict[str, object]) -> TaskmillError:
    # Not by calling the class: what it takes is not the message that it made of it.
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


# --- configuration


class ConfigurationError(TaskmillError):
    """The program is set up wrongly; the message names the option and what it may be."""


_EXAMPLES = {
    "postgres": "'postgresql://user@host/database'",
    "redis": "'redis://host:6379/0'",
    "valkey": "'valkey://host:6379/0'",
}


class InvalidURL(ConfigurationError):
    """The store's URL cannot be read."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(f"{url!r} is no store URL: {problem}; write for example {_example(url)}")


def _example(url: str) -> str:
    """Of the kind of store that was meant, as far as that can be seen."""
    from difflib import get_close_matches  # noqa: PLC0415  (only on the way to an error)

    scheme = url.partition(":")[0].lower()
    meant = [kind for kind in _EXAMPLES if scheme.startswith(kind)] or get_close_matches(scheme, _EXAMPLES)
    return _EXAMPLES[meant[0]] if meant else "'sqlite:///jobs.db' or 'memory://'"


class NoCurrentJob(ConfigurationError, RuntimeError):
    """There is no current job: the caller is not (called by) a task."""

    def __init__(self) -> None:
        super().__init__(
            "no job runs here: current_job() works inside of a task, in the thread or coroutine of its attempt"
        )


class UnknownTask(ConfigurationError):
    """No task of that name is registered in this process."""

    def __init__(self, name: str, hint: str = "") -> None:
        super().__init__(
            f"no task named {name!r} is registered in this process{hint}; "
            "import the module that defines it, for example with Mill(imports=[...])"
        )


class UnsafeFileSystem(ConfigurationError):
    """SQLite's write-ahead log needs shared memory, which this file system does not have."""

    def __init__(self, path: str, kind: str) -> None:
        super().__init__(
            f"{path} lies on a {kind} file system, where SQLite loses data when several processes "
            "write; put the file on a local disk"
        )


class UnsafeServer(ConfigurationError):
    """The Redis server would throw jobs away when its memory is full, or is too old; the message says what to set."""


# --- enqueue


class EnqueueError(TaskmillError):
    """The call cannot become a job; nothing was stored."""


class InvalidArguments(EnqueueError, TypeError):
    """The arguments do not fit the task's signature."""


class InvalidOption(EnqueueError, ValueError):
    """An option of `using()` is wrong; the message names it and what it may be."""


class CannotJoin(EnqueueError, ValueError):
    """The transaction of `using(connection=...)` cannot take the job in; the message says why, and what to do."""


class Unserializable(EnqueueError, TypeError):
    """A value has no lossless text form; names the path to it and what to pass instead."""

    def __init__(self, path: str, value_repr: str, hint: str) -> None:
        super().__init__(f"{path} = {value_repr} cannot be stored: {hint}")
        self.path = path


class PayloadTooLarge(EnqueueError, ValueError):
    """The encoded value is above the limit (``Mill(payload_limit=...)``, 1 MB by default)."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"{size:,} bytes encoded, the limit is {limit:,}; store the data elsewhere and pass its "
            "path or key, or raise Mill(payload_limit=...)"
        )
        self.size = size
        self.limit = limit


class UndecodablePayload(TaskmillError):
    """Stored text does not decode; its bytes are kept."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)


# --- results


class ResultError(TaskmillError):
    """What ``Result.get()`` raises where there is no value to return."""


class JobFailed(ResultError):
    """The job's last attempt failed; ``error_type``, ``error`` and ``traceback`` are the task's own, as text."""

    def __init__(self, job_id: str, task: str, reason: str, error: tuple[str, str, str]) -> None:
        self.job_id = job_id
        self.task = task
        self.reason = reason
        self.error_type, self.error, self.traceback = error
        message = f"{task} failed ({reason}): {self.error_type}: {self.error}"
        super().__init__(f"{message}\n\n{self.traceback.rstrip()}" if self.traceback else message)


class JobCancelled(ResultError):
    """The job was cancelled and never will have a result; ``reason`` says why."""

    def __init__(self, job_id: str, task: str, reason: str, detail: str = "") -> None:
        super().__init__(f"{task} was cancelled ({reason}){': ' + detail if detail else ''}")
        self.job_id = job_id
        self.task = task
        self.reason = reason


class JobExpired(JobCancelled):
    """The job was not started before its ``expires``."""


class ResultTimeout(ResultError, TimeoutError):
    """The job has not ended within the timeout; it goes on."""

    def __init__(self, job_id: str, timeout: float, state: str) -> None:
        hint = "; does a worker run that serves its queue and knows its task?" if state == "queued" else ""
        super().__init__(
            f"job {job_id} is still {state} after {timeout:g} s; it goes on, ask again later{hint}"
        )
        self.job_id = job_id


class ResultNotKept(ResultError):
    """The store holds no such job: pruned, stored with ``result_ttl=0``, purged, or never enqueued there."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"job {job_id} is not in the store: its result was kept for its result_ttl only, it was purged, "
            "it belongs to another store, or to a transaction that was not committed"
        )
        self.job_id = job_id


class WouldDeadlock(ResultError, RuntimeError):
    """A task waits for another job while it occupies the slot that job may need."""

    def __init__(self) -> None:
        super().__init__(
            "get() inside a task, or in a worker's signal handler, can wait for ever for the slot or the worker that "
            "it keeps busy; make a pipeline (first.s() | second.s()), or call get(inside_task=True) in a task if "
            "other slots are sure to be free"
        )


# --- store


class StoreError(TaskmillError):
    """The store could not do what was asked; nothing of the call was stored."""


class StoreBusy(StoreError):
    """Another process held the write lock until the deadline; the call can safely be repeated."""

    def __init__(self, where: str, waited: float, holder: str) -> None:
        super().__init__(f"{where} stayed locked for {waited:.1f} s by {holder}; try again")


class StoreUnavailable(StoreError):
    """The disk is full, the file is read-only or deleted, its folder is missing, or I/O failed."""


class StoreRefused(StoreError):
    """A value of the call cannot be held by this store; repeating the call would not help."""


class StoreReentered(StoreError):
    """A signal handler, or a finalizer, called the store while its thread was writing: it would wait for itself."""

    def __init__(self) -> None:
        super().__init__(
            "a signal handler (or a finalizer) called the store in the middle of a call of the same thread, and would "
            "wait for that for ever: let it set a flag or put into a queue.SimpleQueue, and call the store from the "
            "program"
        )


class NotAStore(StoreError):
    """The file is not a SQLite database, or it is damaged."""


class StoreUnusable(StoreError):
    """This process cannot use the store any more: waiting does not help. A worker ends by it."""


class StoreSevered(StoreUnusable):
    """The write-ahead log was deleted under this process, which cannot use the store before it is restarted."""


class SchemaTooNew(StoreUnusable):
    """The store was written by a newer taskmill, and is not usable by this one."""

    def __init__(self, where: str, found: int, known: int) -> None:
        super().__init__(
            f"{where} has schema {found}, this taskmill knows up to {known}: upgrade taskmill here, "
            "or use another file"
        )


class BackupFailed(TaskmillError):
    """The copy was not made, and nothing of it is left; the message says what was in the way."""


class MoveRefused(TaskmillError):
    """Jobs cannot be moved from the one store to the other; nothing was taken out by this move."""


class NotAnExport(TaskmillError):
    """What is to be imported cannot be read; the message says in which line."""


# --- locks


class LockTimeout(TaskmillError, TimeoutError):
    """The lock was not free within the timeout."""

    def __init__(self, name: str, timeout: float) -> None:
        super().__init__(f"lock {name!r} was not free within {timeout:g} s")


class LockError(TaskmillError, RuntimeError):
    """The lock is held by the caller already, so that waiting would never end; or it is not held here."""


# --- raised by tasks


class TaskSignal(Exception):
    """Raised inside a task to say how its attempt ends."""


class Retry(TaskSignal):
    """Run the job again after *delay* (seconds or timedelta; default: the task's own back-off).

    Counts as a failed attempt: when none is left, the job fails.
    """

    def __init__(self, message: str = "retry asked for", *, delay: float | timedelta | None = None) -> None:
        super().__init__(message)
        self.delay = delay


class Snooze(TaskSignal):
    """Run the job again after *delay* (seconds or timedelta); no failure, no attempt burnt."""

    def __init__(self, delay: float | timedelta) -> None:
        super().__init__("snoozed")
        self.delay = delay


class Cancel(TaskSignal):
    """End the job as cancelled, with *message* as the detail; no retry."""

    def __init__(self, message: str = "cancelled by its task") -> None:
        super().__init__(message)


# --- raised in tasks


class Interruption(BaseException):
    """Raised in a task that runs, from outside: let it through, with ``finally`` or ``with`` to clean up.

    No Exception, so that an ``except Exception`` of the task does not take it for a failure of its own.
    """


class SoftTimeout(Interruption):
    """The attempt has run for its `soft_timeout`.

    Let through, it ends the attempt as timed out. A task may catch it instead, and return what it has: until its
    `timeout`, if it has one, it may go on.
    """


class HardTimeout(Interruption):
    """The attempt has run for its `timeout`; raised in threads: a coroutine is cancelled, a process killed."""


class CancelRequested(Interruption):
    """Somebody cancelled the job; raised in threads and processes: a coroutine is cancelled.

    It will not be retried, whatever the task does now.
    """


class JobReleased(Interruption):
    """The worker gives the job back, no attempt burnt; raised in threads: a coroutine is cancelled, a process killed.

    The job outlasts the grace of a worker that stops, or the worker could not say for two thirds of its lease that it
    lives, so that the job may be another one's soon. It runs again; whatever the task does now does not count.
    """
