"""What a Huey, a task and a call can be told; anything else is refused with a list of what there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import taskmill.errors
import taskmill.huey
from taskmill.huey import ConfigurationError, MemoryHuey, SqliteHuey
from tests.huey.builders import consuming


def test_the_file_is_made_when_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "50% of? #jobs.db"
    huey = SqliteHuey(name="app", filename=str(path), results=True, store_none=False, utc=True)

    @huey.task()
    def one() -> int:
        return 1

    assert not path.exists()
    with consuming(huey):
        assert one()(blocking=True, timeout=45) == 1
    assert path.exists()
    huey.mill.close()


def test_a_relative_file_lies_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    huey = SqliteHuey()

    huey.task(name="one")(lambda: 1)()

    assert (tmp_path / "huey.db").exists()
    assert repr(huey) == "<SqliteHuey 'huey' at sqlite:///huey.db?durability=full&timeout=5>"
    huey.mill.close()


def test_what_asks_for_nothing_is_taken() -> None:
    options: dict[str, Any] = {
        "immediate": False,
        "immediate_use_memory": True,
        "serializer": None,
        "compression": False,
        "use_zlib": False,
        "store_none": True,
        "store_intermediate_errors": False,
    }

    MemoryHuey("app", **options)
    SqliteHuey("app", timeout=1, fsync=True, cache_mb=8, journal_mode="wal", strict_fifo=True, **options)


@pytest.mark.parametrize(
    "option",
    [
        {"immediate": True},
        {"serializer": object()},
        {"compression": True},
        {"store_intermediate_errors": True},
    ],
)
def test_what_is_missing_is_said(option: dict[str, Any]) -> None:
    [name] = option

    with pytest.raises(ConfigurationError, match=f"SqliteHuey.{name}=.*only {name}="):
        SqliteHuey("app", **option)


def test_an_unknown_option_is_named_with_those_that_there_are() -> None:
    with pytest.raises(
        ConfigurationError, match=r"SqliteHuey has no option 'colour'.*name, filename, results, utc"
    ):
        SqliteHuey("app", colour="red")


def test_an_unknown_option_of_a_task_is_named_with_those_that_there_are() -> None:
    with pytest.raises(
        ConfigurationError, match=r"no option 'timeout'.*retries, retry_delay, retry_backoff, priority"
    ):
        MemoryHuey().task(timeout=3)


def test_an_option_that_only_tasks_have_is_refused_in_a_call() -> None:
    task = MemoryHuey().task(name="one")(lambda: 1)

    with pytest.raises(
        ConfigurationError, match=r"a call has no option 'retry_delay'.*eta, delay, id, retries"
    ):
        task.s(retry_delay=3)


def test_a_wrong_value_is_refused_by_the_engine() -> None:
    with pytest.raises(taskmill.errors.ConfigurationError, match="priority=1000"):
        MemoryHuey().task(priority=1000, name="one")(lambda: 1)


def test_a_coroutine_function_is_refused() -> None:
    async def fetch() -> None: ...

    with pytest.raises(ConfigurationError, match="async def"):
        MemoryHuey().task()(fetch)


def test_two_functions_of_one_name_are_refused() -> None:
    huey = MemoryHuey()
    huey.task(name="same")(len)

    with pytest.raises(taskmill.errors.ConfigurationError, match="two tasks are called"):
        huey.task(name="same")(sum)


def test_a_task_can_be_given_other_settings_for_another_name() -> None:
    huey = MemoryHuey()

    @huey.task()
    def one() -> int:
        return 1

    urgent = huey.task(priority=9, name="urgent")(one)

    assert urgent.func is one.func
    assert urgent.s().priority == 9


def test_a_function_without_a_name_needs_one() -> None:
    class Callable:
        def __call__(self) -> int:
            return 1

    with pytest.raises(ConfigurationError, match="name="):
        MemoryHuey().task()(Callable())


def test_the_names_are_those_of_the_package() -> None:
    assert all(hasattr(taskmill.huey, name) for name in taskmill.huey.__all__)
    assert {"SqliteHuey", "crontab", "RetryTask", "CancelExecution"} <= set(taskmill.huey.__all__)
