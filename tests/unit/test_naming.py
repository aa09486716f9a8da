"""What modules are called in the store: the same where they are run and where they are imported."""

from __future__ import annotations

import inspect
import subprocess
import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from taskmill._core.naming import module_name


def script(*, file: str | None = None, spec: str | None = None) -> types.ModuleType:
    module = types.ModuleType("__main__")
    if file is not None:
        module.__file__ = file
    module.__spec__ = None if spec is None else ModuleSpec(spec, None)
    return module


def test_a_module_is_called_what_it_is_imported_as() -> None:
    assert module_name("shop.tasks") == "shop.tasks"


def test_the_main_file_of_a_package_goes_by_the_package() -> None:
    assert module_name("shop.__main__") == "shop"


@pytest.mark.parametrize(
    "main,name",
    [
        (script(file="/srv/shop.py"), "shop"),
        (script(file="/usr/local/bin/shop"), "shop"),
        (script(file="/srv/shop/tasks.py", spec="shop.tasks"), "shop.tasks"),
        (script(file="/srv/shop/__main__.py", spec="shop.__main__"), "shop"),
        (script(file="/srv/shop.py", spec="__main__"), "shop"),  # under coverage
        (script(file="/srv/shop.pyz/__main__.py", spec="__main__"), "__main__"),
        (script(file="<stdin>"), "__main__"),
        (script(), "__main__"),  # at a prompt, in a notebook
    ],
)
def test_the_script_is_called_what_others_import_it_as(
    main: types.ModuleType, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "__main__", main)

    assert module_name("__main__") == name


@pytest.mark.parametrize("command", [["shop.py"], ["-m", "shop"]])
def test_so_is_it_in_processes_that_it_spawns(command: list[str], tmp_path: Path) -> None:
    program = """
        import multiprocessing
        from taskmill._core.naming import module_name

        NAME = module_name(__name__)

        def tell():
            print(__name__, NAME, module_name(__name__))

        if __name__ == "__main__":
            child = multiprocessing.get_context("spawn").Process(target=tell)
            child.start()
            child.join()
    """
    (tmp_path / "shop.py").write_text(inspect.cleandoc(program))

    done = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert done.stdout == "__mp_main__ shop shop\n"
