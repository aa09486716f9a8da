"""The one object that a program makes."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack, overload

from taskmill._app import steering
from taskmill._app.application import Application, Hook
from taskmill._app.check import Duration
from taskmill._app.context import Context
from taskmill._app.definition import TaskMaker, define
from taskmill._app.lock import Lock
from taskmill._app.periodic import check_schedule
from taskmill._app.periodic import register as register_periodic
from taskmill._app.result import Result
from taskmill._app.signals import Handler, check_kinds
from taskmill._app.signature import Pipeline, Signature, aenqueue_all, enqueue_all
from taskmill._storage.urls import shown
from taskmill.errors import ConfigurationError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from taskmill._app.outgoing import Outgoing
    from taskmill._app.settings import TaskSettings
    from taskmill._core.event import Event, EventKind
    from taskmill._core.finding import Finding
    from taskmill._core.schedule import Schedule
    from taskmill._storage.base import Backup
    from taskmill._storage.clock import Clock
    from taskmill._web.access import Auth
    from taskmill._worker.worker import Worker

P = ParamSpec("P")
R = TypeVar("R")
H = TypeVar("H", bound=Handler)
HookT = TypeVar("HookT", bound=Hook)
C = TypeVar("C", bound=type)
W = TypeVar("W", bound=Callable[[Context], Iterator[None] | AbstractContextManager[object]])
E = TypeVar("E", bound="Callable[[Sequence[Outgoing]], Iterator[None] | AbstractContextManager[object]]")


class Mill:
    """The tasks of a program and the store that their jobs live in.

    - *url*: ``sqlite:///jobs.db`` (a file, made on first use), ``postgresql://user@host/database`` (a schema in
      it, made on first use; needs ``taskmill[postgres]``), ``redis://host:6379/0`` (needs ``taskmill[redis]``) or
      ``memory://``; without one, what the environment variable TASKMILL_URL says, else ``sqlite:///taskmill.db``.
      Options are in docs/stores.md.
    - *imports*: modules that define tasks, which a worker imports before it starts.
    - *lease* (30 s): a process that gives no sign of life for so long is taken for dead. On one host, death
      is noticed at once.
    - *payload_limit* (1 MB): how many bytes the arguments, or the result, of a job may have.
    - *secrets*: words that make a name secret, beside ``password``, ``token``, ``api_key`` and the like. What goes by
      such a name is taken out of errors before they are stored, and hidden in the dashboard. None: nothing is.
    - *clock*: another clock, for tests.

    Making one opens nothing; the first job does. It may be shared by threads, and inherited by a fork.

    >>> mill = Mill("sqlite:///jobs.db")
    >>> @mill.task
    ... def add(a: int, b: int) -> int:
    ...     return a + b
    >>> result = add.enqueue(2, 3)
    >>> with mill.worker():
    ...     print(result.get(timeout=5))
    5
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        imports: Iterable[str] = (),
        lease: Duration = 30,
        payload_limit: int = 1_000_000,
        secrets: Iterable[str] | None = (),
        clock: Clock | None = None,
    ) -> None:
        self._app = Application(
            url, imports=imports, lease=lease, payload_limit=payload_limit, secrets=secrets, clock=clock
        )

    @property
    def app(self) -> Application:
        """What the command line, the dashboard and the like work with; no part of the stable interface."""
        return self._app

    @property
    def url(self) -> str:
        """Where the store is, with the password if it has one."""
        return self._app.url

    def configure(self, url: str) -> None:
        """Name the store later, as an application factory does; ConfigurationError once it has been used."""
        self._app.configure(url)

    def close(self) -> None:
        """Free the locks held by this process and close the store's files; the next use opens them again."""
        self._app.close()

    def __repr__(self) -> str:
        return f"<Mill {shown(self.url)} with {len(self._app.tasks)} tasks>"

    def _repr_html_(self) -> str:
        from taskmill._app import notebook  # noqa: PLC0415  (only notebooks ask)

        return notebook.of_mill(self._app)

    # --- defining

    @property
    def task(self) -> TaskMaker:
        """Make a task of a function: ``@mill.task``, or with options ``@mill.task(retries=3, queue="mail")``.

        A ``def`` runs in a thread of a worker, or in a process (``executor="process"``), an ``async def`` on
        its event loop. A parameter that is annotated with Context is filled in by the worker; let it be the
        first. The options, with their defaults:

        - `name` (module and function): what its jobs are stored under; old names go to `aliases`.
        - `queue` ("default"), `priority` (0; -100 to 100, higher first).
        - `retries` (0), `retry_delay` (1 s), `backoff` (2), `jitter` (0.1): attempt n+1 begins
          ``retry_delay * backoff ** (n - 1)`` after attempt n failed, at most 1 h, plus up to a tenth.
        - `retry_on` (any error), `no_retry_on` (none): classes of exceptions.
        - `timeout` (none): the limit of one attempt, which is retried like any other that failed. A coroutine
          is cancelled, a process killed; in a thread HardTimeout is raised, which code in C notices only when
          it returns.
        - `soft_timeout` (none): when SoftTimeout is raised in the task, which can clean up until its
          `timeout`.
        - `expires` (never): not started so long after it was enqueued, it is cancelled.
        - `lock` (none): of all jobs with that lock, one runs at a time.
        - `executor` ("thread"; of an ``async def`` "asyncio"): "process" runs a ``def`` in a process beside
          the worker, for work that keeps the interpreter busy, may crash, or must be stopped whatever it
          does. It has to stand at the top level of a module, which that process imports.
        - `result_ttl` (1 day; failed jobs 30 days): how long it is kept after it ended. 0: not at all.

        Durations are seconds or timedelta.

        Raises:
            ConfigurationError: an option is wrong, the name is taken, or the function cannot be a task.

        >>> @mill.task(retries=3, retry_on=OSError)
        ... def fetch(url: str, *, limit: int = 10) -> list[str]:
        ...     return [url] * limit
        >>> fetch.enqueue("https://example.org", limit=2).get()
        ['https://example.org', 'https://example.org']
        """
        return TaskMaker(partial(define, self._app))

    def periodic(self, schedule: Schedule, /, **settings: Unpack[TaskSettings]) -> TaskMaker:
        """Let a function, or a task, be enqueued by the clock, each slot once however many workers there are.

        The function takes no arguments but a Context; the options are those of `task`. `name` is that of the
        schedule too, so that a task can have several. After a pause of all workers the latest slot that was
        missed runs once if it is less than an hour old; a new schedule owes nothing.

        Raises:
            ConfigurationError: the function needs arguments, or the name is taken.

        >>> @mill.periodic(cron("*/5 9-17 * * mon-fri", tz="Europe/Berlin"))
        ... def sync() -> None: ...
        """
        check_schedule(schedule)
        return TaskMaker(partial(register_periodic, self._app, schedule), settings)

    @overload
    def on(self, handler: H, /) -> H: ...
    @overload
    def on(self, /, *kinds: EventKind) -> Callable[[H], H]: ...

    def on(self, /, *kinds: Any) -> Any:
        """Call a function with each Event of these kinds in this process; of all kinds where none is named.

        Events come after the change is stored, in the process that makes it: `enqueued` where a job is
        enqueued, `started` and what follows in the worker. Handlers run in the order in which they are
        registered; an error in one is logged and harms nothing. A process that dies tells nothing: what must
        not be missed is the work of a task.

        Raises:
            ConfigurationError: there is no such kind, or the handler is an ``async def``.

        >>> @mill.on("succeeded", "failed")
        ... def log(event: Event) -> None:
        ...     print(event.kind, event.task, event.args)
        """
        if len(kinds) == 1 and callable(kinds[0]):
            self._app.signals.on((), kinds[0])
            return kinds[0]
        check_kinds(kinds)

        def decorate(handler: H) -> H:
            self._app.signals.on(kinds, handler)
            return handler

        return decorate

    def wrap(self, wrapper: W) -> W:
        """Put a generator function around each attempt: it runs up to its ``yield`` before, the rest after.

        It runs where the attempt does: in its thread, or on the event loop, where it must not block. An error
        of the task is raised at the ``yield``; an error of its own fails the attempt. The first one
        registered is the outermost.

        >>> @mill.wrap
        ... def timing(context: Context) -> Iterator[None]:
        ...     began_at = time.monotonic()
        ...     yield
        ...     print(context.task, time.monotonic() - began_at)
        """
        self._app.wrappers.append(_as_context_manager(wrapper))
        return wrapper

    def wrap_enqueue(self, wrapper: E) -> E:
        """Put a generator function around each storing of jobs: it runs up to its ``yield`` before, the rest after.

        It is given the jobs that are stored together, in the thread (or by the coroutine) that enqueues them; an error
        of the store is raised at the ``yield``, and with an error of its own nothing is stored. What it adds to their
        `headers` travels with them. The first one registered is the outermost. What the clock enqueues for
        `Mill.periodic` is wrapped as well, and no slot is any concern of the wrapper's: another worker may have it.

        >>> @mill.wrap_enqueue
        ... def tenant(jobs: Sequence[Outgoing]) -> Iterator[None]:
        ...     for job in jobs:
        ...         job.headers["tenant"] = "north"
        ...     yield
        """
        self._app.enqueue_wrappers.append(_as_context_manager(wrapper))
        return wrapper

    def on_start(self, hook: HookT) -> HookT:
        """Call a function without arguments when a worker starts; an error in it keeps it from starting."""
        _check_hook(hook)
        self._app.start_hooks.append(hook)
        return hook

    def on_stop(self, hook: HookT) -> HookT:
        """Call a function without arguments when a worker has stopped; an error in it is logged."""
        _check_hook(hook)
        self._app.stop_hooks.append(hook)
        return hook

    def register(self, cls: C) -> C:
        """Let instances of a dataclass, Enum, NamedTuple or pydantic model be arguments and results.

        Not needed for classes that the annotations of a task name. Raises ConfigurationError for other
        classes.

        >>> @mill.register
        ... @dataclass
        ... class Order:
        ...     number: int
        """
        try:
            self._app.codec.register(cls)
        except TypeError as error:
            raise ConfigurationError(str(error)) from None
        return cls

    # --- enqueueing

    @overload
    def enqueue_many(self, calls: Iterable[Signature[R]]) -> list[Result[R]]: ...
    @overload
    def enqueue_many(self, calls: Iterable[Signature[Any] | Pipeline[Any]]) -> list[Result[Any]]: ...

    def enqueue_many(self, calls: Iterable[Signature[Any] | Pipeline[Any]]) -> list[Result[Any]]:
        """Store calls and pipelines in one transaction, all or none; their results in order.

        Where some of them name a connection (``task.using(connection=...).s(...)``), its transaction stores them all.

        >>> results = mill.enqueue_many(add.s(n, n) for n in range(1000))
        """
        return enqueue_all(self._app, calls)

    @overload
    async def aenqueue_many(self, calls: Iterable[Signature[R]]) -> list[Result[R]]: ...
    @overload
    async def aenqueue_many(self, calls: Iterable[Signature[Any] | Pipeline[Any]]) -> list[Result[Any]]: ...

    async def aenqueue_many(self, calls: Iterable[Signature[Any] | Pipeline[Any]]) -> list[Result[Any]]:
        """As `enqueue_many`, without blocking the event loop."""
        return await aenqueue_all(self._app, calls)

    def result(self, job_id: str) -> Result[Any]:
        """The handle of the job with that id, whoever enqueued it."""
        return Result(self._app, job_id)

    def lock(self, name: str, timeout: Duration | None = None) -> Lock:
        """A lock that one holder at a time has, in all processes that share the store.

        ``with mill.lock("daily-sync", timeout=10):`` waits so many seconds (None: as long as it takes; 0:
        tries once), then LockTimeout. As a decorator it is the task's option `lock`. `Lock` says more.
        """
        return Lock(self._app, name, timeout)

    # --- running

    def worker(
        self,
        *,
        threads: int = 4,
        coroutines: int = 1000,
        process_slots: int | None = None,
        queues: Collection[str] | None = None,
        grace: float = 25.0,
        burst: bool = False,
        job_logs: str = "info",
    ) -> Worker:
        """A worker in this process, for scripts, tests and notebooks.

        A program in production runs ``taskmill worker module:mill``.

        - *threads*: how many plain functions run at once; *coroutines*: how many ``async def`` tasks;
          *process_slots* (one for each processor): how many tasks of executor "process".
        - *queues* (all): which ones it serves, strictly by priority across them.
        - *grace* (25 s): on leaving, how long running jobs may go on before they are given back, no attempt
          burnt.
        - *burst*: run all that is due, then stop.
        - *job_logs* ("info"): from which level on what a job logs is kept with it, to be read with `Result.logs`;
          what the levels of the program's own loggers leave out is not among it. "off": nothing is kept.

        >>> with mill.worker(threads=4):
        ...     print(add.enqueue(2, 3).get(timeout=5))
        5
        """
        # The composition: the worker knows the application, and a program that only enqueues needs no worker.
        from taskmill._worker.options import WorkerOptions, processors  # noqa: PLC0415
        from taskmill._worker.worker import Worker  # noqa: PLC0415

        options = WorkerOptions(
            threads=threads,
            coroutines=coroutines,
            process_slots=processors() if process_slots is None else process_slots,
            queues=queues,
            grace=grace,
            burst=burst,
            job_logs=job_logs,
        )
        return Worker(self._app, options)

    # --- steering

    def events(self, limit: int = 20) -> list[Event]:
        """The latest lifecycle events, oldest first, put together from the jobs that the store holds."""
        return steering.events(self._app, limit)

    def cancel(self, job_id: str) -> bool:
        """As `Result.cancel`: False if the job has ended or is not there."""
        return steering.cancel(self._app, job_id)

    def retry(self, job_id: str) -> bool:
        """Queue a failed or cancelled job again, with one more attempt; False if it is neither."""
        return steering.retry(self._app, job_id)

    def purge(self, *, queue: str | None = None, ended: bool = False) -> int:
        """Delete for good all waiting jobs, or all *ended* ones, of one queue or of all; return how many."""
        return steering.purge(self._app, queue=queue, ended=ended)

    def dashboard(
        self,
        *,
        auth: Auth | None,
        hosts: Collection[str] = ("localhost", "127.0.0.1", "[::1]"),
    ) -> ASGIApp:
        """What the jobs of this Mill are doing, as an ASGI application: ``app.mount("/jobs", mill.dashboard(...))``.

        - *auth*: a function, or an ``async def``, that is given each request (of Starlette) and returns a `Visitor`,
          or None for whom to refuse. It has to be said: ``auth=None`` lets everybody who can reach the address do
          everything.
        - *hosts*: the names, without ports, that browsers may know this site by; any other is refused, so that no page
          from elsewhere can reach it under a name of its own.

        It needs no events of a lifespan, reads the store on handles of its own, and opens nothing before it is asked.
        ``taskmill dashboard module:mill`` serves it alone.

        Raises:
            ConfigurationError: what it is made with is not installed.

        >>> from taskmill import Visitor
        >>> site = mill.dashboard(auth=lambda request: Visitor("ann", "operate"), hosts=["jobs.example.org"])
        """
        try:
            from taskmill._web.site import dashboard  # noqa: PLC0415  (only who serves it pays for it)
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"the dashboard needs {error.name}, which is not installed: pip install 'taskmill[dashboard]'"
            ) from None
        return dashboard(self._app, auth=auth, hosts=hosts)

    # --- looking after the store

    def doctor(self, *, verify: bool = False) -> list[Finding]:
        """What is wrong with the store and the work in it, the worst first, each with what to do.

        It changes nothing. It reads every job; with *verify* all that is stored, several times.

        >>> for finding in mill.doctor():
        ...     print(finding.severity, finding.name, finding.found, finding.advice)
        """
        # Cron and all: only who asks pays for it.
        from taskmill._app.doctor import examine  # noqa: PLC0415

        return examine(self._app, verify=verify)

    def backup(self, target: str | os.PathLike[str], *, replace: bool = False) -> Backup:
        """Copy the store to a file, while programs work with it; what runs, waits to be run in the copy.

        *target* is there when the copy is whole, verified and on disk, and never before. With *replace* an older
        copy gives way to it. Raises BackupFailed, and StoreError where the store cannot be read.

        >>> shop = Mill("sqlite:///shop.db")
        >>> @shop.task
        ... def pack(order: int) -> None: ...
        >>> packed = pack.enqueue(1)
        >>> shop.backup("copy.db").jobs
        1
        """
        from pathlib import Path  # noqa: PLC0415  (it brings urllib with it)

        return self._app.storage.health.backup(Path(target), replace=replace)


def _as_context_manager(wrapper: Any) -> Any:
    if inspect.isasyncgenfunction(wrapper) or inspect.iscoroutinefunction(wrapper):
        raise ConfigurationError(f"{wrapper!r}: a wrapper is a def with one yield, for what is async, too")
    return contextmanager(wrapper) if inspect.isgeneratorfunction(wrapper) else wrapper


def _check_hook(hook: Any) -> None:
    if not callable(hook) or inspect.iscoroutinefunction(hook):
        raise ConfigurationError(f"{hook!r}: @mill.on_start and @mill.on_stop take a def without arguments")
