from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from taskmill._cli.target import load
from taskmill.errors import ConfigurationError, StoreUnavailable
from tests.cli.process import MODULE, SCRIPT, Programs
from tests.cli.shell import Shell

Write = Callable[..., None]

ONE = "from taskmill import Mill\nmill = Mill('memory://')\n"
FACTORY = f"""
{ONE}
class settings:
    mill = mill
number = 7
def create():
    return mill
def create_nothing():
    return None
def create_with(url):
    return Mill(url)
"""


@pytest.fixture
def write(folder: Path, shell: Shell) -> Write:
    """Writes a module into the current folder; what is imported is forgotten after the test, as by `shell`."""

    def write(code: str, name: str = "site_app.py") -> None:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(code, encoding="utf-8")

    return write


class TestTheMill:
    @pytest.mark.parametrize(
        "text",
        ["site_app", "site_app:mill", "site_app:settings.mill", "site_app:create()", " site_app:mill "],
    )
    def test_it_is_found(self, write: Write, text: str) -> None:
        write(FACTORY)

        assert load(text) is sys.modules["site_app"].mill

    def test_the_same_mill_under_two_names_is_one(self, write: Write) -> None:
        write(ONE + "other_name = mill\n")

        assert load("site_app") is sys.modules["site_app"].mill

    def test_in_a_package(self, write: Write) -> None:
        write("", "site_pkg/__init__.py")
        write(ONE, "site_pkg/tasks.py")

        assert load("site_pkg.tasks:mill") is sys.modules["site_pkg.tasks"].mill

    def test_the_modules_that_it_names_are_imported_from_the_current_folder_too(self, write: Write) -> None:
        write("from taskmill import Mill\nmill = Mill('memory://', imports=['site_more'])\n")
        write("from site_app import mill\n@mill.task\ndef more(): pass\n", "site_more.py")

        assert [task.name for task in load("site_app").app.tasks] == ["site_more.more"]

    @pytest.mark.parametrize(
        "text, sentence",
        [
            ("site_app:mil", "has no 'mil' (did you mean 'mill'?)"),
            ("site_app:settings.mll", "has no 'settings.mll' (did you mean 'mill'?)"),
            ("site_app:number", "site_app:number is no Mill, but of type int"),
            ("site_app:number()", "site_app:number is no function: leave out the ()"),
            ("site_app:create", "if it is a function that makes one, write site_app:create()"),
            ("site_app:create_nothing()", "create_nothing() is no Mill, but of type NoneType"),
            ("site_app:create_with()", "missing 1 required positional argument: 'url'"),
            ("site_app.mill", "'site_app.mill' is no module: write site_app:mill"),
            ("site_ap:mill", "there is no module 'site_ap' (did you mean 'site_app'?)"),
            ("site_app.py", "there is no module 'site_app.py' (did you mean 'site_app'?)"),
            ("./site_app.py:mill", "is no name of a module: write it as in an import, for example site_app"),
            ("pkg/site_app:mill", "for example pkg.site_app"),
            (".site_app", "'.site_app' is no name of a module"),
            ("site_app:mill:mill", "names no application"),
            ("site_app:__import__('os')", "names no application"),
            ("", "names no application"),
            ("json", "has no Mill: write json:ATTRIBUTE"),
        ],
    )
    def test_what_it_is_not_is_told(self, write: Write, text: str, sentence: str) -> None:
        write(FACTORY)

        with pytest.raises(ConfigurationError) as caught:
            load(text)

        assert sentence in str(caught.value)

    def test_several_are_listed(self, write: Write) -> None:
        write(ONE + "other = Mill('memory://')\n")

        with pytest.raises(
            ConfigurationError, match=r"has several Mills: write site_app:mill or site_app:other"
        ):
            load("site_app")


class TestTheModule:
    def test_its_own_error_is_shown_with_its_place(
        self, write: Write, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write("import taskmill\ndef go():\n    return 1 / 0\ngo()\n")

        with pytest.raises(ConfigurationError) as caught:
            load("site_app")

        assert "site_app cannot be imported: ZeroDivisionError: division by zero (" in str(caught.value)
        assert "site_app.py, line 3)" in str(caught.value)
        shown = capsys.readouterr().err
        assert shown.splitlines()[1].endswith('site_app.py", line 4, in <module>')
        assert "importlib" not in shown

    def test_a_missing_dependency_is_not_taken_for_a_missing_module(self, write: Write) -> None:
        write("import site_missing\n")

        with pytest.raises(
            ConfigurationError, match=r"No module named 'site_missing' \(.*site_app.py, line 1\)"
        ):
            load("site_app")

    def test_a_syntax_error_is_shown(self, write: Write, capsys: pytest.CaptureFixture[str]) -> None:
        write("def go(:\n")

        with pytest.raises(ConfigurationError, match="SyntaxError"):
            load("site_app")

        assert "def go(:" in capsys.readouterr().err

    def test_a_wrong_task_is_told_in_one_sentence(
        self, write: Write, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write(ONE + "@mill.task(retries=-1)\ndef go(): pass\n")

        with pytest.raises(ConfigurationError, match=r"retries=-1 .*site_app.py, line 3\)"):
            load("site_app")

        assert capsys.readouterr().err == ""

    def test_trouble_with_the_store_stays_that(self, write: Write) -> None:
        write("from taskmill import errors\nraise errors.StoreUnavailable('the disk is full')\n")

        with pytest.raises(StoreUnavailable, match=r"^the disk is full$"):
            load("site_app")

    def test_a_module_that_exits_is_told_of(self, write: Write) -> None:
        write("raise SystemExit(0)\n")

        with pytest.raises(ConfigurationError, match="ends the program when it is imported"):
            load("site_app")


class TestTheCurrentFolder:
    """In processes of their own: what Python has imported already cannot be hidden any more."""

    @pytest.mark.parametrize(
        "command, names",
        [(SCRIPT, "argparse typing dataclasses json sqlite3"), (MODULE, "argparse json sqlite3")],
    )
    def test_it_cannot_hide_a_module_that_is_found_elsewhere(
        self, programs: Programs, app: ModuleType, folder: Path, command: tuple[str, ...], names: str
    ) -> None:
        for name in names.split():
            (folder / f"{name}.py").write_text(f"open('{name}.was-imported', 'w')\n", encoding="utf-8")

        assert programs.run("worker", "app", "--burst", command=command)[0] == 0
        assert list(folder.glob("*.was-imported")) == []

    def test_it_is_not_searched_if_everybody_may_write_to_it(
        self, programs: Programs, app: ModuleType, folder: Path
    ) -> None:
        folder.chmod(0o777)

        status, _, err = programs.run("worker", "app", "--burst")

        assert status == 2
        assert "everybody may write to it" in err

    def test_it_is_not_searched_against_the_will_of_python(self, programs: Programs, app: ModuleType) -> None:
        status, _, err = programs.run("worker", "app", "--burst", env={"PYTHONSAFEPATH": "1"})

        assert status == 2
        assert "PYTHONSAFEPATH" in err

    def test_pythonpath_overrules_both(self, programs: Programs, app: ModuleType, folder: Path) -> None:
        folder.chmod(0o777)

        status, _, _ = programs.run(
            "worker", "app", "--burst", env={"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}
        )

        assert status == 0

    def test_it_comes_last_and_only_if_needed(self, write: Write) -> None:
        write(ONE)
        folder = str(Path.cwd())

        with pytest.raises(ConfigurationError):
            load("json")
        assert folder not in sys.path

        load("site_app")
        assert sys.path[-1] == folder
