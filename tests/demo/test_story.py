from __future__ import annotations

import logging

import pytest

from taskmill._cli.demo.command import STEPS
from taskmill._cli.demo.paint import Paint
from taskmill._cli.demo.story import WIDTH, Show, Step, Story, step


@step("Arithmetic")
def arithmetic(show: Show) -> None:
    """Two and three are five."""
    show.expect(2 + 3 == 5, "it was 5")


@step("Bad arithmetic")
def bad_arithmetic(show: Show) -> None:
    """Two and two are five."""
    logging.getLogger("taskmill.worker").warning("two and two do not add up")
    show.expect(2 + 2 == 5, "it was 4")
    show.tell("and the step went on")


@step("Division")
def division(show: Show) -> None:
    """Everything can be divided."""
    show.tell(f"it was {1 / 0}")


class Page:
    """What the story writes."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def put(self, *lines: str) -> None:
        self.lines += lines

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def tell(*steps: Step) -> tuple[bool, str]:
    page = Page()
    is_kept = Story(steps, page.put, Paint(is_on=False)).tell()
    return is_kept, page.text


def test_a_step_says_what_is_promised_then_what_happened_then_the_verdict() -> None:
    is_kept, text = tell(arithmetic)

    assert is_kept
    assert text.index("promised: Two and three are five.") < text.index("happened: it was 5")
    assert text.index("happened: it was 5") < text.index("kept")
    assert "All 1 promises kept" in text
    assert "BROKEN" not in text


def test_a_broken_promise_is_shown_with_the_log_and_the_step_goes_on() -> None:
    is_kept, text = tell(bad_arithmetic)

    assert not is_kept
    assert "BROKEN: it was 4" in text
    assert "and the step went on" in text
    assert "log: WARNING two and two do not add up" in text
    assert "BROKEN: 1 of 1 promises" in text


def test_an_error_breaks_its_own_step_only() -> None:
    is_kept, text = tell(division, arithmetic)

    assert not is_kept
    assert "BROKEN: ZeroDivisionError: division by zero" in text
    assert "in division" in text
    assert "BROKEN: 1 of 2 promises" in text
    assert "happened: it was 5" in text


def test_the_log_of_a_kept_step_is_kept_out_of_the_story(caplog: pytest.LogCaptureFixture) -> None:
    @step("Noise")
    def noise(show: Show) -> None:
        """It is not heard."""
        logging.getLogger("taskmill.worker").warning("noise")

    _, text = tell(noise)

    assert "noise" not in text
    assert not caplog.records


def test_nothing_is_wider_than_a_terminal() -> None:
    @step("Length")
    def length(show: Show) -> None:
        """Long lines are wrapped; """ + "those of tables are cut. " * 10
        show.tell("word " * 100)
        show.table("column " * 100)

    _, text = tell(length)

    assert max(map(len, text.splitlines())) <= WIDTH


def test_every_step_of_the_demo_has_a_title_and_a_promise() -> None:
    assert len({step.title for step in STEPS}) == len(STEPS)
    for each in STEPS:
        assert each.promise.endswith(".")
        assert each.promise != each.title
