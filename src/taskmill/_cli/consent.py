"""Asking before what cannot be taken back."""

from __future__ import annotations

import sys

from taskmill._cli.output import note
from taskmill._cli.parser import Parser
from taskmill._core.wording import clean
from taskmill.errors import ConfigurationError


def add_option(parser: Parser) -> None:
    """The way to say yes beforehand."""
    parser.add_argument("--yes", action="store_true", help="do not ask")


def is_given(question: str, *, beforehand: bool, why: str, otherwise: str) -> bool:
    """Whether somebody at the terminal says yes, or *beforehand* did; *otherwise* is what a no is answered with.

    ConfigurationError, with *why* it is asked, where nobody can be.
    """
    if beforehand:
        return True
    if sys.stdin is None or not sys.stdin.isatty():
        raise ConfigurationError(f"{why}: add --yes where nobody can be asked")
    print(clean(f"{question} [y/N] "), end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() in {"y", "yes"}:
        return True
    note(otherwise)
    return False
