"""The contract of `journals`: what jobs say of themselves while they run."""

from __future__ import annotations

import pytest

from taskmill._core.filter import Filter
from taskmill._core.instant import to_datetime
from taskmill._core.job import Claimed, State
from taskmill._core.journal import KEPT_CLAIMS, PROGRESS, Sheet, progress_text
from taskmill._core.remark import Progress
from taskmill._storage.base import Storage, Writing
from tests.conformance.builders import (
    LEASE,
    Worker,
    a_job,
    failed,
    job_of,
    released,
    retrying,
    snoozed,
    succeeded,
)

HALF = progress_text(1, 2, "at work", 1_000_000)
# As JSON holds it, and what stores may take for the end of a text.
LINE = '[1, "INFO", "app", "\\u0000 \\ud800 100 % {} $1"]'


def write(
    worker: Worker, claimed: Claimed, *sheets: tuple[int, str], torn: tuple[int, ...] = (), session: int = 0
) -> None:
    worker.storage.journals.write(session or worker.session, [Writing(claimed, sheets, torn)])


def sheets(storage: Storage, job_id: str) -> list[Sheet]:
    return list(storage.journals.read(job_id))


@pytest.fixture
def claimed(storage: Storage, worker: Worker) -> Claimed:
    storage.jobs.add([a_job("j", max_attempts=100)])
    return worker.claim_one()


class TestWrite:
    def test_what_was_written_is_read_by_claim_and_number(
        self, storage: Storage, worker: Worker, claimed: Claimed
    ) -> None:
        write(worker, claimed, (11, LINE), (1, "first"), (PROGRESS, HALF))
        worker.settle(claimed, retrying())
        again = worker.claim_one()
        write(worker, again, (1, "again"))

        assert sheets(storage, "j") == [
            Sheet(1, 1, PROGRESS, HALF),
            Sheet(1, 1, 1, "first"),
            Sheet(1, 1, 11, LINE),
            Sheet(2, 2, 1, "again"),
        ]

    def test_a_sheet_takes_the_place_of_the_one_with_its_number(
        self, storage: Storage, worker: Worker, claimed: Claimed
    ) -> None:
        write(worker, claimed, (1, "a"))
        write(worker, claimed, (1, "a\nb"))
        write(worker, claimed, (1, "a\nb"))

        assert sheets(storage, "j") == [(1, 1, 1, "a\nb")]

    def test_what_is_torn_is_gone(self, storage: Storage, worker: Worker, claimed: Claimed) -> None:
        write(worker, claimed, (1, "a"), (2, "b"), (3, "c"))
        write(worker, claimed, (4, "d"), torn=(2, 3, 99))

        assert [sheet.number for sheet in sheets(storage, "j")] == [1, 4]

    def test_many_claims_are_written_to_at_once(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a"), a_job("b")])
        a, b = worker.claim(2)

        storage.journals.write(worker.session, [Writing(a, [(1, "of a")], []), Writing(b, [(1, "of b")], [])])

        assert [sheet.text for sheet in sheets(storage, "a")] == ["of a"]
        assert [sheet.text for sheet in sheets(storage, "b")] == ["of b"]

    def test_only_the_newest_claims_are_kept(
        self, storage: Storage, worker: Worker, claimed: Claimed
    ) -> None:
        for _ in range(KEPT_CLAIMS):
            write(worker, claimed, (1, "x"))
            worker.settle(claimed, released())
            claimed = worker.claim_one()
        assert len(sheets(storage, "j")) == KEPT_CLAIMS

        write(worker, claimed, (1, "x"))

        fences = [sheet.fence for sheet in sheets(storage, "j")]
        assert fences == list(range(2, KEPT_CLAIMS + 2))

    def test_it_is_a_change_of_the_store(self, storage: Storage, worker: Worker, claimed: Claimed) -> None:
        before = storage.version()

        write(worker, claimed, (1, "x"))

        assert storage.version() != before


class TestWhoMayWrite:
    def test_another_session_writes_nothing(self, storage: Storage, worker: Worker, claimed: Claimed) -> None:
        other = storage.sessions.open(kind="worker", lease=LEASE)

        write(worker, claimed, (1, "not mine"), session=other)

        assert sheets(storage, "j") == []

    def test_who_lost_the_job_writes_nothing(
        self, storage: Storage, worker: Worker, claimed: Claimed
    ) -> None:
        storage.sessions.end(worker.session)
        heir = Worker(storage)
        write(heir, heir.claim_one(), (1, "new"))

        write(worker, claimed, (1, "late"))
        write(heir, claimed, (1, "late"))

        assert sheets(storage, "j") == [(2, 1, 1, "new")]

    @pytest.mark.parametrize("transition", [succeeded(), failed(), retrying(), snoozed(1)])
    def test_after_the_end_of_the_attempt_nothing_is_written(
        self, storage: Storage, worker: Worker, claimed: Claimed, transition: object
    ) -> None:
        worker.settle(claimed, transition)  # type: ignore[arg-type]

        write(worker, claimed, (1, "late"))

        assert sheets(storage, "j") == []

    def test_of_a_job_that_is_gone_nothing_is_written(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("gone", result_ttl=0)])
        claimed = worker.claim_one()
        worker.settle(claimed, succeeded())
        storage.jobs.add([a_job("another")])
        worker.claim_one()

        write(worker, claimed, (1, "late"))

        assert sheets(storage, "gone") == sheets(storage, "another") == []


class TestProgress:
    def test_a_running_job_shows_it_wherever_it_is_read(
        self, storage: Storage, worker: Worker, claimed: Claimed
    ) -> None:
        assert job_of(storage, "j").progress is None

        write(worker, claimed, (PROGRESS, HALF))

        told = Progress(1, 2, "at work", to_datetime(1_000_000))
        inspection = storage.inspection
        assert job_of(storage, "j").progress == told
        assert [job.progress for job in inspection.find()] == [told]
        assert [job.progress for job in inspection.find(Filter(states=[State.RUNNING]))] == [told]
        assert [job.progress for job in inspection.search().jobs] == [told]
        assert [job.progress for job in inspection.recent(9)] == [told]

    def test_it_is_kept_at_the_end(self, storage: Storage, worker: Worker, claimed: Claimed) -> None:
        write(worker, claimed, (PROGRESS, HALF))

        worker.settle(claimed, failed())

        progress = job_of(storage, "j").progress
        assert progress is not None
        assert progress.share == 0.5

    def test_the_next_attempt_begins_without(
        self, storage: Storage, worker: Worker, claimed: Claimed
    ) -> None:
        write(worker, claimed, (PROGRESS, HALF))

        worker.settle(claimed, retrying())
        assert job_of(storage, "j").progress is None

        worker.claim_one()
        assert job_of(storage, "j").progress is None


class TestWithTheJob:
    def test_with_the_job_it_is_gone(self, storage: Storage, worker: Worker, claimed: Claimed) -> None:
        write(worker, claimed, (PROGRESS, HALF), (1, "x"))
        worker.settle(claimed, succeeded())

        assert storage.jobs.delete(["j"]) == 1

        assert sheets(storage, "j") == []
        assert list(storage.health.verify()) == []

    def test_a_job_whose_result_is_not_kept_leaves_nothing(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("j", result_ttl=0)])
        claimed = worker.claim_one()
        write(worker, claimed, (1, "x"))

        worker.settle(claimed, succeeded())

        assert sheets(storage, "j") == []
        assert list(storage.health.verify()) == []

    def test_nobody_has_said_anything_of_a_job_that_is_not_stored(self, storage: Storage) -> None:
        assert sheets(storage, "nobody") == []

    def test_it_moves_with_the_job(self, storage: Storage, worker: Worker, claimed: Claimed) -> None:
        write(worker, claimed, (PROGRESS, HALF), (1, LINE))
        worker.settle(claimed, failed())
        before = sheets(storage, "j")

        [job] = storage.transfer.read(after=None, limit=9).jobs
        crate = storage.transfer.pack("elsewhere", limit=9)

        assert crate is not None
        assert job.sheets == crate.load.jobs[0].sheets == tuple(before)
        assert sheets(storage, "j") == []
        assert storage.transfer.unpack("back", crate.load) == []
        assert sheets(storage, "j") == before
        assert job_of(storage, "j").progress == job.progress is not None
