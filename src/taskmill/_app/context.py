"""What a task can know of the attempt that it is part of."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from taskmill._core.job import Claimed, State
from taskmill.errors import NoCurrentJob

if TYPE_CHECKING:
    from taskmill._app.application import Application
    from taskmill._app.notes import Notes

LOCAL = "local"

# Of what a job says that it is at.
_LONGEST_TEXT = 500
# Beyond, a whole number takes a float's place: what is stored must be read again, everywhere.
_WHOLE = 1 << 53

# How long a thread stands still at most to be stopped; whoever wants to stop it looks more often.
_STANDSTILL = 0.1

awaited_threads: set[int] = set()
"""Threads whose job is to be stopped as soon as it is out of the store, by their number."""


def give_way() -> None:
    """Stand still for a moment if the job of this thread is to be stopped: called before the store is entered.

    A job that does little else is in the store whenever another thread has its turn to look.
    """
    thread = threading.get_ident()
    deadline = time.monotonic() + _STANDSTILL
    while thread in awaited_threads and time.monotonic() < deadline:
        time.sleep(0.001)


class Tenure:
    """The time for which a session holds its jobs; `lost` once they may be somebody else's.

    From `unsure_from` on (by the monotonic clock, in seconds) nobody knows whether it still does. `open_notes` begins
    to take down what a job says, None where nobody would read it; `log_level`: from which level on log lines are meant.
    """

    __slots__ = ("log_level", "lost", "open_notes", "session", "unsure_from")

    def __init__(
        self,
        session: int,
        open_notes: Callable[[Claimed], Notes] | None = None,
        log_level: int | None = None,
    ) -> None:
        self.session = session
        self.open_notes = open_notes
        self.log_level = log_level
        self.lost = False
        self.unsure_from = math.inf

    def is_unwanted(self, app: Application, claimed: Claimed) -> bool:
        """Whether somebody has cancelled the job, or it is not held under that claim any more; asks the store."""
        job = app.storage.inspection.job(claimed.job_id)
        if job is None or job.state is not State.RUNNING or job.fence != claimed.fence:
            return True
        return job.cancel_requested


class Context:
    """The current attempt of a job: what `current_job()` returns, and a parameter annotated with it receives.

    Where a task is called plainly, outside of any job, it stands for that call: its `id` is "local".

    - `id`: the job's id, the same in all its attempts: what makes a side effect idempotent.
    - `attempt`, `max_attempts`: this is attempt 1, 2, ... of so many.
    - `fence`: grows with every claim of the job; an outside resource that keeps the highest one it has seen
      can refuse a worker that was taken for dead and is not.
    - `lost`: True once the job is known to have been given to another worker; stop, nothing counts any more.
    """

    __slots__ = ("_app", "_headers", "_notes", "_tenure", "claimed", "is_over")

    def __init__(self, app: Application, claimed: Claimed, tenure: Tenure) -> None:
        self._app = app
        self._tenure = tenure
        self._headers: dict[str, str] | None = None
        self._notes: Notes | None = None
        self.claimed = claimed
        self.is_over = False

    @classmethod
    def local(cls, app: Application, task: str, max_attempts: int) -> Context:
        """That of a plain call."""
        return cls(app, _local_claim(task, max_attempts), Tenure(0))

    @property
    def id(self) -> str:
        """The job's id."""
        return self.claimed.job_id

    @property
    def task(self) -> str:
        """The name that the job is stored under."""
        return self.claimed.task

    @property
    def queue(self) -> str:
        """The queue that the job came from."""
        return self.claimed.queue

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self.claimed.attempt

    @property
    def max_attempts(self) -> int:
        """How many attempts the job has in all."""
        return self.claimed.max_attempts

    @property
    def fence(self) -> int:
        """The number of this claim of the job; it only ever grows."""
        return self.claimed.fence

    @property
    def lost(self) -> bool:
        """Whether the job may have been given to another worker."""
        return self._tenure.lost

    @property
    def headers(self) -> dict[str, str]:
        """What the call was enqueued with: ``using(headers=...)``."""
        if self._headers is None:
            import json  # noqa: PLC0415  (3 ms of the import, and seldom needed)

            self._headers = json.loads(self.claimed.headers or "{}")
        return self._headers

    @property
    def is_local(self) -> bool:
        """Whether this is a plain call and no job."""
        return self.claimed.job_id == LOCAL

    @property
    def cancel_requested(self) -> bool:
        """Whether the job should stop: somebody asked for it, or it is not ours; reads the store each time."""
        if self.is_local:
            return False
        return self.lost or self._tenure.is_unwanted(self._app, self.claimed)

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """Say how far the job is: *done* of *total* (None: unknown), in whatever unit, and what it is at.

        `Result.progress`, `taskmill jobs show` and the dashboard show it within a second; of what is said in between,
        the latest counts. So it may be said in a loop: it takes about a microsecond, and writes nothing itself.
        It belongs to this attempt: the next one begins without, and at the end the last one stays.

        Does nothing in a plain call. Of *text*, the first 500 characters are shown.

        Raises:
            TypeError, ValueError: *done* or *total* is no finite number, or *text* no text.
        """
        if type(done) is not int or not -_WHOLE <= done <= _WHOLE:
            done = _finite("done", done)
        if total is not None and (type(total) is not int or not -_WHOLE <= total <= _WHOLE):
            total = _finite("total", total)
        if not isinstance(text, str):
            raise TypeError(f"progress: text={text!r} is no text")
        if (notes := self.notes) is not None:
            notes.progress(done, total, text[:_LONGEST_TEXT])

    @property
    def notes(self) -> Notes | None:
        """Where what this attempt says is taken down; None in a plain call, and when it is over."""
        if self.is_over:
            return None
        if self._notes is None and self._tenure.open_notes is not None:
            from taskmill._app.scrubbing import scrubber  # noqa: PLC0415  (it knows the Application, which knows this)

            self._notes = self._tenure.open_notes(self.claimed)
            self._notes.scrub = scrubber(self._app, self.claimed)
        return self._notes

    @property
    def log_level(self) -> int | None:
        """From which level on log lines are kept with the job; None: none are."""
        return self._tenure.log_level

    def __repr__(self) -> str:
        return f"<Context {self.task} {self.id} attempt {self.attempt} of {self.max_attempts}>"


_current: ContextVar[Context] = ContextVar("taskmill_current_job")


def current_job() -> Context:
    """The Context of the job that the caller is part of; NoCurrentJob outside of one.

    >>> @mill.task(retries=3)
    ... def resize(path: str) -> str:
    ...     return f"{path}, attempt {current_job().attempt}"
    >>> resize.enqueue("a.png").get()
    'a.png, attempt 1'
    """
    context = _current.get(None)
    if context is None:
        raise NoCurrentJob
    return context


class _Entered:
    """A context manager of its own, because it is on the way of every attempt."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context) -> None:
        self._context = context

    def __enter__(self) -> Context:
        self._token = _current.set(self._context)
        return self._context

    def __exit__(self, *error: object) -> None:
        _current.reset(self._token)


def entered(context: Context) -> AbstractContextManager[Context]:
    """Make *context* the current one of a block."""
    return _Entered(context)


def entered_or_local(app: Application, task: str, max_attempts: int) -> AbstractContextManager[Context]:
    """The current context; outside of any, that of a plain call becomes it."""
    context = _current.get(None)
    return _Entered(context or Context.local(app, task, max_attempts))


is_driving: ContextVar[bool] = ContextVar("taskmill_is_driving", default=False)
"""Whether the code that runs is what a worker itself waits for: its signal handlers."""


def job_in_progress() -> Context | None:
    """As `current_job`, but None outside of a job and in a plain call."""
    context = _current.get(None)
    return None if context is None or context.is_local else context


def _finite(name: str, value: float) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    except (TypeError, ValueError):
        raise TypeError(f"progress: {name}={value!r} is no number") from None
    if not math.isfinite(number):
        raise ValueError(f"progress: {name}={number} is no finite number")
    return number


def _local_claim(task: str, max_attempts: int) -> Claimed:
    return Claimed(
        ref=0,
        job_id=LOCAL,
        task=task,
        queue=LOCAL,
        executor="thread",
        attempt=1,
        max_attempts=max_attempts,
        fence=0,
        plain=True,
        args="",
        given=None,
        headers=None,
    )
