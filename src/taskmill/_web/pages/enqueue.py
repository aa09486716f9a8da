"""A form to enqueue a task, made from its signature; filled in like another job, if the address names one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from inspect import Parameter
from typing import Any, NamedTuple

from starlette.responses import Response

from taskmill._app.options import CallOptions
from taskmill._app.settings import CallSettings
from taskmill._app.task import BaseTask
from taskmill._app.typed import TypedCall
from taskmill._core.record import Job
from taskmill._core.secrecy import HIDDEN, Secrecy
from taskmill._core.wording import clean
from taskmill._web import audit
from taskmill._web.value import has_secret
from taskmill._web.visit import Visit
from taskmill.errors import TaskmillError

# What a parameter's field is called in the form, so that none is taken for one of the form's own.
_FIELD = "with."


class Field(NamedTuple):
    """A parameter as a field; `default` is what is taken where nothing is given, None where something has to be."""

    name: str
    kind: str
    default: str | None
    value: str
    is_secret: bool


class Settings(NamedTuple):
    """What can be said beside the arguments."""

    queue: str
    priority: str
    delay: str


def show(visit: Visit) -> Response:
    """The form."""
    task = visit.app.tasks.find(visit.asked("task") or "")
    if task is None:
        return visit.page("missing.html", status=404, what="This dashboard does not know such a task.")
    like = visit.reader.inspection.job(visit.asked("like") or "")
    values = {} if like is None else _values(task, like, visit.app.secrecy)
    settings = Settings(task.options.queue, str(task.options.priority), "")
    if like is not None:
        settings = Settings(like.queue, str(like.priority), "")
    return _form(visit, task, values, settings)


def act(visit: Visit) -> Response:
    """Enqueue what the form says, or show it again with what is wrong."""
    task = visit.app.tasks.find(visit.given("task") or "")
    if task is None:
        return visit.back("Nothing was enqueued: this dashboard does not know such a task.", to="/tasks")
    values = {
        field.name: visit.given(_FIELD + field.name) or "" for field in _fields(task, {}, visit.app.secrecy)
    }
    settings = Settings(*(visit.given(name) or "" for name in Settings._fields))
    try:
        args, kwargs = _call(task, values)
        job = task.new_job(args, kwargs, CallOptions.of(_said(settings)))
        [job_id] = visit.app.submit([job])
    except (TaskmillError, ValueError) as error:
        return _form(visit, task, values, settings, wrong=str(error))
    audit.note(visit, "enqueue", f"{task.name} {job_id}", done=True)
    return visit.back("It is enqueued.", to=f"/jobs/{job_id}")


def _form(
    visit: Visit,
    task: BaseTask[..., Any],
    values: Mapping[str, str],
    settings: Settings,
    wrong: str = "",
) -> Response:
    return visit.page(
        "enqueue.html",
        status=400 if wrong else 200,
        task=task,
        fields=_fields(task, values, visit.app.secrecy),
        prefix=_FIELD,
        settings=settings,
        wrong=wrong,
    )


def _fields(task: BaseTask[..., Any], values: Mapping[str, str], secrecy: Secrecy) -> list[Field]:
    return [
        Field(
            parameter.name,
            _kind(parameter.annotation),
            _default(parameter, secrecy),
            values.get(parameter.name, ""),
            secrecy.is_secret(parameter.name),
        )
        for parameter in TypedCall(task).named
    ]


def _default(parameter: Parameter, secrecy: Secrecy) -> str | None:
    if parameter.default is Parameter.empty:
        return None
    return HIDDEN if secrecy.is_secret(parameter.name) else clean(repr(parameter.default))


def _kind(annotation: Any) -> str:
    """The annotation as it was written."""
    if annotation is Parameter.empty:
        return ""
    return clean(
        annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    )


def _values(task: BaseTask[..., Any], like: Job, secrecy: Secrecy) -> dict[str, str]:
    """The arguments of a job, as they are typed; those that are secret, or have a secret in them, are left out."""
    try:
        args, kwargs = json.loads(like.args)
        given = dict(zip((each.name for each in TypedCall(task).named), args, strict=False)) | kwargs
    except (ValueError, TypeError, RecursionError):
        return {}
    return {name: _typed(value) for name, value in given.items() if not has_secret(value, name, secrecy)}


def _typed(value: Any) -> str:
    """A text as it is, if nothing else could be meant by it."""
    if isinstance(value, str) and _is_plain(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _is_plain(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return bool(text)
    return False


def _call(task: BaseTask[..., Any], values: Mapping[str, str]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments; a field that is left empty is not given."""
    typed = TypedCall(task)
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for parameter in typed.named:
        text = values[parameter.name]
        if not text:
            continue
        value = typed.value(parameter, text)
        if parameter.kind is Parameter.POSITIONAL_ONLY:
            args.append(value)
        else:
            kwargs[parameter.name] = value
    return tuple(args), kwargs


def _said(settings: Settings) -> CallSettings:
    said: CallSettings = {}
    if settings.queue:
        said["queue"] = settings.queue
    if settings.priority:
        said["priority"] = int(settings.priority)
    if settings.delay:
        said["delay"] = float(settings.delay)
    return said
