"""When a failed attempt is tried again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from taskmill._core.instant import HOUR, SECOND
from taskmill._core.retry import RetryPolicy

ATTEMPTS = st.integers(1, 100_000)
CHANCES = st.floats(0, 1, exclude_max=True)


def test_the_wait_doubles_up_to_an_hour() -> None:
    policy = RetryPolicy(delay=SECOND, backoff=2, jitter=0)

    assert [policy.wait(attempt, 0.5) // SECOND for attempt in (1, 2, 3, 12, 13, 5_000)] == [
        1,
        2,
        4,
        2048,
        3600,
        3600,
    ]


def test_a_delay_above_an_hour_is_kept() -> None:
    policy = RetryPolicy(delay=6 * HOUR, backoff=2, jitter=0)

    assert [policy.wait(attempt, 0.5) // HOUR for attempt in (1, 2, 9)] == [6, 6, 6]


@given(ATTEMPTS, CHANCES, st.integers(0, 10 * HOUR), st.floats(1, 1000), st.floats(0, 1))
def test_the_wait_is_never_shorter_than_asked_nor_stretched_beyond_its_jitter(
    attempt: int, chance: float, delay: int, backoff: float, jitter: float
) -> None:
    still = RetryPolicy(delay=delay, backoff=backoff, jitter=0).wait(attempt, chance)

    wait = RetryPolicy(delay=delay, backoff=backoff, jitter=jitter).wait(attempt, chance)

    assert min(delay, HOUR) <= still <= wait <= still * (1 + jitter) + 1
