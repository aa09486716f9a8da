"""The contract of `inspection.search`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from taskmill._core.filter import Filter
from taskmill._core.job import ErrorInfo, State
from taskmill._storage.base import Storage
from taskmill.testing import FakeClock
from tests.conformance.builders import Worker, a_job, failed, ids, succeeded


def found(storage: Storage, *, limit: int = 100, **wanted: Any) -> list[str]:
    """All pages, one behind the other."""
    pages, after = [], None
    while True:
        page = storage.inspection.search(Filter(**wanted), after=after, limit=limit)
        pages += ids(page.jobs)
        after = page.more
        if after is None:
            return pages


class TestSearch:
    def test_it_finds_the_newest_first_by_state_task_and_queue(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("a", task="one"), a_job("b", task="two"), a_job("c", task="two", queue="x")])
        worker.claim(1)

        assert found(storage) == ["c", "b", "a"]
        assert found(storage, states=[State.RUNNING]) == ["a"]
        assert found(storage, states={State.RUNNING, State.QUEUED}) == ["c", "b", "a"]
        assert found(storage, task="two") == ["c", "b"]
        assert found(storage, task="two", queue="x") == ["c"]
        assert found(storage, queue="nobody") == []

    def test_it_finds_by_tag_whatever_is_in_its_name(self, storage: Storage) -> None:
        storage.jobs.add(
            [
                a_job("a", tags=json.dumps(["mail", 'naïve "日本"'])),
                a_job("b", tags=json.dumps(["mail"])),
                a_job("c", tags=json.dumps(["mails", '", "', "x%"])),
                a_job("d", args='[["mail"],{}]'),
            ]
        )

        assert found(storage, tag="mail") == ["b", "a"]
        assert found(storage, tag='naïve "日本"') == ["a"]
        assert found(storage, tag='", "') == ["c"]
        assert found(storage, tag="MAIL") == []

    def test_it_finds_by_a_range_of_priorities_which_takes_in_its_ends(self, storage: Storage) -> None:
        storage.jobs.add([a_job(f"{priority}", priority=priority) for priority in (-100, -1, 0, 5, 100)])

        assert found(storage, lowest=0) == ["100", "5", "0"]
        assert found(storage, highest=0) == ["0", "-1", "-100"]
        assert found(storage, lowest=-1, highest=5) == ["5", "0", "-1"]
        assert found(storage, lowest=5, highest=-1) == []

    def test_it_finds_by_when_jobs_came_and_ended_without_the_end_of_the_range(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        came, ended = {}, {}
        for job_id in "abc":
            came[job_id] = storage.now()
            storage.jobs.add([a_job(job_id)])
            clock.travel(10)
        for job_id in "ab":
            [claimed] = worker.claim(1)
            ended[job_id] = storage.now()
            worker.settle(claimed, succeeded())
            clock.travel(10)

        assert found(storage, enqueued_from=came["b"]) == ["c", "b"]
        assert found(storage, enqueued_before=came["b"]) == ["a"]
        assert found(storage, enqueued_from=came["a"], enqueued_before=came["c"]) == ["b", "a"]
        assert found(storage, ended_from=0) == ["b", "a"]
        assert found(storage, ended_before=ended["b"]) == ["a"]
        assert found(storage, ended_from=ended["b"], ended_before=ended["b"] + 1) == ["b"]

    def test_it_finds_what_a_session_has_or_had(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("ended", priority=2), a_job("running", priority=1), a_job("queued")])
        [first, _] = worker.claim(2)
        worker.settle(first, succeeded())

        assert found(storage, session=worker.session) == ["running", "ended"]
        assert found(storage, session=worker.session, states=[State.RUNNING]) == ["running"]
        assert found(storage, session=worker.session + 1) == []

    def test_running_jobs_are_found_by_all_of_it_too(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", tags='["x"]', args=json.dumps([["y" * 5_000 + "needle"], {}]))])
        clock.travel(10)
        later = storage.now()
        storage.jobs.add([a_job("b", priority=3, queue="q")])
        worker.claim(2)
        running = [State.RUNNING]

        assert found(storage, states=running, tag="x") == ["a"]
        assert found(storage, states=running, text="NEEDLE") == ["a"]
        assert found(storage, states=running, lowest=1) == ["b"]
        assert found(storage, states=running, enqueued_from=later, queue="q") == ["b"]
        assert found(storage, states=running, ended_from=0) == []
        assert storage.inspection.find(Filter(states=running))[1].args.endswith('needle"], {}]')

    def test_what_is_found_at_once_is_what_is_found_by_pages(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add(
            [
                a_job(f"{number}", priority=number % 3, tags=None if number % 2 else '["even"]')
                for number in range(9)
            ]
        )
        worker.claim(2)

        for wanted in ({"tag": "even"}, {"lowest": 1}, {"text": "7"}, {"highest": 1, "tag": "even"}):
            assert ids(storage.inspection.find(Filter(**wanted))) == found(storage, limit=2, **wanted)

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
    def test_the_pages_together_are_all_that_match(self, storage: Storage, limit: int) -> None:
        storage.jobs.add([a_job(f"{number}", task="ab"[number % 2]) for number in range(14)])

        assert found(storage, task="b", limit=limit) == [str(number) for number in range(13, 0, -2)]

    def test_an_empty_store_has_one_empty_page(self, storage: Storage) -> None:
        assert storage.inspection.search() == ([], None)

    def test_jobs_that_come_and_go_between_two_pages_harm_nothing(self, storage: Storage) -> None:
        storage.jobs.add([a_job(f"{number}") for number in range(6)])
        first = storage.inspection.search(limit=3)
        storage.jobs.add([a_job("new")])
        storage.jobs.delete(["3", "1"])

        second = storage.inspection.search(limit=3, after=first.more)

        assert ids(first.jobs) == ["5", "4", "3"]
        assert ids(second.jobs) == ["2", "0"]

    def test_a_text_is_found_in_whatever_a_job_says(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add(
            [
                a_job("id-needle-1"),
                a_job("task", task="shop.needle"),
                a_job("queue", queue="needles"),
                a_job("key", key="needle"),
                a_job("tags", tags='["hay","needle"]'),
                a_job("args", args='[["a needle"],{}]'),
                a_job("long args", args=json.dumps([["x" * 5_000, "needle"], {}])),
                a_job("nothing"),
            ]
        )
        storage.jobs.add([a_job("result", priority=9), a_job("long result", priority=9)])
        storage.jobs.add([a_job("error", priority=9)])
        short, long, error = worker.claim(3)
        worker.settle(short, succeeded('"needle"'))
        worker.settle(long, succeeded(f'"{"x" * 5_000}needle"'))
        worker.settle(error, failed(ErrorInfo("ValueError", "no needle", "Traceback ...")))

        expected = {"id-needle-1", "task", "queue", "key", "tags", "args", "long args"}
        assert set(found(storage, text="needle")) == expected | {"result", "long result", "error"}
        assert found(storage, text="NEEDLE", task="shop.needle") == ["task"]
        assert found(storage, text="needle", states=[State.FAILED]) == ["error"]

    @pytest.mark.parametrize(
        "text", ["100%", "a_b", "!", "*", 'say "x"', "back\\slash", "naïve", "日本", "'"]
    )
    def test_a_text_is_nothing_but_text(self, storage: Storage, text: str) -> None:
        storage.jobs.add([a_job("right", args=json.dumps([[f"<{text}>"], {}])), a_job("queue", queue=text)])
        storage.jobs.add([a_job("wrong", args='[["100 axb"],{}]', queue="axb 100")])

        assert found(storage, text=text, task="add") == ["queue", "right"]

    def test_only_latin_letters_have_a_case(self, storage: Storage) -> None:
        storage.jobs.add([a_job("a", queue="ÄPFEL")])

        assert found(storage, text="Äpfel") == ["a"]
        assert found(storage, text="äpfel") == []

    def test_what_is_found_is_the_job_without_its_attempts(self, storage: Storage) -> None:
        storage.jobs.add([a_job("a")])

        [job] = storage.inspection.search().jobs

        assert job == storage.inspection.find()[0]
