"""The examples in the docstrings of the application side run, each in a program with a few tasks and a worker."""

from __future__ import annotations

import doctest
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import taskmill
from taskmill import Context, Event, Mill, Outgoing, cron, current_job, every
from taskmill._app import context, lock, result, signature, task

MODULES = [taskmill, taskmill.mill, context, lock, result, signature, task]


EXAMPLES = [test for module in MODULES for test in doctest.DocTestFinder().find(module) if test.examples]


@contextmanager
def program() -> Iterator[dict[str, Any]]:
    mill = Mill("memory://")
    tasks = {
        "add": mill.task(name="add")(lambda a, b: a + b),
        "double": mill.task(name="double")(lambda number: number * 2),
        "fetch": mill.task(name="fetch")(lambda url, limit=10: [url] * limit),
        "parse": mill.task(name="parse")(lambda pages, strict=False: len(pages)),
        "store": mill.task(name="store")(lambda number: "stored"),
        "report": mill.task(name="report")(lambda: None),
    }
    names = [Context, Event, Iterator, Mill, Outgoing, Sequence, cron, current_job, dataclass, every]
    with mill.worker(threads=2):
        yield {
            "__name__": "program",
            "mill": mill,
            "time": time,
            **tasks,
            **{each.__name__: each for each in names},
        }
    mill.close()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_the_example_runs(example: doctest.DocTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    problems: list[str] = []

    with program() as example.globs:
        doctest.DocTestRunner().run(example, out=problems.append)

    assert not problems, "".join(problems)
