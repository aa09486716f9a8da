"""The contract of `schedules`."""

from __future__ import annotations

from threading import Barrier, Thread

from taskmill._core.instant import MINUTE
from taskmill._storage.base import ScheduleState, Storage
from taskmill.testing import FakeClock
from tests.conformance.builders import Worker, a_job, fire, ids, job_of, states_of


def register(storage: Storage, name: str = "tidy", spec: str = "*/5 * * * *") -> ScheduleState:
    return storage.schedules.register(name=name, task=f"app.{name}", spec=spec)


class TestSchedules:
    def test_a_new_schedule_owes_nothing_before_now(self, storage: Storage, clock: FakeClock) -> None:
        assert register(storage) == ScheduleState("tidy", "app.tidy", "*/5 * * * *", clock.wall(), 0, 0, None)

    def test_registering_again_forgets_nothing(self, storage: Storage, clock: FakeClock) -> None:
        register(storage)
        slot = clock.wall() + MINUTE
        fire(storage, "tidy", slot=slot, fire=a_job("a"), skipped=2)
        clock.travel(3_600)

        again = register(storage)

        assert again == ScheduleState("tidy", "app.tidy", "*/5 * * * *", slot, 1, 2, "a")

    def test_a_changed_spec_owes_nothing_before_now(self, storage: Storage, clock: FakeClock) -> None:
        register(storage)
        fire(storage, "tidy", slot=clock.wall() + MINUTE, fire=a_job("a"))
        clock.travel(3_600)

        changed = register(storage, spec="0 * * * *")

        assert (changed.spec, changed.last_slot) == ("0 * * * *", clock.wall())
        assert (changed.fired, changed.last_job) == (1, "a")

    def test_a_changed_task_changes_no_slot(self, storage: Storage, clock: FakeClock) -> None:
        first = register(storage)
        clock.travel(60)

        moved = storage.schedules.register(name="tidy", task="app.new", spec=first.spec)

        assert moved == first._replace(task="app.new")

    def test_firing_stores_the_job_and_moves_the_slot(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        register(storage)
        slot = clock.wall() + MINUTE

        assert fire(storage, "tidy", slot=slot, fire=a_job("a", queue="x")) is True

        [state] = storage.schedules.list()
        assert (state.last_slot, state.fired, state.skipped, state.last_job) == (slot, 1, 0, "a")
        assert job_of(storage, "a").queue == "x"
        assert ids(worker.claim()) == ["a"]

    def test_a_slot_fires_once_whoever_asks(self, storage: Storage, clock: FakeClock) -> None:
        register(storage)
        slot = clock.wall() + MINUTE
        fire(storage, "tidy", slot=slot, fire=a_job("a"))

        assert fire(storage, "tidy", slot=slot, fire=a_job("b"), skipped=3) is False

        [state] = storage.schedules.list()
        assert (state.fired, state.skipped, state.last_job) == (1, 0, "a")
        assert states_of(storage) == {"a": "queued"}

    def test_an_earlier_slot_is_refused(self, storage: Storage, clock: FakeClock) -> None:
        registered = register(storage)

        assert fire(storage, "tidy", slot=registered.last_slot - 1, fire=a_job("a")) is False
        assert fire(storage, "tidy", slot=registered.last_slot, fire=a_job("a")) is False
        assert states_of(storage) == {}

    def test_who_does_not_know_the_last_slot_accounts_for_none(
        self, storage: Storage, clock: FakeClock
    ) -> None:
        """It would count those as skipped that another worker has fired meanwhile."""
        after = register(storage).last_slot
        fire(storage, "tidy", slot=after + MINUTE, fire=a_job("a"), skipped=3)

        late = storage.schedules.fire(
            "tidy", after=after, slot=after + 2 * MINUTE, fire=a_job("b"), skipped=4
        )

        [state] = storage.schedules.list()
        assert late is False
        assert (state.last_slot, state.fired, state.skipped) == (after + MINUTE, 1, 3)
        assert states_of(storage) == {"a": "queued"}

    def test_slots_may_only_be_skipped(self, storage: Storage, clock: FakeClock) -> None:
        register(storage)
        fire(storage, "tidy", slot=clock.wall() + 1, fire=a_job("a"))
        slot = clock.wall() + MINUTE

        assert fire(storage, "tidy", slot=slot, fire=None, skipped=7) is True

        [state] = storage.schedules.list()
        assert (state.last_slot, state.fired, state.skipped, state.last_job) == (slot, 1, 7, "a")

    def test_a_schedule_that_nobody_registered_does_not_fire(
        self, storage: Storage, clock: FakeClock
    ) -> None:
        fired = fire(storage, "nobody", slot=clock.wall() + 1, fire=a_job("a"))

        assert fired is False
        assert states_of(storage) == {}

    def test_of_many_that_fire_at_once_one_does(self, storage: Storage, clock: FakeClock) -> None:
        register(storage)
        slot = clock.wall() + MINUTE
        start = Barrier(8)
        answers: list[bool] = []

        def fire_too() -> None:
            start.wait()
            answers.append(fire(storage, "tidy", slot=slot, fire=a_job()))

        threads = [Thread(target=fire_too) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(answers) == [False] * 7 + [True]
        assert len(storage.inspection.find()) == 1

    def test_schedules_are_listed_by_name(self, storage: Storage) -> None:
        for name in ["b", "c", "a"]:
            register(storage, name)

        assert [state.name for state in storage.schedules.list()] == ["a", "b", "c"]


class TestPaused:
    def test_no_slot_of_a_paused_schedule_fires(self, storage: Storage, clock: FakeClock) -> None:
        register(storage)
        before = register(storage, "other")
        clock.travel(60)

        assert storage.schedules.pause("tidy") is True
        assert fire(storage, "tidy", slot=clock.wall(), fire=a_job("a"), skipped=1) is False
        assert fire(storage, "other", slot=clock.wall(), fire=a_job("b")) is True

        [other, state] = storage.schedules.list()
        assert (state.paused_at, state.fired, state.skipped) == (clock.wall(), 0, 0)
        assert state.last_slot == before.last_slot
        assert other.paused_at is None
        assert ids(storage.inspection.find()) == ["b"]

    def test_what_the_pause_went_over_is_not_owed(self, storage: Storage, clock: FakeClock) -> None:
        register(storage)
        storage.schedules.pause("tidy")
        clock.travel(3_600)

        assert storage.schedules.resume("tidy") is True

        [state] = storage.schedules.list()
        assert (state.last_slot, state.paused_at) == (clock.wall(), None)
        assert (state.fired, state.skipped) == (0, 0)
        assert fire(storage, "tidy", slot=clock.wall() + MINUTE, fire=a_job("a")) is True

    def test_a_slot_that_lies_ahead_is_not_fired_twice_for_a_pause(
        self, storage: Storage, clock: FakeClock
    ) -> None:
        register(storage)
        slot = clock.wall() + MINUTE
        fire(storage, "tidy", slot=slot, fire=a_job("a"))
        storage.schedules.pause("tidy")
        storage.schedules.resume("tidy")

        assert [state.last_slot for state in storage.schedules.list()] == [slot]

    def test_what_is_so_already_is_told(self, storage: Storage) -> None:
        register(storage)

        assert storage.schedules.pause("nobody") is False
        assert storage.schedules.resume("nobody") is False
        assert storage.schedules.resume("tidy") is False
        assert storage.schedules.pause("tidy") is True
        version = storage.version()
        assert storage.schedules.pause("tidy") is False
        assert storage.version() == version
        assert len(storage.schedules.list()) == 1

    def test_it_stays_so_whoever_registers_it(self, storage: Storage, clock: FakeClock) -> None:
        register(storage)
        storage.schedules.pause("tidy")
        since = clock.wall()
        clock.travel(60)

        assert register(storage).paused_at == since
        assert register(storage, spec="0 * * * *").paused_at == since
