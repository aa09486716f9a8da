"""What a notebook shows of a mill, a result and a pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskmill import Mill, Result, Task
from tests.unit.little_worker import LittleWorker

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e&lt;\"'"


def shown(thing: object) -> str:
    return thing._repr_html_()  # type: ignore[attr-defined, no-any-return]


@pytest.fixture
def add(mill: Mill) -> Task[[int, int], int]:
    @mill.task(name="add", queue="sums")
    def add(a: int, b: int) -> int:
        return a + b

    return add


def test_a_mill_shows_what_its_queues_hold(
    mill: Mill, add: Task[[int, int], int], worker: LittleWorker
) -> None:
    assert "no jobs" in shown(mill)
    add.enqueue(1, 2)
    worker.run_all()
    add.enqueue(1, 2)

    html = shown(mill)

    assert "<b>Mill memory:// with 1 task</b>" in html
    assert (
        "<tr><td>sums</td><td>0</td><td>1</td><td>0</td><td>1</td><td>0</td><td>0</td><td>1</td></tr>" in html
    )


def test_a_result_shows_where_its_job_is_and_what_it_returned(
    add: Task[[int, int], int], worker: LittleWorker
) -> None:
    result = add.enqueue(1, 2)
    assert "<td>state</td><td>queued</td>" in shown(result)

    worker.run_all()

    assert "<td>state</td><td>succeeded</td>" in shown(result)
    assert "<td>result</td><td>3</td>" in shown(result)
    assert "no such job" in shown(Result(worker.app, "nobody"))


def test_a_pipeline_shows_its_steps(add: Task[[int, int], int], worker: LittleWorker) -> None:
    pipeline = (add.s(1, 2) | add.s(3)).enqueue()
    assert "<td>1</td>" in shown(pipeline)
    assert shown(pipeline).count("<td>blocked</td>") == 1

    worker.run_all()

    assert shown(pipeline).count("<td>succeeded</td>") == 2


def test_texts_stay_texts(mill: Mill, worker: LittleWorker) -> None:
    name = HOSTILE.partition("\x1b")[0]

    @mill.task(name=name, queue=name)
    def echo(text: str) -> str:
        if text == "fail":
            raise ValueError(HOSTILE)
        return HOSTILE

    results = [echo.enqueue("fine"), echo.enqueue("fail"), (echo.s("a") | echo.s()).enqueue()]
    worker.run_all()

    for html in (shown(mill), *map(shown, results)):
        assert "<script" not in html
        assert "&lt;script&gt;" in html
        assert html.isprintable()


def test_a_store_that_cannot_be_reached_is_told(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").write_text("no database " * 500)
    mill = Mill(f"sqlite:///{tmp_path}/jobs.db")

    for thing in (mill, mill.result("x")):
        assert "<p>NotAStore: " in shown(thing)
    mill.close()


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    mill = Mill(f"sqlite:///{tmp_path}/jobs.db")

    assert "no jobs" in shown(mill)
    assert "no such job" in shown(mill.result("x"))
    assert list(tmp_path.iterdir()) == []
