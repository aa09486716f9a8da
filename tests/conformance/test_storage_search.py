"""The contract of `inspection.search`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from taskmill._core.job import ErrorInfo, State
from taskmill._storage.base import Storage
from tests.conformance.builders import Worker, a_job, failed, ids, succeeded


def found(storage: Storage, **wanted: Any) -> list[str]:
    """All pages, one behind the other."""
    pages, after = [], None
    while True:
        page = storage.inspection.search(**wanted, after=after)
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
