"""``taskmill doctor``: what is wrong with a store, and what to do."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from taskmill._app.doctor import examine
from taskmill._cli import exit_code, store
from taskmill._cli.output import put_json, put_lines, terminal_width
from taskmill._cli.parser import Parser
from taskmill._cli.text import Line, Span, word
from taskmill._core.finding import Finding, Severity, needs_doing
from taskmill._core.wording import clean, counted
from taskmill._storage.urls import shown

_WIDTH = 100
_INDENT = "  "


def configure(parser: Parser) -> None:
    """The options."""
    parser.describe(
        "Look at a store, the file that it is in and the work that waits in it, and say what is wrong and what to do. "
        "It changes nothing. Status 0 if there is nothing worse than a note, 1 if something needs doing.",
        example="  taskmill doctor --app shop.tasks:mill\n  taskmill doctor --verify --json",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="read all that is stored and check it: SQLite's integrity_check, the rules of the store, every text",
    )
    store.add_options(parser)


def run(arguments: Any) -> int:
    """Print the findings."""
    with store.open_as_it_is(arguments) as app:
        findings = examine(app, verify=arguments.verify)
        url = shown(app.storage.url)
    if arguments.json:
        put_json({"store": url, "findings": [as_json(finding) for finding in findings]})
    else:
        put_lines(_as_text(url, findings))
    return exit_code.FAILURE if any(map(needs_doing, findings)) else exit_code.OK


def as_json(finding: Finding) -> dict[str, str]:
    """A finding for programs."""
    return {
        "name": finding.name,
        "severity": str(finding.severity),
        "found": finding.found,
        "advice": finding.advice,
    }


def _as_text(url: str, findings: Sequence[Finding]) -> Iterator[Line]:
    yield [Span(clean(f"{url}: {summary(findings)}"))]
    for finding in findings:
        yield []
        yield from as_lines(finding)


def as_lines(finding: Finding) -> Iterator[Line]:
    """A finding for people."""
    width = min(terminal_width() or _WIDTH, _WIDTH)
    yield [word(finding.severity), Span(f": {finding.name}")]
    yield from _wrapped(finding.found, width, _INDENT)
    if finding.advice:
        yield from _wrapped(finding.advice, width, f"{_INDENT}-> ")


def summary(findings: Sequence[Finding]) -> str:
    """How many there are of each severity."""
    counts = Counter(finding.severity for finding in findings)
    told = [counted(counts[severity], str(severity)) for severity in Severity if counts[severity]]
    return ", ".join(told) or "nothing is wrong"


def _wrapped(text: str, width: int, lead: str) -> list[Line]:
    rest = " " * len(lead)
    lines = textwrap.wrap(
        clean(text),
        width,
        initial_indent=lead,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [[Span(line)] for line in lines]
