"""What a job says of itself, as text and on sheets: bounded, and readable whatever is in it."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmill._core.instant import to_datetime
from taskmill._core.journal import (
    FIRST_SHEETS,
    SHEET,
    SHEETS,
    Draft,
    Sheet,
    line_text,
    lines_of,
    progress_of,
    progress_text,
)
from taskmill._core.remark import Progress


class Shelf:
    """The sheets of one claim, as a store keeps them."""

    def __init__(self) -> None:
        self.draft = Draft()
        self.texts: dict[int, str] = {}

    def keep(self) -> None:
        said = self.draft.take()
        if said is not None:
            self.texts.update(said.sheets)
            for number in said.torn:
                del self.texts[number]

    def messages(self) -> list[str]:
        sheets = [Sheet(1, 1, number, text) for number, text in sorted(self.texts.items())]
        return [line.message for line in lines_of(sheets)]


def add(draft: Draft, *numbers: int) -> None:
    for number in numbers:
        draft.add(line_text(number, "INFO", "app", f"line {number}"))


class TestDraft:
    def test_what_is_taken_is_what_is_new(self) -> None:
        shelf = Shelf()
        add(shelf.draft, 1, 2)
        shelf.keep()
        assert shelf.draft.take() is None

        add(shelf.draft, 3)
        shelf.keep()

        assert shelf.messages() == ["line 1", "line 2", "line 3"]

    @given(st.lists(st.integers(1, 900), max_size=12))
    def test_of_many_lines_the_first_and_the_newest_stay_and_the_gap_is_told(self, rounds: list[int]) -> None:
        shelf, count = Shelf(), 0
        for more in rounds:
            add(shelf.draft, *range(count + 1, count + more + 1))
            count += more
            shelf.keep()

        told = shelf.messages()
        assert len(shelf.texts) <= SHEETS
        assert all(len(text) <= SHEET for text in shelf.texts.values())
        gaps = [place for place, message in enumerate(told) if message.startswith("[...")]
        lines = [int(message.split()[1]) for message in told if message.startswith("line")]
        assert lines == sorted(set(lines))
        assert lines[:1] == ([1] if count else [])
        assert lines[-1:] == ([count] if count else [])
        assert len(gaps) == (len(lines) < count)
        if gaps:
            assert told[gaps[0]] == f"[... {count - len(lines):,} lines left out ...]"
            assert sum(len(text) for text in shelf.texts.values()) > SHEET * (SHEETS - 2)
            assert sorted(shelf.texts)[FIRST_SHEETS - 1] <= gaps[0]

    def test_what_was_never_stored_need_not_be_torn(self) -> None:
        draft = Draft()
        add(draft, *range(10_000))

        said = draft.take()

        assert said is not None
        assert len(said.sheets) == SHEETS
        assert said.torn == ()


class TestLines:
    @given(st.text(), st.text(), st.text())
    def test_any_text_comes_back_if_it_is_not_too_long(self, level: str, logger: str, message: str) -> None:
        text = line_text(1, level, logger, message)

        [line] = lines_of([Sheet(1, 3, 1, text)])

        assert text.isascii()
        assert "\n" not in text
        assert line == (3, to_datetime(1), level[:100], logger[:100], message)

    @pytest.mark.parametrize("letter", ["x", "ä", "\U0001f600", "\0", "\ud800"])
    def test_a_long_one_fits_on_a_sheet_and_says_what_is_missing(self, letter: str) -> None:
        text = line_text(1, letter * 999, letter * 999, "begin" + letter * 100_000 + "end")

        [line] = lines_of([Sheet(1, 1, 1, text)])

        assert len(text) <= SHEET
        assert line.message.startswith("begin")
        assert line.message.endswith("end")
        assert "characters left out" in line.message

    def test_a_sheet_that_is_damaged_is_shown_as_it_is(self) -> None:
        sheets = [Sheet(1, 1, 1, "[1,2\n" + line_text(5, "INFO", "app", "whole") + "\nnull")]

        assert [line.message for line in lines_of(sheets)] == ["[1,2", "whole", "null"]

    def test_those_of_one_attempt_are_told_apart(self) -> None:
        first = [Sheet(1, 1, 0, "[]"), Sheet(1, 1, 1, line_text(1, "INFO", "app", "a"))]
        second = [Sheet(2, 2, 1, line_text(2, "INFO", "app", "b"))]

        assert [line.message for line in lines_of([*first, *second])] == ["a", "b"]
        assert [line.message for line in lines_of([*first, *second], attempt=2)] == ["b"]


class TestProgress:
    @pytest.mark.parametrize(
        "done, total, share",
        [
            (1, 4, 0.25),
            (5, 4, 1.0),
            (-1, 4, 0.0),
            (0, 0, None),
            (3, None, None),
            (1, -1, None),
            (0.5, 1, 0.5),
        ],
    )
    def test_its_share_lies_between_nothing_and_all(
        self, done: float, total: float | None, share: float | None
    ) -> None:
        progress = progress_of(progress_text(done, total, "text", 7))

        assert progress == Progress(done, total, "text", to_datetime(7))
        assert progress.share == share

    @pytest.mark.parametrize(
        "text",
        [
            *(None, "", "[]", "[1,2,3", "null", "[" * 100_000),
            json.dumps([1, 2, "x", "y"]),
            json.dumps(["1", 2, "x", 7]),
            json.dumps([1, [], "x", 7]),
            json.dumps([math.nan, 2, "x", 7]),
            json.dumps([10**400, 2, "x", 7]),
        ],
        ids=lambda text: str(text)[:20],
    )
    def test_of_a_damaged_one_there_is_none(self, text: str | None) -> None:
        assert progress_of(text) is None
