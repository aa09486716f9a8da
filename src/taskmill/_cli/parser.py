"""argparse with one sentence for each mistake, suggestions, and settings from the environment."""

from __future__ import annotations

import argparse
import math
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, NoReturn

from taskmill._app.check import known, nearest
from taskmill._cli import exit_code
from taskmill._core.wording import clean

_WIDTH = 78
_YES = {"1", "true", "yes", "on"}
_NO = {"0", "false", "no", "off"}

Read = Callable[[str], Any]


class _Setting(NamedTuple):
    dest: str
    variable: str
    read: Read
    default: Any


class Parser(argparse.ArgumentParser):
    """A command, or a group of commands.

    A mistake ends it with one sentence and status 2; a group without a command shows its help.
    """

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)
        self._commands: argparse._SubParsersAction[Parser] | None = None
        self._settings: list[_Setting] = []

    def describe(self, description: str, *, example: str) -> None:
        """What the help says before and after the options."""
        self.description = textwrap.fill(description, _WIDTH)
        self.epilog = f"examples:\n{example}"

    def command(self, name: str, summary: str) -> Parser:
        """A new command of this group."""
        if self._commands is None:
            self._commands = self.add_subparsers(
                title="commands", dest="command", metavar="COMMAND", required=True
            )
        parser = self._commands.add_parser(name, help=summary)
        parser.describe(f"{summary[0].upper()}{summary[1:]}.", example=f"  {parser.prog}")
        return parser

    @property
    def commands(self) -> dict[str, Parser]:
        """The commands of this group by name."""
        return dict(self._commands.choices) if self._commands else {}

    def setting(
        self, *flags: str, variable: str, read: Read | None, default: Any = None, told: str, **options: Any
    ) -> None:
        """Add an option that the environment *variable* can give as well; the command line wins.

        *read* makes the value of its text, None stands for a flag; *told* is its help. An empty variable counts
        as none.
        """
        if read is None:
            options |= {"action": "store_const", "const": True}
        else:
            options["type"] = read
        fallback = (
            ""
            if default in {None, False}
            else f"default: {default if isinstance(default, str) else format(default, 'g')}; "
        )
        action = self.add_argument(*flags, help=f"{told} ({fallback}{variable})", **options)
        self._settings.append(_Setting(action.dest, variable, read or _flag, default))

    def parse_known_args(
        self, args: Iterable[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """As argparse does it, with the settings filled in."""
        given = list(sys.argv[1:] if args is None else args)
        self._check_command(given)
        found, rest = super().parse_known_args(given, namespace)
        for setting in self._settings:
            if getattr(found, setting.dest) is None:
                setattr(found, setting.dest, self._from_environment(setting))
        return found, rest

    def error(self, message: str) -> NoReturn:
        """End with status 2 and one sentence."""
        self.exit(exit_code.USAGE, f"taskmill: error: {clean(message)}; see '{self.prog} --help'\n")

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

    def _from_environment(self, setting: _Setting) -> Any:
        text = os.environ.get(setting.variable, "")
        if not text:
            return setting.default
        try:
            return setting.read(text)
        except argparse.ArgumentTypeError as error:
            self.error(f"environment variable {setting.variable}: {error}")


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


def _flag(text: str) -> bool:
    if text.lower() not in _YES | _NO:
        raise argparse.ArgumentTypeError(f"{text!r} is neither 1 nor 0")
    return text.lower() in _YES
