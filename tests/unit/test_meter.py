"""What several processes count adds up to what one would have counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from taskmill._core.event import EVENT_KINDS
from taskmill._core.instant import SECOND
from taskmill._core.job import Claimed, State
from taskmill._core.lifecycle import Settlement, Transition
from taskmill._core.meter import BOUNDS, Count, Meter

NOW = 1_000 * SECOND

instants = st.integers(0, NOW + SECOND)
settlements = st.builds(
    lambda task, queue, event, due_at, started_at: Settlement(
        Claimed(1, "j", task, queue, "thread", 1, 1, 1, True, "[[],{}]", None, None, 0, due_at),
        Transition(State.QUEUED, event),
        started_at,
    ),
    st.sampled_from(["add", "send"]),
    st.sampled_from(["default", "mail"]),
    st.sampled_from(EVENT_KINDS),
    instants,
    st.none() | instants,
)


def counted(meter: Meter) -> list[Count]:
    """In an order that does not depend on what came first."""
    return sorted(count._replace(events=tuple(sorted(count.events))) for count in meter.counts())


@given(st.lists(st.lists(settlements, max_size=5), max_size=4))
def test_in_parts_and_taken_in_between_it_is_the_same(parts: list[list[Settlement]]) -> None:
    alone, total, one = Meter(), Meter(), Meter()
    for part in parts:
        alone.ended(part, NOW)
        one.ended(part, NOW)
        total.add(one.take())

    assert counted(total) == counted(alone)
    assert one.take() == ()


@given(settlements)
def test_an_attempt_that_ran_is_in_one_step_of_each_histogram_and_one_that_did_not_in_none(
    settlement: Settlement,
) -> None:
    meter = Meter()
    meter.ended([settlement], NOW)

    [count] = meter.counts()
    has_run = settlement.started_at is not None
    assert (sum(count.runs), sum(count.waits)) == (has_run, has_run)
    assert min(count.run_time, count.wait_time) >= 0
    if settlement.started_at is not None:
        seconds = max(0, NOW - settlement.started_at) / SECOND
        assert count.runs.index(1) == sum(bound < seconds for bound in BOUNDS)
