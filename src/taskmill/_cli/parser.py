"""argparse with one sentence for each mistake, suggestions, and options that the environment and a file can give."""

from __future__ import annotations

import argparse
import math
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, NoReturn

from taskmill._app.check import known
from taskmill._cli import configuration, exit_code
from taskmill._core.wording import clean, nearest
from taskmill.errors import ConfigurationError

_WIDTH = 78
_AGO = re.compile(r"(?P<number>[0-9]{1,6})(?P<unit>s|min|h|d)")
_NUMBER = re.compile(r"-\d*\.?\d+")
_UNITS = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days"}


class Parser(argparse.ArgumentParser):
    """A command, or a group of commands.

    Each option that has a long name can be given by the environment and by pyproject.toml as well: the command line
    goes before the environment, that before the file, and all before the default. A mistake ends it with one sentence
    and status 2. A group without a command shows its help, unless it has a command for that.
    """

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", _HelpFormatter)
        super().__init__(allow_abbrev=False, **options)
        self._commands: argparse._SubParsersAction[Parser] | None = None
        self._usual: str | None = None
        self._required: list[argparse.Action] = []

    def describe(self, description: str, *, example: str) -> None:
        """What the help says before and after the options."""
        self.description = textwrap.fill(description, _WIDTH)
        self.epilog = f"examples:\n{example}"

    def command(self, name: str, summary: str, *, is_usual: bool = False) -> Parser:
        """A new command of this group; the *usual* one is meant where none is named."""
        if self._commands is None:
            self._commands = self.add_subparsers(
                title="commands", dest="command", metavar="COMMAND", required=True
            )
        if is_usual:
            self._usual = name
        parser = self._commands.add_parser(name, help=summary)
        parser.describe(f"{summary[0].upper()}{summary[1:]}.", example=f"  {parser.prog}")
        return parser

    @property
    def commands(self) -> dict[str, Parser]:
        """The commands of this group by name."""
        return dict(self._commands.choices) if self._commands else {}

    @property
    def words(self) -> list[str]:
        """The command without the program: ``jobs list``."""
        return self.prog.split()[1:]

    @property
    def options(self) -> dict[str, argparse.Action]:
        """The options that can be given elsewhere, too, by their names there."""
        named = ((configuration.name_of(action), action) for action in self._actions)
        return {name: action for name, action in named if name is not None}

    def require(self, *flags: str, **options: Any) -> None:
        """Add an option that must be given, wherever."""
        self._required.append(self.add_argument(*flags, **options))

    def parse_known_args(
        self, args: Iterable[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """As argparse does it; what the command line leaves out (`left_out`) is looked for elsewhere."""
        given = self._completed(list(sys.argv[1:] if args is None else args))
        self._check_command(given)
        options = self.options
        found = argparse.Namespace() if namespace is None else namespace
        for action in options.values():
            # What is there already, argparse does not give the default to: what was not said can be told from that.
            setattr(found, action.dest, None)
        found, rest = super().parse_known_args(given, found)
        self._take(rest, found)
        file = self._file([*options])
        left_out = {name: action for name, action in options.items() if getattr(found, action.dest) is None}
        for name, action in left_out.items():
            setattr(found, action.dest, self._said_elsewhere(name, action, file))
        found.left_out = getattr(found, "left_out", frozenset()) | {
            action.dest for action in left_out.values()
        }
        self._check_required(found)
        return found, []

    def error(self, message: str) -> NoReturn:
        """End with status 2 and one sentence."""
        self.exit(exit_code.USAGE, f"taskmill: error: {clean(message)}; see '{self.prog} --help'\n")

    def _completed(self, given: list[str]) -> list[str]:
        """With the usual command, where none is named."""
        is_named = bool(given) and (given[0] in {"-h", "--help"} or not given[0].startswith("-"))
        return given if self._usual is None or is_named else [self._usual, *given]

    def _check_command(self, given: Sequence[str]) -> None:
        if self._commands is None:
            return
        if not given:
            self.print_help(sys.stderr)
            self.exit(exit_code.USAGE)
        name = given[0]
        if not name.startswith("-") and name not in self.commands:
            suggestion = nearest(name, self.commands)
            self.error(f"there is no command {name!r}{suggestion}: it is one of {', '.join(self.commands)}")

    def _take(self, rest: Sequence[str], found: argparse.Namespace) -> None:
        """What argparse has left over: words behind an option, which it does not add to those before; mistakes."""
        end = rest.index("--") if "--" in rest else len(rest)
        for word in rest[:end]:
            if word.startswith("-") and not _NUMBER.fullmatch(word):
                name = word.partition("=")[0]
                self.error(f"there is no option {name!r}{nearest(name, self._option_string_actions)}")
        words = [*rest[:end], *rest[end + 1 :]]
        open_ended = next((each.dest for each in self._actions if each.nargs == "*"), None)
        if words and open_ended is None:
            self.error(f"{words[0]!r} is one word too many")
        if words and open_ended is not None:
            setattr(found, open_ended, [*getattr(found, open_ended), *words])

    def _file(self, options: Sequence[str]) -> configuration.File | None:
        try:
            file = configuration.file_here()
            if file is not None:
                configuration.check_file(file, self.words, options, [*self.commands])
            return file
        except ConfigurationError as error:
            self.error(str(error))

    def _check_required(self, found: argparse.Namespace) -> None:
        for action in self._required:
            if getattr(found, action.dest) is None:
                self.error(f"{action.option_strings[0]} {action.metavar} is missing")

    def _said_elsewhere(self, name: str, action: argparse.Action, file: configuration.File | None) -> Any:
        try:
            said = configuration.said_of(self.words, action, name, file)
            if said is None:
                return action.default
            return said.value if isinstance(said.value, bool) else self._read(action, said)
        except argparse.ArgumentTypeError as error:
            self.error(f"argument {'/'.join(action.option_strings) or name}: {error}")

    def _read(self, action: argparse.Action, said: configuration.Said) -> Any:
        read: Callable[[Any], Any] = action.type if callable(action.type) else str
        try:
            return read(said.value)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f"{error} (from {said.origin})") from None


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Says of each option what it is without being given, and which variable gives it."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        name = configuration.name_of(action)
        if name is None or not action.help:
            return action.help
        variable = configuration.variable_of(self._prog.split()[1:], name)
        default = action.default if isinstance(action.default, int | float | str) else None
        fallback = "" if default is None or default is False else f"default: {_shown(default)}; "
        return f"{action.help} ({fallback}{variable})"


def _shown(default: float | str) -> str:
    return f"{default:g}" if isinstance(default, float) else str(default).replace("%", "%%")


# --- what options can be


def whole(text: str) -> int:
    """A whole number from 0 up."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:  # noqa: PLR2004  (more than any option means)
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 up")
    return int(text)


def positive(text: str) -> int:
    """A whole number from 1 up."""
    number = whole(text)
    if number == 0:
        raise argparse.ArgumentTypeError("0 is too few, give 1 or more")
    return number


def port(text: str) -> int:
    """A number of a port; 0 stands for any that is free."""
    number = whole(text)
    if number > 65_535:  # noqa: PLR2004  (there are no more)
        raise argparse.ArgumentTypeError(f"{text} is no port, the last one is 65535")
    return number


class Address(NamedTuple):
    """Where to listen, or whom to ask."""

    host: str
    port: int


def address(text: str) -> Address:
    """HOST:PORT; without a host, all addresses of this machine."""
    host, colon, number = text.rpartition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"{text!r} is no HOST:PORT, such as 127.0.0.1:8080 or :8080")
    return Address(host.removeprefix("[").removesuffix("]") or "0.0.0.0", port(number))  # noqa: S104  (as it was asked)


def seconds(text: str) -> float:
    """A number of seconds from 0 up."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0 up")
    return number


def number(text: str) -> int:
    """Any whole number."""
    return -whole(text[1:]) if text.startswith("-") else whole(text)


def moment(text: str) -> datetime:
    """So long ago (``90s``, ``5min``, ``3h``, ``2d``), or an instant of ISO 8601, of UTC unless it says otherwise."""
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            return datetime.now(UTC) - timedelta(**{_UNITS[ago["unit"]]: int(ago["number"])})
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a time ago, such as 5min, 3h or 2d, nor an instant, such as 2026-01-31T12:00"
        ) from None


def names(text: str) -> list[str]:
    """Names, parted by commas."""
    found = [name.strip() for name in text.split(",")]
    if not all(found):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of names parted by commas")
    return found


def one_of(kind: str, choices: Sequence[str]) -> Callable[[str], str]:
    """One of *choices*."""

    def read(text: str) -> str:
        try:
            known(kind, text, choices)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        return text

    return read


def some_of(kind: str, choices: Sequence[str]) -> Callable[[str], list[str]]:
    """Some of *choices*, parted by commas."""
    read = one_of(kind, choices)
    return lambda text: [read(name) for name in names(text)]
