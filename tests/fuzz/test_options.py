"""Options of tasks and calls: any value is refused by one sentence, or the store takes what it makes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from taskmill import Mill, State
from taskmill.errors import ConfigurationError, InvalidOption, JobCancelled, ResultNotKept, ResultTimeout
from tests.fuzz.damage import SCRAPS


class Nowhere(tzinfo):
    """A zone that does not know its offset, which Python allows."""

    def utcoffset(self, moment: datetime | None) -> None:
        return None

    def dst(self, moment: datetime | None) -> None:
        return None

    def tzname(self, moment: datetime | None) -> None:
        return None


FAR = timezone(timedelta(hours=23, minutes=59))
numbers = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([10**400, -(10**400), 2**63, 1e300, 3e10, 31_622_400_000, 5e-324, True, 0, 0.0, -0.0]),
)
moments = st.datetimes(timezones=st.none() | st.sampled_from([UTC, FAR, Nowhere()])) | st.sampled_from(
    [datetime.max.replace(tzinfo=FAR), datetime.min.replace(tzinfo=FAR), datetime.min.replace(tzinfo=UTC)]
)
texts = st.text(max_size=20) | st.sampled_from([*SCRAPS, "mail", "a,b", "x" * 1_000, "x" * 1_001, "default"])
scalars = st.none() | numbers | moments | st.timedeltas() | texts | st.binary(max_size=5)
things = st.one_of(
    scalars,
    st.lists(scalars, max_size=3),
    st.dictionaries(texts, scalars, max_size=3),
    st.sets(texts, max_size=3),
    st.sampled_from([OSError, (OSError, KeyError), int, object(), ((OSError,),), range(10**9, 10**9 + 3)]),
)

CALL = (
    "queue",
    "priority",
    "retries",
    "delay",
    "run_at",
    "expires",
    "key",
    "tags",
    "headers",
    "lock",
    "result_ttl",
)
TASK = (
    *("name", "queue", "priority", "retries", "retry_delay", "backoff", "jitter", "retry_on", "no_retry_on"),
    *("timeout", "soft_timeout", "expires", "lock", "executor", "result_ttl", "aliases"),
)


def some_of(names: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    usual: dict[str, st.SearchStrategy[Any]] = {
        **dict.fromkeys(
            ("delay", "expires", "timeout", "soft_timeout", "retry_delay", "result_ttl"), numbers
        ),
        **dict.fromkeys(("queue", "key", "lock", "name"), texts),
        "run_at": moments,
        "tags": st.lists(texts, max_size=3),
        "headers": st.dictionaries(texts, texts, max_size=3),
        "executor": st.sampled_from(["thread", "process", "asyncio"]),
    }
    each = {name: usual.get(name, numbers) | things for name in (*names, "dealy")}
    return st.lists(st.sampled_from([*each]), max_size=3, unique=True).flatmap(
        lambda chosen: st.fixed_dictionaries({name: each[name] for name in chosen})
    )


def nothing() -> None:
    """Be a task."""


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def mill(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mill]:
    folder: Path = tmp_path_factory.mktemp("options")
    mill = Mill("memory://" if request.param == "memory" else f"sqlite:///{folder}/jobs.db?durability=normal")
    mill.task(name="nothing")(nothing)
    yield mill
    mill.close()


@settings(deadline=None)
@given(some_of(CALL))
@example({"run_at": datetime(2026, 1, 1, tzinfo=Nowhere())})
@example({"run_at": datetime.max.replace(tzinfo=UTC), "expires": datetime.min.replace(tzinfo=UTC)})
@example({"delay": 31_622_400_000, "expires": 31_622_400_000, "result_ttl": 31_622_400_000})
@example({"headers": {"a": "\ud800"}, "tags": ["\ud800"]})
def test_a_call_is_refused_or_stored(mill: Mill, options: dict[str, Any]) -> None:
    task = mill.app.tasks["nothing"]
    try:
        call = task.using(**options)
    except InvalidOption:
        return

    result = call.enqueue()

    job = result.job()
    assert job.run_at
    assert mill.events(1)
    result.cancel()


@settings(deadline=None)
@given(some_of(TASK))
@example({"timeout": 31_622_400_000, "soft_timeout": 31_622_399_999})
def test_a_task_is_refused_or_runs(options: dict[str, Any]) -> None:
    mill = Mill("memory://")
    try:
        task = mill.task(**options)(nothing)
    except ConfigurationError:
        return
    if options.get("executor") == "process":
        return

    result = task.enqueue()
    with mill.worker(burst=True, threads=1):
        pass

    # One with a limit of a microsecond may wait for its next attempt.
    with suppress(ResultNotKept):
        assert result.state is not State.RUNNING


@settings(deadline=None, max_examples=settings.default.max_examples // 2)
@given(numbers | st.timedeltas() | things)
@example(31_622_400_000)
@example(1e300)
def test_a_wait_is_refused_or_as_long_as_it_takes(mill: Mill, timeout: Any) -> None:
    result = mill.app.tasks["nothing"].enqueue()
    threading.Timer(0.005, result.cancel).start()

    with suppress(ValueError, JobCancelled, ResultNotKept, ResultTimeout):
        result.get(timeout=timeout)
    with suppress(ConfigurationError), mill.lock("lock", timeout):
        pass
