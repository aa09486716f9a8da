from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmill._cli.text import Column, fields, plain, shortened, table
from taskmill._core.wording import clean, clean_lines

COLUMNS = (Column("ID"), Column("NAME", shrinks=True), Column("COUNT", to_right=True, optional=True))


def lines_of(
    columns: Sequence[Column], rows: Sequence[Sequence[object]], limit: int | None = None
) -> list[str]:
    return [plain(line) for line in table(columns, rows, limit)]


class TestClean:
    @given(st.text(st.characters(exclude_categories=[])))
    def test_nothing_is_left_that_a_terminal_obeys(self, text: str) -> None:
        assert clean(text).isprintable()
        assert all(line.isprintable() for line in clean_lines(text))

    @given(st.text().filter(str.isprintable))
    def test_what_is_printable_stays(self, text: str) -> None:
        assert clean(text) == text

    @pytest.mark.parametrize(
        "text, shown",
        [
            ("\x1b[31mred", r"\x1b[31mred"),
            ("a\nb\r", r"a\nb\r"),
            ("\x9b2J", r"\x9b2J"),
            ("\u202eevil", r"\u202eevil"),
            ("\u2066a\u2069", r"\u2066a\u2069"),
            ("Grüße 日本", "Grüße 日本"),
            ("\ud800", r"\ud800"),
        ],
    )
    def test_the_rest_is_made_visible(self, text: str, shown: str) -> None:
        assert clean(text) == shown

    def test_lines_stay_lines(self) -> None:
        assert clean_lines("one\r\n\ttwo\x1b\n") == ["one", r"    two\x1b", ""]


class TestTable:
    def test_columns_are_aligned(self) -> None:
        assert lines_of(COLUMNS, [("a", "x" * 10, 5), ("bb", "y", 1234567)]) == [
            "ID  NAME          COUNT",
            "a   xxxxxxxxxx        5",
            "bb  y           1234567",
        ]

    def test_wide_characters_count_twice_and_combining_ones_not(self) -> None:
        assert lines_of(COLUMNS, [("日本", "e\u0301", 1), ("abcd", "e", 2)]) == [
            "ID    NAME  COUNT",
            "日本  e\u0301         1",
            "abcd  e         2",
        ]

    def test_names_are_cut_in_front_to_fit(self) -> None:
        assert lines_of(COLUMNS, [("a", "shop.warehouse.count", 5)], 28) == [
            "ID  NAME               COUNT",
            "a   ...arehouse.count      5",
        ]

    def test_optional_columns_are_left_out_where_cutting_is_not_enough(self) -> None:
        assert lines_of(COLUMNS, [("a", "shop.warehouse.count", 5)], 14) == [
            "ID  NAME",
            "a   ...e.count",
        ]

    def test_what_cannot_be_made_to_fit_is_shown_all_the_same(self) -> None:
        assert lines_of((Column("ID"),), [("a" * 20,)], 5) == ["ID", "a" * 20]

    @given(st.lists(st.tuples(st.text(), st.text(), st.integers()), max_size=5), st.integers(1, 200))
    def test_every_row_is_one_line(self, rows: list[tuple[str, str, int]], limit: int) -> None:
        lines = lines_of(COLUMNS, rows, limit)

        assert len(lines) == len(rows) + 1
        assert all(line.isprintable() for line in lines)

    def test_of_a_sentence_the_end_is_cut(self) -> None:
        columns = (Column("ID"), Column("ERROR", shrinks=True, ends=True))

        assert lines_of(columns, [("a", "ValueError: no such address")], 20) == [
            "ID  ERROR",
            "a   ValueError: n...",
        ]

    def test_long_texts_are_cut_at_once(self) -> None:
        columns = (Column("TASK", shrinks=True), Column("ERROR", shrinks=True, ends=True))
        began_at = time.perf_counter()

        [_, line] = lines_of(columns, [("日" * 20_000, "本" * 20_000)], 26)

        # Character by character from the whole it would be a minute.
        assert time.perf_counter() - began_at < 5
        assert line == f"...{'日' * 4}   {'本' * 4}..."

    def test_words_for_how_things_stand_have_a_colour_and_others_none(self) -> None:
        [_, line] = table((Column("STATE"), Column("TASK")), [("failed", "mail")])

        assert [(span.text, span.style) for span in line if span.text.strip()] == [
            ("failed", "red"),
            ("mail", ""),
        ]


class TestFields:
    def test_values_stand_below_each_other_and_fit(self) -> None:
        told = fields([("Store", "sqlite:///x" * 9), ("Last hour", "-")], 30)

        assert [plain(line) for line in told] == ["Store      sqlite:///xsqlit...", "Last hour  -"]


def test_what_is_shortened_says_how_much_is_missing() -> None:
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdef", 2) == "ab... (4 more characters, all of them with --json)"
