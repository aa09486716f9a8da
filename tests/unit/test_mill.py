from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from taskmill import Context, Mill
from taskmill._app.context import entered
from taskmill._core.instant import SECOND
from taskmill.errors import ConfigurationError, InvalidURL
from tests.unit.little_worker import LittleWorker


class TestWhereTheStoreIs:
    @pytest.fixture(autouse=True)
    def _elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("TASKMILL_URL", raising=False)

    def test_without_a_word_it_is_a_file_here(self, tmp_path: Path) -> None:
        mill = Mill()
        assert mill.url == "sqlite:///taskmill.db"
        assert list(tmp_path.iterdir()) == []

        mill.task(name="add")(sum).enqueue([1])

        assert (tmp_path / "taskmill.db").exists()
        mill.close()

    def test_the_environment_comes_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        mill = Mill()
        monkeypatch.setenv("TASKMILL_URL", "memory://")

        assert mill.url == mill.app.storage.url == "memory://"

    def test_what_the_program_says_comes_before_that(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TASKMILL_URL", "sqlite:///other.db")

        assert Mill("memory://").url == "memory://"

    def test_a_factory_says_it_later(self) -> None:
        mill = Mill()
        task = mill.task(name="add")(sum)

        mill.configure("memory://")
        result = task.enqueue([1])

        assert mill.app.storage.url == "memory://"
        with pytest.raises(ConfigurationError, match="this Mill has used its store already"):
            mill.configure("sqlite:///other.db")
        assert mill.result(result.id).state == "queued"

    def test_a_wrong_url_is_an_error_of_the_first_use(self) -> None:
        mill = Mill("mysql://localhost")

        with pytest.raises(InvalidURL, match="there is no store 'mysql'"):
            mill.events()

        mill.configure("memory://")
        assert mill.events() == []

    def test_after_closing_it_opens_again(self, tmp_path: Path) -> None:
        mill = Mill("sqlite:///jobs.db")
        result = mill.task(name="add")(sum).enqueue([1])

        mill.close()

        assert result.state == "queued"
        mill.close()

    def test_it_does_not_show_a_password(self) -> None:
        mill = Mill("postgresql://me:secret@host/jobs?timeout=soon")

        assert repr(mill) == "<Mill postgresql://me:***@host/jobs?timeout=soon with 0 tasks>"
        with pytest.raises(InvalidURL) as caught:
            mill.events()
        assert "secret" not in str(caught.value)


class TestSettings:
    def test_the_lease_is_a_duration(self) -> None:
        assert Mill(lease=timedelta(seconds=5)).app.lease == 5 * SECOND
        assert Mill().app.lease == 30 * SECOND
        for wrong in (0.5, -1, "30"):
            with pytest.raises(ConfigurationError, match="lease="):
                Mill(lease=wrong)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "settings", [{"payload_limit": 0}, {"payload_limit": "1"}, {"imports": "shop.tasks"}]
    )
    def test_wrong_settings_are_refused(self, settings: Any) -> None:
        with pytest.raises(ConfigurationError, match=f"{next(iter(settings))}="):
            Mill(**settings)

    def test_imports_make_tasks_known(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "shop_tasks_of_test.py").write_text("loaded = True\n")
        monkeypatch.syspath_prepend(tmp_path)

        Mill(imports=["shop_tasks_of_test"]).app.load_imports()

        assert sys.modules.pop("shop_tasks_of_test").loaded
        with pytest.raises(ConfigurationError, match=r"cannot import 'no_such_module'.*No module named"):
            Mill(imports=["no_such_module"]).app.load_imports()


class TestRegister:
    def test_an_unnamed_class_can_be_passed(self, mill: Mill, worker: LittleWorker) -> None:
        @mill.register
        @dataclass
        class Order:
            number: int

        result = mill.task(name="same")(lambda order: order).enqueue(Order(3))
        worker.run_all()

        assert result.get() == Order(3)

    def test_what_cannot_be_rebuilt_is_refused(self, mill: Mill) -> None:
        with pytest.raises(ConfigurationError):
            mill.register(object)


class TestWrap:
    def test_generators_become_context_managers(self, mill: Mill) -> None:
        order: list[str] = []

        @mill.wrap
        def outer(context: Context) -> Iterator[None]:
            order.append(f"outer {context.task}")
            yield
            order.append("outer ends")

        @mill.wrap
        @contextmanager
        def inner(context: Context) -> Iterator[None]:
            order.append("inner")
            yield
            order.append("inner ends")

        first, second = mill.app.wrappers
        with entered(Context.local(mill.app, "send", 1)) as context, first(context), second(context):
            order.append("attempt")

        assert order == ["outer send", "inner", "attempt", "inner ends", "outer ends"]

    def test_async_ones_are_refused(self, mill: Mill) -> None:
        async def wrapper(context: Context) -> Any:
            yield

        with pytest.raises(ConfigurationError, match="is a def with one yield, for what is async, too"):
            mill.wrap(wrapper)  # type: ignore[type-var]


class TestHooks:
    def test_they_are_kept_in_order(self, mill: Mill) -> None:
        @mill.on_start
        def start() -> None: ...

        @mill.on_stop
        def stop() -> None: ...

        assert (mill.app.start_hooks, mill.app.stop_hooks) == ([start], [stop])

    def test_what_cannot_be_called_is_refused(self, mill: Mill) -> None:
        async def start() -> None: ...

        for decorate in (mill.on_start, mill.on_stop):
            for wrong in (start, 3):
                with pytest.raises(ConfigurationError, match="take a def without arguments"):
                    decorate(wrong)
