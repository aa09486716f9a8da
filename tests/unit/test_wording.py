"""Words that depend on a number."""

from __future__ import annotations

import pytest

from taskmill._core.wording import counted, listed, sized, span


@pytest.mark.parametrize(
    "number, noun, told",
    [(0, "job", "0 jobs"), (1, "job", "1 job"), (2, "job", "2 jobs"), (1_000, "job", "1,000 jobs")],
)
def test_a_noun_goes_by_its_number(number: int, noun: str, told: str) -> None:
    assert counted(number, noun) == told


@pytest.mark.parametrize(
    "seconds, said",
    [(0, "0.0 s"), (0.25, "0.2 s"), (1, "1 s"), (59, "59 s"), (60, "1 min"), (7200, "2 h"), (-172800, "2 d")],
)
def test_a_duration(seconds: float, said: str) -> None:
    assert span(seconds) == said


@pytest.mark.parametrize(
    "count, said",
    [(0, "0 B"), (1_023, "1023 B"), (1_536, "1.5 KiB"), (8 << 20, "8.0 MiB"), (3 << 30, "3.0 GiB")],
)
def test_a_size(count: int, said: str) -> None:
    assert sized(count) == said


def test_of_many_names_the_first_are_told() -> None:
    assert listed(["a", "b"], most=2) == "a, b"
    assert listed(["a", "b", "c", "d"], most=2) == "a, b and 2 more"
