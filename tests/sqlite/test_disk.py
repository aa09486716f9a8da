"""A disk that fails at the k-th write, or loses its power: what was acknowledged is there, and work goes on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import TypeVar

import pytest

from taskmill import Mill
from taskmill._storage.sqlite import checkpoint
from taskmill._storage.sqlite.storage import SqliteStorage
from taskmill.errors import StoreError, StoreUnavailable
from tests.conformance.builders import Worker, a_job, states_of, succeeded
from tests.crash.site import figures
from tests.sqlite.conftest import OpenStore
from tests.sqlite.faulty_disk import Disk, leave, plugged_in
from tests.worker.builders import wait_for

T = TypeVar("T")


@pytest.fixture
def disk() -> Iterator[Disk]:
    with plugged_in() as disk:
        yield disk


@pytest.fixture
def little_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is folded in every few commits."""
    monkeypatch.setattr(checkpoint, "LOG_LIMIT", 40_000)
    monkeypatch.setattr(checkpoint, "_STEP", 5_000)


def integrity(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        [answer] = connection.execute("pragma integrity_check").fetchone()
        return str(answer)


class Life:
    """A store from its making to its closing, with some jobs that are enqueued, claimed and settled."""

    def __init__(self, store: SqliteStorage, disk: Disk) -> None:
        self.store = store
        self.disk = disk
        self.refusals: list[StoreError] = []
        # With how many calls each was acknowledged.
        self.stored: dict[str, int] = {}
        self.settled: dict[str, int] = {}

    def live(self, jobs: int = 12) -> None:
        """Each call is repeated once if it is refused, with the disk in order again."""
        for number in range(0, jobs, 3):
            names = [f"{number + step}" for step in range(3)]
            self._insist(
                lambda names=names: self.store.jobs.add([a_job(name, args="x" * 3_000) for name in names])
            )
            self._note(self.stored, names)
        worker = self._insist(lambda: Worker(self.store))
        for turn in range(jobs // 4):
            claimed = self._insist(lambda turn=turn: worker.turn(thread=4, claim=turn).claimed)
            for job in claimed:
                self._insist(lambda job=job: worker.settle(job, succeeded("y" * 2_000)))
                self._note(self.settled, [job.job_id])
        self._insist(lambda: self.store.sessions.end(worker.session))
        self.store.close()

    def _note(self, acknowledged: dict[str, int], names: list[str]) -> None:
        acknowledged.update(dict.fromkeys(names, len(self.disk.events)))

    def _insist(self, step: Callable[[], T]) -> T:
        try:
            return step()
        except StoreError as error:
            self.refusals.append(error)
            self.disk.heal()
            return step()


@pytest.mark.usefixtures("little_log")
class TestErrors:
    @pytest.mark.parametrize("lasts", [0, 1_000_000], ids=["one call", "until it is told"])
    def test_at_whichever_write_it_comes_the_same_process_goes_on_and_nothing_is_lost(
        self, tmp_path: Path, disk: Disk, open_store: OpenStore, lasts: int, long: bool
    ) -> None:
        Life(open_store(tmp_path / "good.db"), disk).live()
        calls, told = disk.calls, 0
        fatal = range(1, calls, 1 if long else calls // 40)

        for k in fatal:
            path = tmp_path / f"{k}.db"
            life = Life(open_store(path), disk)
            disk.fail(k, k + lasts)
            life.live()
            disk.heal()

            assert all(isinstance(error, StoreUnavailable) for error in life.refusals)
            assert states_of(open_store(path)) == {str(number): "succeeded" for number in range(12)}
            told += len(life.refusals)

        figures.info("an I/O error at each of %d writes of %d: %d calls refused", len(fatal), calls, told)
        assert disk.failed >= 40
        assert told

    def test_a_worker_loses_no_job_and_runs_none_twice(self, tmp_path: Path, disk: Disk) -> None:
        for k in range(1, 400, 40):
            mill = Mill(f"sqlite:///{tmp_path}/{k}.db")
            runs: list[int] = []
            note = mill.task(name="note")(runs.append)
            results = note.map(range(5))
            with mill.worker(threads=1):
                disk.fail(k, k + 5)
                results += [
                    insisted(lambda note=note, number=number: note.enqueue(number)) for number in range(5, 20)
                ]
                for result in results:
                    result.get(timeout=45)
                disk.heal()
            mill.close()

            assert sorted(runs) == list(range(20))
            assert integrity(tmp_path / f"{k}.db") == "ok"


def insisted(step: Callable[[], T]) -> T:
    """What *step* returns once it is not refused any more."""
    answers: list[T] = []

    def is_done() -> bool:
        try:
            answers.append(step())
        except StoreUnavailable:
            return False
        return True

    wait_for(is_done, "it is not refused")
    return answers[0]


def after_power_cut(life: Life, at: int, chance: Random, folder: Path) -> SqliteStorage:
    """What the store is like if the power was cut behind the first *at* things that happened to its files."""
    folder.mkdir()
    leave(life.disk.events[:at], chance, folder)
    return SqliteStorage(folder / "jobs.db")


@pytest.mark.usefixtures("little_log")
class TestPowerCut:
    """After moments all over a life, with what was not synced there, lost or torn as it comes."""

    @pytest.fixture
    def step(self, long: bool) -> int:
        return 1 if long else 7

    def test_what_was_acknowledged_is_there(
        self, tmp_path: Path, disk: Disk, open_store: OpenStore, step: int
    ) -> None:
        life = Life(open_store(tmp_path / "jobs.db"), disk)
        life.live()

        assert self._lost(life, tmp_path, step) == 0

    def test_with_durability_normal_the_last_moments_can_be_lost_and_no_more(
        self, tmp_path: Path, disk: Disk, open_store: OpenStore, step: int
    ) -> None:
        life = Life(open_store(tmp_path / "jobs.db", durability="normal"), disk)
        life.live()

        assert self._lost(life, tmp_path, step) > 0

    def test_so_it_is_in_another_programs_database_that_has_no_log(
        self, tmp_path: Path, disk: Disk, open_store: OpenStore, step: int
    ) -> None:
        with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
            connection.execute("create table book (title text)")
        life = Life(open_store(tmp_path / "jobs.db"), disk)
        life.live()

        assert not any(event.name.endswith("-wal") for event in disk.events)
        assert self._lost(life, tmp_path, step) == 0

    @staticmethod
    def _lost(life: Life, tmp_path: Path, step: int) -> int:
        """How many acknowledgements no longer hold, over all the moments; whatever is left of the store is intact."""
        lost = 0
        for at in range(0, len(life.disk.events), step):
            store = after_power_cut(life, at, Random(at), tmp_path / f"cut{at}")
            states = states_of(store)
            lost += sum(seen <= at and job not in states for job, seen in life.stored.items())
            lost += sum(seen <= at and states.get(job) != "succeeded" for job, seen in life.settled.items())
            assert set(states) <= {str(number) for number in range(12)}
            store.jobs.add([a_job("after")])
            store.close()
            assert integrity(tmp_path / f"cut{at}" / "jobs.db") == "ok"
        figures.info("power cut at %d moments: %d acknowledged lost", at // step + 1, lost)
        return lost
