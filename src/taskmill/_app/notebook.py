"""How a mill, a result and a pipeline show themselves in a notebook: as tables of HTML, whose texts stay texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape

from taskmill._app.application import Application
from taskmill._core.instant import to_datetime
from taskmill._core.job import State
from taskmill._core.record import Job
from taskmill._core.wording import ago, clean, counted
from taskmill._storage.urls import shown
from taskmill.errors import TaskmillError

Cells = Sequence[object]

_LONGEST = 300


def of_mill(app: Application) -> str:
    """What each queue holds, by one read; a store that is not there is not made."""
    title = f"Mill {shown(app.url)} with {counted(len(app.tasks), 'task')}"

    def body() -> str:
        counts = app.storage.inspection.queues() if app.storage.exists() else ()
        rows = [(each.queue, *(each.states.get(state, 0) for state in State), each.due) for each in counts]
        return _table(("queue", *State, "due"), rows) if rows else "<p>no jobs</p>"

    return _told(title, body)


def of_result(app: Application, job_id: str, task: str) -> str:
    """What is known of the job, by one read."""

    def body() -> str:
        job = app.storage.inspection.job(job_id) if app.storage.exists() else None
        if job is None:
            return "<p>The store holds no such job (any more).</p>"
        return _table((), _facts(app, job))

    return _told(f"Result {task} {job_id}", body)


def of_pipeline(app: Application, job_ids: Sequence[str], task: str) -> str:
    """Where each of its steps is."""

    def body() -> str:
        first = app.storage.inspection.job(job_ids[0])
        if first is None:
            return "<p>The store does not hold its first step (any more).</p>"
        steps = app.storage.inspection.steps(first.pipeline or "", limit=len(job_ids))
        rows = [(step.step + 1, step.job_id, step.task, _state(step)) for step in steps]
        return _table(("step", "job", "task", "state"), rows)

    return _told(f"Pipeline {task}", body)


def _told(title: str, body: Callable[[], str]) -> str:
    try:
        told = body()
    except TaskmillError as error:
        # What is shown in passing must not fail.
        told = f"<p>{_text(type(error).__name__)}: {_text(error)}</p>"
    return f"<p><b>{_text(title)}</b></p>{told}"


def _facts(app: Application, job: Job) -> Iterator[tuple[str, object]]:
    now = to_datetime(app.storage.now())
    yield "task", job.task
    yield "state", _state(job)
    yield "attempt", f"{job.attempt} of {job.max_attempts}"
    yield "enqueued", ago(job.enqueued_at, now)
    if job.progress is not None:
        share = "" if job.progress.share is None else f" ({job.progress.share:.0%})"
        yield "progress", f"{job.progress.done:.12g}{share} {job.progress.text}"
    if job.result is not None:
        yield "result", _value(app, job.result)
    if job.error is not None:
        yield "error", job.error


def _state(job: Job) -> str:
    return str(job.state) if job.reason is None else f"{job.state} ({job.reason})"


def _value(app: Application, text: str) -> str:
    try:
        return repr(app.codec.decode(text))
    except Exception:  # noqa: BLE001  (an unknown class, or anything from somebody's __repr__)
        return text


def _table(head: Cells, rows: Iterable[Cells]) -> str:
    titles = "".join(f"<th>{_text(cell)}</th>" for cell in head)
    lines = ("".join(f"<td>{_text(cell)}</td>" for cell in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table>{f'<thead><tr>{titles}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>"


def _text(value: object) -> str:
    line = clean(str(value))
    return escape(line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…")
