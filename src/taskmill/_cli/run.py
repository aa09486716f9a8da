"""``taskmill run``: a job that has ended, run once more here and now, in this process, for who looks for a mistake."""

from __future__ import annotations

import asyncio
import traceback
from contextlib import ExitStack, nullcontext
from types import TracebackType
from typing import Any

from taskmill._app.application import Application
from taskmill._app.context import Context, Tenure, entered
from taskmill._app.lock import Lock
from taskmill._app.task import BaseTask
from taskmill._cli import exit_code, live, store
from taskmill._cli.output import complain, note, put, put_json
from taskmill._cli.parser import Parser
from taskmill._core.job import Claimed
from taskmill._core.record import Job
from taskmill._core.wording import clean
from taskmill.errors import ConfigurationError, LockTimeout

_EXAMPLE = """\
  taskmill run 01981a2b-7c3d-7e4f-8a5b-6c7d8e9f0a1b --app shop.tasks:mill
  taskmill run 01981a2b-7c3d-7e4f-8a5b-6c7d8e9f0a1b --app shop:mill --pdb"""


def configure(parser: Parser) -> None:
    """The options."""
    parser.describe(
        "Call the function of a job that has ended, with the job's arguments, in this process, and print what "
        "it returns, or its traceback and status 1. The store is left as it is: a job that failed stays so, "
        "until `taskmill jobs retry`. What the function does, it does: its lock is held meanwhile, its time "
        "limits and retries do not apply.",
        example=_EXAMPLE,
    )
    parser.add_argument("job_id", metavar="JOB", help="the id of the job")
    parser.add_argument(
        "--pdb",
        action="store_true",
        help="look at where it was raised, if something is, with Python's debugger",
    )
    store.add_options(parser)


def run(arguments: Any) -> int:
    """Run it."""
    if not arguments.app:
        raise ConfigurationError("name the application that has the task: --app shop.tasks:mill")
    if arguments.pdb and not live.is_possible():
        raise ConfigurationError("--pdb needs a terminal")
    with store.open_app(arguments) as app:
        job = app.storage.inspection.job(arguments.job_id)
        if job is None or not job.state.is_final:
            complain(_why_not(arguments.job_id, job))
            return exit_code.FAILURE
        task = app.tasks[job.task]
        args, kwargs = _call(app, job)
        lock = Lock(app, job.lock, timeout=0) if job.lock else nullcontext()
        with ExitStack() as stack:
            try:
                stack.enter_context(lock)
            except LockTimeout as error:
                complain(f"{error}: the job would not run now either; `taskmill locks` says who holds it")
                return exit_code.FAILURE
            try:
                value = _run(app, task, job, args, kwargs)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001  (whatever it is, it is shown)
                return _show(error, with_pdb=arguments.pdb)
        _tell(app, job, value, is_json=arguments.json)
    return exit_code.OK


def _why_not(job_id: str, job: Job | None) -> str:
    if job is None:
        return f"there is no job {job_id!r}; `taskmill jobs list` prints whole ids"
    return f"job {job_id} is {job.state}: a worker may run it at the same time, so cancel it first, or enqueue another"


def _call(app: Application, job: Job) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments that the function had; of a step of a pipeline, with the result of the one before."""
    args, kwargs = app.codec.decode_call(job.args)
    if not (job.pipeline and job.step):
        return args, kwargs
    steps = app.storage.inspection.steps(job.pipeline, limit=job.step + 1)
    before = next((step for step in steps if step.step == job.step - 1), None)
    if before is None or before.result is None:
        raise ConfigurationError("the result of the step before it is not kept any more, and it needs that")
    return (app.codec.decode(before.result), *args), kwargs


def _run(
    app: Application, task: BaseTask[..., Any], job: Job, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    context = Context(app, _claimed(job), _Unclaimed(0))
    with ExitStack() as stack:
        stack.enter_context(entered(context))
        for wrapper in app.wrappers:
            stack.enter_context(wrapper(context))
        value = task.invoke(context, args, kwargs)
        return asyncio.run(value) if task.is_coroutine else value


class _Unclaimed(Tenure):
    """Nobody holds the job, and nobody takes it away."""

    def is_unwanted(self, app: Application, claimed: Claimed) -> bool:  # noqa: ARG002  (as its base has it)
        return False


def _claimed(job: Job) -> Claimed:
    """The job as its function sees it: the attempt is the last one, once more."""
    return Claimed(
        ref=0,
        job_id=job.job_id,
        task=job.task,
        queue=job.queue,
        executor="thread",
        attempt=max(job.attempt, 1),
        max_attempts=job.max_attempts,
        fence=job.fence,
        plain=True,
        args=job.args,
        given=None,
        headers=None,
    )


def _tell(app: Application, job: Job, value: Any, *, is_json: bool) -> None:
    if is_json:
        put_json({"job_id": job.job_id, "result": app.codec.encode(value, limit=app.payload_limit)})
    else:
        put(clean(repr(value)))
    note(
        f"the job is {job.state} in the store, as before: `taskmill jobs retry {job.job_id}` lets a worker run it"
    )


def _show(error: BaseException, *, with_pdb: bool) -> int:
    frames = _of_the_task(error.__traceback__)
    traceback.print_exception(type(error), error, frames)
    if with_pdb:
        import pdb  # noqa: PLC0415, T100  (as it was asked for)

        pdb.post_mortem(frames)
    return exit_code.FAILURE


def _of_the_task(frames: TracebackType | None) -> TracebackType | None:
    """From the function on: how it came to be called says nothing about the error."""
    while frames is not None and frames.tb_next is not None and _is_ours(frames):
        frames = frames.tb_next
    return frames


def _is_ours(frames: TracebackType) -> bool:
    return str(frames.tb_frame.f_globals.get("__name__")).startswith(("taskmill._", "asyncio", "contextlib"))
