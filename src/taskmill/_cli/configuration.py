"""What the environment and pyproject.toml say of options that the command line leaves out."""

from __future__ import annotations

import argparse
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from taskmill._app.check import known
from taskmill._core.wording import clean
from taskmill.errors import ConfigurationError

SHARED = frozenset({"url", "app", "json"})
"""Options that are the same for all commands, and named without one: TASKMILL_URL, [tool.taskmill] url."""

_LENT: Mapping[tuple[str, ...], Sequence[str]] = {("healthcheck", "http"): ("worker",)}
"""Options that are those of another command, by that."""

FILE = "pyproject.toml"

_YES = {"1", "true", "yes", "on"}
_NO = {"0", "false", "no", "off"}


class File(NamedTuple):
    """[tool.taskmill] of a pyproject.toml."""

    path: Path
    values: Mapping[str, Any]


class Said(NamedTuple):
    """What was said of an option, as the text of the command line (of a flag: whether it is set), and where."""

    value: str | bool
    origin: str


def name_of(action: argparse.Action) -> str | None:
    """What an option is called but on the command line; None for what can be given there only."""
    if action.dest in SHARED:
        return action.dest
    long = next((flag for flag in action.option_strings if flag.startswith("--")), None)
    return None if long is None or action.dest in {"help", "version"} else long.removeprefix("--")


def home_of(command: Sequence[str], name: str) -> Sequence[str]:
    """The command that an option is named by."""
    return () if name in SHARED else _LENT.get((*command, name), command)


def variable_of(command: Sequence[str], name: str) -> str:
    """The variable of an option: of ``worker``, ``process-slots``: TASKMILL_WORKER_PROCESS_SLOTS."""
    parts = ["taskmill", *home_of(command, name), name]
    return "_".join(parts).replace("-", "_").upper()


def file_here() -> File | None:
    """The nearest one that has such a table, in the current folder or above; ConfigurationError if it is broken."""
    for path in _candidates():
        text = _read(path)
        # Most files are about something else, and need not be understood.
        if text is not None and "taskmill" in text:
            match _parsed(path, text):
                case {"tool": {"taskmill": dict() as values}}:
                    return File(path, values)
    return None


def said_of(command: Sequence[str], action: argparse.Action, name: str, file: File | None) -> Said | None:
    """What the environment says, else the *file*; an empty variable says nothing.

    Raises ArgumentTypeError where it is nothing for such an option.
    """
    variable = variable_of(command, name)
    text = os.environ.get(variable, "")
    if text:
        return Said(_flag(text, variable) if action.nargs == 0 else text, variable)
    return None if file is None else _said_in_file(command, action, name, file)


def check_file(file: File, command: Sequence[str], options: Sequence[str], commands: Sequence[str]) -> None:
    """Refuse what it says of a *command* that has no such options, or commands below it."""
    place, values = _place(file, command)
    own = sorted(name for name in options if home_of(command, name) == command) if command else sorted(SHARED)
    for name, value in values.items():
        kind, choices = ("command", commands) if isinstance(value, Mapping) else ("option", own)
        try:
            known(kind, name, choices or ["none"])
        except ValueError as error:
            raise ConfigurationError(f"[{place}] in {file.path}: {error}") from None


# --- the environment


def _flag(text: str, origin: str) -> bool:
    if text.lower() not in _YES | _NO:
        raise argparse.ArgumentTypeError(f"{text!r} is neither 1 nor 0 (from {origin})")
    return text.lower() in _YES


# --- the file


def _said_in_file(command: Sequence[str], action: argparse.Action, name: str, file: File) -> Said | None:
    place, values = _place(file, home_of(command, name))
    if name not in values:
        return None
    origin = f"{place}.{name} in {file.path}"
    return Said(_text_of(values[name], origin, is_flag=action.nargs == 0), origin)


def _text_of(value: Any, origin: str, *, is_flag: bool) -> str | bool:
    match value:
        case bool() if is_flag:
            return value
        case str() | int() | float() if not (is_flag or isinstance(value, bool)):
            return str(value)
        case [*items] if items and not is_flag and all(isinstance(item, str) for item in items):
            return ",".join(items)
        case _:
            wanted = "true or false" if is_flag else "a text, a number or a list of texts"
            raise argparse.ArgumentTypeError(f"{value!r} is not {wanted} (from {origin})")


def _place(file: File, command: Sequence[str]) -> tuple[str, Mapping[str, Any]]:
    """The part of the table for a command, and what it is called."""
    values: Mapping[str, Any] = file.values
    for word in command:
        inner = values.get(word, {})
        values = inner if isinstance(inner, Mapping) else {}
    return ".".join(["tool.taskmill", *command]), values


def _candidates() -> list[Path]:
    try:
        folder = Path.cwd()
    except OSError:  # it is gone
        return []
    return [place / FILE for place in (folder, *folder.parents)]


def _read(path: Path) -> str | None:
    """The text of the file; None also where everybody may write it, for it names code that is to be run."""
    try:
        if any(place.stat().st_mode & stat.S_IWOTH for place in (path, path.parent)):
            return None
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _parsed(path: Path, text: str) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415  (only those with such a file pay for it)

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is no TOML: {clean(str(error))}") from None
