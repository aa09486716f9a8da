"""What a store holds as lines of JSON, and back."""

from __future__ import annotations

import io
import json
import stat
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from taskmill._app.exports import export, load
from taskmill._core.instant import HOUR
from taskmill._core.job import ErrorInfo, NewJob
from taskmill._core.lifecycle import Transition
from taskmill._core.record import Job
from taskmill._storage.base import Storage
from taskmill._storage.memory.storage import MemoryStorage
from taskmill._storage.records import at_rest
from taskmill._storage.sqlite.storage import SqliteStorage
from taskmill.errors import NotAnExport
from taskmill.testing import FakeClock
from tests.cli.shell import Shell
from tests.conformance.builders import (
    Worker,
    a_job,
    a_pipeline,
    cancelled,
    failed,
    handed_on,
    retrying,
    snoozed,
    succeeded,
)

URL = ("--url", "sqlite:///jobs.db")

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
JOBS = st.builds(
    a_job,
    args=TEXTS.map(lambda text: json.dumps([[text], {}])),
    queue=TEXTS,
    executor=st.sampled_from(["thread", "asyncio", "process"]),
    priority=st.integers(-100, 100),
    delay=st.integers(0, HOUR),
    expires_in=st.none() | st.integers(2, 9 * HOUR),
    max_attempts=st.integers(1, 3),
    result_ttl=st.integers(1, HOUR),
    lock=st.none() | st.sampled_from("lm"),
    key=st.none() | TEXTS,
    tags=st.none() | st.lists(TEXTS, min_size=1).map(json.dumps),
    headers=st.none() | st.dictionaries(TEXTS, TEXTS, min_size=1).map(json.dumps),
)
ERRORS = st.builds(ErrorInfo, TEXTS, TEXTS, TEXTS)
ENDINGS: st.SearchStrategy[Transition | None] = st.one_of(
    st.none(),
    TEXTS.map(lambda text: succeeded(json.dumps(text))),
    ERRORS.map(failed),
    ERRORS.map(lambda error: retrying(HOUR, error)),
    st.just(snoozed(HOUR)),
    st.just(handed_on()),
    st.just(cancelled()),
)


@given(
    jobs=st.lists(JOBS, max_size=6),
    steps=st.integers(0, 4),
    endings=st.lists(ENDINGS, max_size=8),
    crashes=st.booleans(),
)
@settings(max_examples=10, deadline=None, phases=[Phase.generate])
def test_whatever_a_store_holds_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    jobs: list[NewJob],
    steps: int,
    endings: list[Transition | None],
    crashes: bool,
) -> None:
    clock = FakeClock()
    stores: list[Storage] = [
        MemoryStorage(clock),
        SqliteStorage(tmp_path_factory.mktemp("x") / "jobs.db", durability="normal", clock=clock),
        MemoryStorage(clock),
    ]
    source = stores[0]
    source.jobs.add([*jobs, *a_pipeline(*(f"step{number}" for number in range(steps)))])
    source.jobs.pause("held")
    source.schedules.register(name="s", task="t", spec="x")
    worker = Worker(source)
    for slot, (claimed, ending) in enumerate(zip(worker.claim(), endings, strict=False)):
        if ending is not None:
            worker.settle(claimed, ending)
        else:
            worker.start(claimed, slot)
    if crashes:
        worker.crash(alone=False)
    for store, target in pairwise(stores):
        # Sessions stay where they are, and so does who waits for a lock.
        before = [replace(at_rest(job), session=None, waits_for=None) for job in all_of(store)]
        load(target, export(store), again=False)
        assert all_of(target) == before
        assert target.health.verify() == []
        assert set(target.inspection.paused()) == {"held"}
        assert target.schedules.list() == source.schedules.list()
    for store in stores:
        store.close()


def all_of(store: Storage) -> Sequence[Job]:
    return store.transfer.read(after=None, limit=100).jobs


class TestCommands:
    def test_there_and_back(self, shell: Shell, folder: Path) -> None:
        store = SqliteStorage("jobs.db", durability="normal")
        store.jobs.add([a_job(str(number)) for number in range(450)])
        told = "450 jobs, 0 schedules and 0 pauses exported to out.ndjson\n"
        assert shell("export", "out.ndjson", *URL) == (0, "", told)
        assert stat.S_IMODE((folder / "out.ndjson").stat().st_mode) == 0o600
        answer = shell("import", "out.ndjson", "--url", "sqlite:///new.db", "--json")
        assert (answer.status, answer.json) == (0, {"stored": 450, "known": 0, "before": 0})
        new = SqliteStorage("new.db", durability="normal")
        new.jobs.purge(queue=None, ended=False, limit=1_000)
        answer = shell("import", "out.ndjson", "--url", "sqlite:///new.db")
        assert answer.out == "0 jobs imported, 450 imported before (see --again)\n"
        answer = shell("import", "out.ndjson", "--url", "sqlite:///new.db", "--again")
        assert answer.out == "450 jobs imported\n"
        new.close()
        store.close()

    def test_by_way_of_the_streams(self, shell: Shell, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = SqliteStorage("jobs.db", durability="normal")
        store.jobs.add([a_job("a")])
        store.jobs.pause("default")
        _, out, err = shell("export", "-", *URL)
        assert err == "1 job, 0 schedules and 1 pause exported to standard output\n"
        monkeypatch.setattr("sys.stdin", io.StringIO(out))
        assert shell("import", "-", "--url", "sqlite:///new.db").out == "1 job imported\n"
        store.close()
        assert sorted(file.name for file in folder.glob("*.db")) == ["jobs.db", "new.db"]

    def test_a_file_is_not_replaced(self, shell: Shell, folder: Path) -> None:
        store = SqliteStorage("jobs.db", durability="normal")
        store.jobs.add([a_job("a")])
        (folder / "out").write_text("mine")
        status, _, err = shell("export", "out", *URL)
        assert (status, err) == (
            1,
            "taskmill: error: out is there already: give another name, or remove it\n",
        )
        assert (folder / "out").read_text() == "mine"
        assert list(folder.glob(".out*")) == []
        store.close()


def lines_of(*jobs: str) -> list[str]:
    store = MemoryStorage()
    store.jobs.add([a_job(job) for job in jobs])
    return list(export(store))


@pytest.mark.parametrize(
    "spoil, complaint",
    [
        (lambda lines: [], "its first line is not that of an export"),
        (lambda lines: ["[]", *lines[1:]], "its first line is not that of an export"),
        (lambda lines: [lines[0].replace('"version": 1', '"version": 2')], "it is of version 2"),
        (lambda lines: [lines[0], "{"], "line 2 is no JSON"),
        (lambda lines: [lines[0], "{}"], "line 2 is neither"),
        (lambda lines: [lines[0], '{"job": 7}'], "line 2: it is no object"),
        (lambda lines: [lines[0], lines[1].replace('"task"', '"tusk"')], "line 2: it has no 'task'"),
        (lambda lines: [lines[0], lines[1].replace('"priority": 0', '"priority": 101')], "out of range"),
        (lambda lines: [lines[0], lines[1].replace('"priority": 0', '"priority": "0"')], "its 'priority' cannot be"),
        (lambda lines: [lines[0], lines[1].replace('"queued"', '"failed"')], "contradict each other"),
        (lambda lines: lines[:-1], "it ends in the middle"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told(spoil: Callable[[list[str]], list[str]], complaint: str) -> None:
    lines = spoil(lines_of("a", "b"))
    with pytest.raises(NotAnExport, match=complaint):
        load(MemoryStorage(), lines, again=False)
