"""A story in steps: each says what is promised, shows what happened, and is judged by what was measured."""

from __future__ import annotations

import inspect
import logging
import textwrap
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from taskmill._cli.demo.paint import Paint

WIDTH = 80
_MARGIN = 4
_LABEL = 10
_TEXT = WIDTH - _MARGIN - _LABEL
_SHORT_LOG = 10
_SHORT_TRACEBACK = 12


class Put(Protocol):
    """Writes lines where they are seen at once."""

    def __call__(self, *lines: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Step:
    """One promise; `play` puts it to the test, and its docstring is what is promised."""

    title: str
    play: Callable[[Show], None]

    @property
    def promise(self) -> str:
        """What is promised, in a line."""
        return " ".join((inspect.getdoc(self.play) or self.title).split())


def step(title: str) -> Callable[[Callable[[Show], None]], Step]:
    """Make a step of a function whose docstring is the promise.

    >>> @step("Arithmetic")
    ... def arithmetic(show: Show) -> None:
    ...     '''Two and three are five.'''
    ...     show.expect(2 + 3 == 5, f"it was {2 + 3}")
    """
    return lambda play: Step(title, play)


class Verdict(NamedTuple):
    """How a step went."""

    title: str
    is_kept: bool
    seconds: float


class Show:
    """What a step shows, line by line as it happens, and whether all was as expected."""

    def __init__(self, put: Put, paint: Paint) -> None:
        self._put = put
        self._paint = paint
        self._label = "happened:"
        self.is_kept = True

    def tell(self, text: str) -> None:
        """Something that happened, for the reader."""
        self._write(_wrapped(text))

    def table(self, *lines: str) -> None:
        """Lines that are aligned already."""
        self._write(f"  {line}"[:_TEXT] for line in lines)

    def expect(self, is_so: bool, fact: str) -> None:  # noqa: FBT001  (reads as a sentence)
        """A *fact*, with the figures that were measured, which keeps the promise only if it *is_so*."""
        if is_so:
            self.tell(fact)
            return
        self.is_kept = False
        self._write(self._paint.red(line) for line in _wrapped(f"BROKEN: {fact}"))

    def fail(self, error: Exception) -> None:
        """The step could not go on."""
        self.expect(is_so=False, fact=f"{type(error).__name__}: {error}")
        self._write("".join(traceback.format_exception(error)).splitlines()[-_SHORT_TRACEBACK:])

    def _write(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._put(_beside(self._label, line))
            self._label = ""


class Story:
    """Plays steps one after the other, whatever becomes of each, and sums up."""

    def __init__(self, steps: Sequence[Step], put: Put, paint: Paint) -> None:
        self._steps = steps
        self._put = put
        self._paint = paint
        self._log = _ShortLog()

    def tell(self) -> bool:
        """Play all steps; True if every promise was kept."""
        began_at = time.monotonic()
        with self._log:
            verdicts = [self._play(number, step) for number, step in enumerate(self._steps, start=1)]
        self._sum_up(verdicts, time.monotonic() - began_at)
        return all(verdict.is_kept for verdict in verdicts)

    def _play(self, number: int, step: Step) -> Verdict:
        self._announce(number, step)
        show, began_at = Show(self._put, self._paint), time.monotonic()
        try:
            step.play(show)
        except Exception as error:  # noqa: BLE001  (a broken promise; the other steps are played nevertheless)
            show.fail(error)
        verdict = Verdict(step.title, show.is_kept, time.monotonic() - began_at)
        logged = self._log.take()
        if not show.is_kept:
            self._put(*(_beside("", f"log: {line}") for line in logged))
        self._put(_beside(self._word(verdict, _LABEL), f"in {verdict.seconds:.2f} s"))
        return verdict

    def _announce(self, number: int, step: Step) -> None:
        self._put("", self._paint.bold(f"{number:2}. {step.title}"))
        label = "promised:"
        for line in _wrapped(step.promise):
            self._put(self._paint.dim(_beside(label, line)))
            label = ""

    def _sum_up(self, verdicts: Sequence[Verdict], seconds: float) -> None:
        self._put("", self._paint.bold("Summary"))
        for number, verdict in enumerate(verdicts, start=1):
            self._put(f"{number:4}  {verdict.title:<52}{self._word(verdict, 6)}{verdict.seconds:8.2f} s")
        broken = sum(not verdict.is_kept for verdict in verdicts)
        if broken:
            end = self._paint.red(f"BROKEN: {broken} of {len(verdicts)} promises")
        else:
            end = self._paint.green(f"All {len(verdicts)} promises kept")
        self._put("", f"{end}, in {seconds:.1f} s.")

    def _word(self, verdict: Verdict, width: int) -> str:
        # Padded first: a colour has no width, but a length.
        if verdict.is_kept:
            return self._paint.green(f"{'kept':<{width}}")
        return self._paint.red(f"{'BROKEN':<{width}}")


class _ShortLog(logging.Handler):
    """Keeps what taskmill logs out of the story, and the latest of it for a promise that breaks."""

    def __init__(self) -> None:
        super().__init__()
        self._latest: deque[str] = deque(maxlen=_SHORT_LOG)
        self._logger = logging.getLogger("taskmill")

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self._latest.append(f"{record.levelname} {self.format(record)}")

    def take(self) -> list[str]:
        """The lines since the last time."""
        lines = [line for message in self._latest for line in message.splitlines()]
        self._latest.clear()
        return lines

    def __enter__(self) -> None:
        self._was_passed_on = self._logger.propagate
        self._logger.propagate = False
        self._logger.addHandler(self)

    def __exit__(self, *error: object) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate = self._was_passed_on


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _TEXT, break_on_hyphens=False)


def _beside(label: str, line: str) -> str:
    # The no-break space between a figure and its unit has done its work.
    return f"{'':{_MARGIN}}{label:<{_LABEL}}{line}".rstrip().replace("\N{NO-BREAK SPACE}", " ")
