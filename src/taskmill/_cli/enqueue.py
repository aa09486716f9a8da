"""``taskmill enqueue``: a job from the prompt, its arguments read as the task's signature says."""

from __future__ import annotations

from typing import Any

from taskmill._app.application import Application
from taskmill._app.result import Result
from taskmill._app.typed import TypedCall
from taskmill._cli import exit_code, person, store
from taskmill._cli.job import as_json
from taskmill._cli.output import complain, put, put_json
from taskmill._cli.parser import Parser, names, number, seconds
from taskmill._core.wording import clean, clean_lines
from taskmill.errors import ConfigurationError, JobCancelled, JobFailed

_EXAMPLE = """\
  taskmill enqueue shop.add 2 3 --app shop:mill
  taskmill enqueue shop.send_mail to=ann@example.org --app shop:mill --delay 60
  taskmill enqueue shop.report 2026-01-31 options={} --app shop:mill --wait"""


def configure(parser: Parser) -> None:
    """The options."""
    parser.describe(
        "Store a call of a task as a job and print its id. Each argument is VALUE or NAME=VALUE. Where the "
        "signature says str it is taken as it is; elsewhere it is JSON, and a text where it is none; a date, a "
        "UUID, a Decimal or a Path is made of its text.",
        example=_EXAMPLE,
    )
    parser.add_argument(
        "task", metavar="TASK", help="the name of the task; its last part, if no other has it"
    )
    parser.add_argument("arguments", nargs="*", metavar="ARG", help="the arguments of the call")
    parser.add_argument("--queue", metavar="NAME", help="instead of the task's own")
    parser.add_argument("--priority", type=number, metavar="N", help="instead of the task's own")
    parser.add_argument("--delay", type=seconds, metavar="SECONDS", help="not to be run before")
    parser.add_argument("--key", metavar="KEY", help="none is stored while a job of the task has this key")
    parser.add_argument("--tags", type=names, action="extend", metavar="TAGS", help="parted by commas")
    parser.add_argument(
        "--wait", action="store_true", help="wait for the end, and print the result; status 1 if it failed"
    )
    store.add_options(parser)


def run(arguments: Any) -> int:
    """Store the job."""
    if not arguments.app:
        raise ConfigurationError("name the application that has the task: --app shop.tasks:mill")
    with store.open_as_it_is(arguments) as app:
        task = app.tasks[_whole_name(app, arguments.task)]
        args, kwargs = TypedCall(task).words(arguments.arguments)
        options = {name: getattr(arguments, name) for name in ("queue", "priority", "delay", "key", "tags")}
        call = task.using(**{name: value for name, value in options.items() if value is not None})
        result = call.enqueue(*args, **kwargs)
        person.note(app, "enqueue", f"{task.name} {result.id}", number=1)
        if not arguments.wait:
            _tell(result, is_json=arguments.json)
            return exit_code.OK
        return _wait(result, is_json=arguments.json)


def _whole_name(app: Application, name: str) -> str:
    if name in app.tasks.names:
        return name
    found = [known for known in app.tasks.names if known.endswith(f".{name}")]
    return found[0] if len(found) == 1 else name


def _tell(result: Result[Any], *, is_json: bool) -> None:
    if is_json:
        put_json(as_json(result.job()))
    else:
        put(clean(result.id))


def _wait(result: Result[Any], *, is_json: bool) -> int:
    status = exit_code.OK
    try:
        value = result.get()
        if not is_json:
            put(clean(repr(value)))
    except (JobFailed, JobCancelled) as error:
        status = exit_code.FAILURE
        if not is_json:
            complain("\n".join(clean_lines(str(error))))
    if is_json:
        put_json(as_json(result.job()))
    return status
