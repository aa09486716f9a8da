"""An application in a folder, as a producer has it here and a worker in a process of its own."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import pytest

from tests.cli.process import Programs

Applied = Callable[[str], ModuleType]


@pytest.fixture
def programs() -> Iterator[Programs]:
    with Programs() as programs:
        yield programs


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Applied]:
    """Writes app.py into the current folder, and loads it."""
    monkeypatch.chdir(tmp_path)
    with ExitStack() as stack:

        def load(text: str) -> ModuleType:
            path = tmp_path / "app.py"
            path.write_text(dedent(text), encoding="utf-8")
            spec = importlib.util.spec_from_file_location("app", path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            monkeypatch.setitem(sys.modules, "app", module)
            spec.loader.exec_module(module)
            stack.callback(module.mill.close)
            return module

        yield load
