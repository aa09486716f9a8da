from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmill._core.tally import bucket_of, quantile

DURATIONS = st.lists(st.integers(1, 10**12), min_size=1, max_size=50)


@given(DURATIONS, st.floats(0.01, 1))
def test_a_quantile_is_right_within_a_factor_of_two(durations: list[int], share: float) -> None:
    exact = sorted(durations)[max(0, -int(-len(durations) * share // 1) - 1)]

    found = quantile(Counter(map(bucket_of, durations)).items(), share)

    assert found is not None
    assert exact / 2 <= found <= exact * 2


def test_of_nothing_there_is_none() -> None:
    assert quantile([], 0.5) is None
    assert quantile([(3, 0)], 0.5) is None


@pytest.mark.parametrize("micros", [0, -1, -(10**9)])
def test_what_never_started_or_runs_backwards_is_in_the_first_bucket(micros: int) -> None:
    assert bucket_of(micros) == 0
    assert quantile([(0, 5)], 0.5) == pytest.approx(0.5)
