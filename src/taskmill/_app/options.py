"""What can be said of a task where it is defined, and of a single call where it is enqueued."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from taskmill._app import check
from taskmill._app.check import Duration
from taskmill._core.instant import SECOND
from taskmill._core.job import DEFAULT_QUEUE, EXECUTORS, RESULT_TTL, Executor, OwnExecutor
from taskmill._core.limit import Limits
from taskmill._core.retry import RetryPolicy
from taskmill.errors import ConfigurationError, InvalidOption

if TYPE_CHECKING:
    from taskmill._app.settings import CallSettings, Errors, JobFields, TaskSettings

_LONGEST_LABELS = 10_000
_LONGEST_BACKOFF = 1000


class TaskOptions(NamedTuple):
    """The options of a task, checked; durations are float seconds or timedelta.

    - `name`: what its jobs are stored under; default: module and function, ``shop.mail.send``. A task that is
      renamed keeps its old names in `aliases`, so that the jobs stored under them still run.
    - `queue` ("default") and `priority` (0; -100 to 100, higher first): where and when its jobs run.
    - `retries` (0): how often a failed attempt is repeated; the first repetition waits `retry_delay` (1 s),
      each further one `backoff` (2) times as long, at most 1 h, plus a random part of up to `jitter` (0.1) of
      it.
    - `retry_on` (any error) and `no_retry_on` (none): the classes of exceptions that are worth it.
    - `timeout` (none): the limit of one attempt. A coroutine is cancelled, a process killed; in a thread
      HardTimeout is raised. The attempt counts as failed and is retried like any other.
    - `soft_timeout` (none): when SoftTimeout is raised in the task, so that it can clean up until its
      `timeout`, which must be longer.
    - `expires` (never): a job that nobody started so long after it was enqueued is cancelled.
    - `lock` (none): a name; of all jobs that share it, one runs at a time.
    - `executor`: "asyncio" for an ``async def``; for a ``def`` "thread", or "process" for work that keeps
      the interpreter busy or must be stoppable whatever it does. Then the function has to stand in a module.
    - `result_ttl` (1 day): how long a job is kept after it succeeded or was cancelled; with 0 nothing is kept
      of a success. Failed jobs are kept for 30 days.
    """

    name: str | None = None
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    retries: int = 0
    retry_delay: Duration = 1.0
    backoff: float = 2.0
    jitter: float = 0.1
    retry_on: Errors = BaseException
    no_retry_on: Errors = ()
    timeout: Duration | None = None
    soft_timeout: Duration | None = None
    expires: Duration | None = None
    lock: str | None = None
    executor: OwnExecutor | None = None
    result_ttl: Duration = RESULT_TTL / SECOND
    aliases: Iterable[str] = ()

    @classmethod
    def of(cls, settings: TaskSettings) -> TaskOptions:
        """The options that *settings* describe; ConfigurationError says what is wrong with them."""
        with check.refused_as(ConfigurationError):
            for option in settings:
                check.known("option", option, cls._fields)
            return cls(**settings).checked()

    def checked(self) -> TaskOptions:
        """Itself; ValueError says what is wrong."""
        check.text_or_none("name", self.name)
        check.errors("retry_on", self.retry_on)
        check.errors("no_retry_on", self.no_retry_on)
        check.one_of("executor", self.executor, (*EXECUTORS, None))
        # What remains is checked by being converted.
        self.limits()
        self.retry_policy()
        self.job_fields("", "thread")
        return self._replace(aliases=check.texts("aliases", self.aliases))

    def limits(self) -> Limits | None:
        """The time limits of one attempt; None where there is none."""
        soft, hard = _limit("soft_timeout", self.soft_timeout), _limit("timeout", self.timeout)
        if soft is not None and hard is not None and soft >= hard:
            raise ValueError(
                f"soft_timeout={self.soft_timeout!r} is not below timeout={self.timeout!r}: what is between them "
                "is the time to clean up"
            )
        return None if soft is None and hard is None else Limits(soft, hard)

    def retry_policy(self) -> RetryPolicy:
        """When a failed attempt is repeated."""
        return RetryPolicy(
            delay=check.micros("retry_delay", self.retry_delay),
            backoff=check.number("backoff", self.backoff, 1, _LONGEST_BACKOFF),
            jitter=check.number("jitter", self.jitter, 0, 1),
        )

    def job_fields(self, name: str, executor: Executor) -> JobFields:
        """What all jobs of the task have in common."""
        return {
            "task": name,
            "executor": executor,
            "queue": check.queue(self.queue),
            "priority": check.priority(self.priority),
            "max_attempts": check.attempts(self.retries),
            "expires_in": check.micros_or_none("expires", self.expires),
            "result_ttl": check.micros("result_ttl", self.result_ttl),
            "lock": check.text_or_none("lock", self.lock),
        }


def _limit(option: str, value: Duration | None) -> float | None:
    limit = check.micros_or_none(option, value)
    if limit == 0:
        raise ValueError(f"{option}=0 leaves no time to run; None means no limit")
    return None if limit is None else limit / SECOND


class CallOptions(NamedTuple):
    """What a call says beside its arguments: fields of its job, an expiry given as an instant, whose transaction."""

    fields: JobFields
    expires_at: int | None = None
    connection: Any = None

    @classmethod
    def of(cls, settings: CallSettings) -> CallOptions:
        """The options that *settings* describe; InvalidOption says what is wrong with them."""
        with check.refused_as(InvalidOption):
            return cls(_fields_of(settings), _expires_at(settings.get("expires")), settings.get("connection"))

    def also(self, more: CallOptions) -> CallOptions:
        """These options, where *more* does not say otherwise."""
        expires_at = more.expires_at if "expires_in" in more.fields else self.expires_at
        connection = self.connection if more.connection is None else more.connection
        return CallOptions({**self.fields, **more.fields}, expires_at, connection)


PLAIN = CallOptions({})
"""A call that says nothing beside its arguments."""


def _fields_of(settings: CallSettings) -> JobFields:
    if settings.get("delay") is not None and settings.get("run_at") is not None:
        raise ValueError("delay and run_at say the same in two ways: give one of them")
    found: dict[str, Any] = {}
    for option, value in settings.items():
        if option == "connection":
            continue
        check.known("option", option, (*_CALL_OPTIONS, "connection"))
        field, convert = _CALL_OPTIONS[option]
        found[field] = convert(value)
    if found.get("delay") is not None:
        found["run_at"] = None  # of an earlier using(): the later word counts
    return cast("JobFields", found)


def _expires_at(expires: Duration | datetime | None) -> int | None:
    return check.instant("expires", expires) if isinstance(expires, datetime) else None


def _expires_in(expires: object) -> int | None:
    return None if isinstance(expires, datetime) else check.micros_or_none("expires", expires)


def _run_at(moment: object) -> int | None:
    return None if moment is None else check.instant("run_at", moment)


def _delay(delay: object) -> int:
    if isinstance(delay, datetime):
        raise ValueError(f"delay={delay!r} is an instant, no duration: use run_at")  # noqa: TRY004
    return 0 if delay is None else check.micros("delay", delay)


def _tags(tags: object) -> str | None:
    return None if tags is None else _short("tags", _json(check.texts("tags", tags)))


def _headers(headers: object) -> str | None:
    return None if headers is None else _short("headers", _json(check.headers(headers)))


def _short(option: str, text: str) -> str:
    # They lie in the row that each change of state writes again.
    if len(text) > _LONGEST_LABELS:
        raise ValueError(f"{option} have {len(text):,} characters encoded, the limit is {_LONGEST_LABELS:,}")
    return text


def _json(value: object) -> str:
    import json  # noqa: PLC0415  (3 ms of the import, and seldom needed)

    return json.dumps(value)


_CALL_OPTIONS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "queue": ("queue", check.queue),
    "priority": ("priority", check.priority),
    "retries": ("max_attempts", check.attempts),
    "delay": ("delay", _delay),
    "run_at": ("run_at", _run_at),
    "expires": ("expires_in", _expires_in),
    "key": ("key", partial(check.text_or_none, "key")),
    "tags": ("tags", _tags),
    "headers": ("headers", _headers),
    "lock": ("lock", partial(check.text_or_none, "lock")),
    "result_ttl": ("result_ttl", partial(check.micros, "result_ttl")),
}
