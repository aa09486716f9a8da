"""How far ahead of free slots a worker claims."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from taskmill._core.job import Claimed
from taskmill._worker.pace import AHEAD, MOST, Pace

SLOTS = 4


def claimed(*tasks: str) -> list[Claimed]:
    return [
        Claimed(number, f"job-{number}", task, "default", "thread", 1, 1, 1, True, "[[],{}]", None, None)
        for number, task in enumerate(tasks)
    ]


def a_pace(**seconds: float) -> Pace:
    pace = Pace(SLOTS)
    for task, each in seconds.items():
        pace.note(task, each)
    return pace


class TestWant:
    def test_at_first_no_more_than_the_free_slots_are_asked_for(self) -> None:
        pace = Pace(SLOTS)

        assert [pace.want(load) for load in (0, 1, 4, 9)] == [4, 3, 0, 0]

    def test_quick_jobs_let_it_ask_for_more_each_time(self) -> None:
        pace = a_pace(quick=0.0001)

        limits = []
        for _ in range(4):
            pace.widen({"quick"})
            limits.append(pace.want(load=SLOTS))

        assert limits == [4, 12, 28, 60]

    def test_never_more_is_asked_for_than_forty_milliseconds_of_work_or_a_thousand_jobs(self) -> None:
        pace, instant = a_pace(eight_ms=1 / 128), a_pace(instant=0.0)

        for _ in range(20):
            pace.widen({"eight_ms"})
            instant.widen({"instant"})

        assert pace.want(load=SLOTS) == int(AHEAD * SLOTS * 128)
        assert instant.want(load=SLOTS) == MOST

    def test_one_slow_job_ends_the_asking_ahead(self) -> None:
        pace = a_pace(quick=0.0001, slow=2.0)
        pace.widen({"quick"})

        pace.widen({"quick", "slow"})

        assert pace.want(load=SLOTS) == 0

    def test_without_slots_nothing_is_asked_for(self) -> None:
        pace = Pace(0)
        pace.note("quick", 0.0001)
        pace.widen({"quick"})

        assert pace.want(load=0) == 0

    def test_in_halves_as_much_is_asked_for_in_all_but_only_half_of_it_at_once(self) -> None:
        pace = Pace(SLOTS, in_halves=True)
        pace.note("instant", 0.0)
        for _ in range(20):
            pace.widen({"instant"})

        half = SLOTS + MOST // 2

        assert [pace.want(load) for load in (0, half, half + 400, SLOTS + MOST)] == [half, MOST // 2, 100, 0]

    def test_a_half_is_gone_once_the_other_one_is_all_that_is_left(self) -> None:
        pace, whole = Pace(SLOTS, in_halves=True), a_pace(quick=0.0001)
        before = pace.is_half_gone(load=0)
        pace.note("quick", 0.0001)
        for each in (pace, whole):
            each.widen({"quick"})
            each.widen({"quick"})

        assert not before
        assert [pace.is_half_gone(load) for load in (0, SLOTS + 6, SLOTS + 7)] == [True, True, False]
        assert not whole.is_half_gone(load=0)

    def test_the_time_of_a_task_follows_its_latest_jobs(self) -> None:
        pace = a_pace(task=0.0001)

        for _ in range(20):
            pace.note("task", 1.0)

        assert pace.divide(claimed("task"), load=SLOTS) == ([], claimed("task"))


class TestDivide:
    def test_free_slots_take_what_nobody_knows(self) -> None:
        jobs = claimed(*["unknown"] * 6)

        assert Pace(SLOTS).divide(jobs, load=1) == (jobs[:3], jobs[3:])

    def test_no_job_of_an_unknown_task_is_kept_ahead_of_the_slots(self) -> None:
        jobs = claimed("quick", "quick", "unknown", "quick")

        assert a_pace(quick=0.001).divide(jobs, load=SLOTS) == (jobs[:2], jobs[2:])

    def test_what_is_kept_ahead_is_at_most_forty_milliseconds_for_each_slot(self) -> None:
        jobs = claimed(*["eight_ms"] * 50)

        kept, surplus = a_pace(eight_ms=1 / 128).divide(jobs, load=SLOTS)

        assert (len(kept), len(surplus)) == (20, 30)

    def test_after_a_surplus_only_free_slots_are_asked_for(self) -> None:
        pace = a_pace(quick=0.0001)
        pace.widen({"quick"})

        pace.divide(claimed("unknown"), load=SLOTS)

        assert pace.want(load=SLOTS) == 0

    @given(
        tasks=st.lists(st.sampled_from(["quick", "slow", "unknown"]), max_size=60),
        load=st.integers(0, 12),
        slots=st.integers(0, 8),
    )
    def test_whatever_comes_is_kept_in_order_and_within_bounds(
        self, tasks: list[str], load: int, slots: int
    ) -> None:
        pace, seconds = Pace(slots), {"quick": 0.002, "slow": 1.0}
        for task, each in seconds.items():
            pace.note(task, each)
        jobs, free = claimed(*tasks), max(0, slots - load)

        kept, surplus = pace.divide(jobs, load)

        ahead = [job.task for job in kept[free:]]
        assert kept + surplus == jobs
        assert "unknown" not in ahead
        assert sum(seconds[task] for task in ahead) <= AHEAD * slots
