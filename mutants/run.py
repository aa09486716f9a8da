"""Put each fault of table.toml into a copy of taskmill, and require that the tests, or the simulator, find it."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never
from xml.etree import ElementTree as ET

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SOURCE = ROOT / "src" / "taskmill"
TABLE = HERE / "table.toml"
PYTEST = [
    sys.executable,
    "-m",
    "pytest",
    "-x",
    "-q",
    "-p",
    "guard",
    "-p",
    "no:cacheprovider",
    "--hypothesis-seed=0",
]
# In so many seeds the simulator has to find a fault.
SEEDS = 200
SIMULATE = [sys.executable, "-m", "simulation", "--seeds", str(SEEDS), "--until-failure", "--jobs", "1"]

# What the simulator calls the stores, by the folders of their adapters.
STORES = {"postgres": "postgresql", "redis": "redis"}


class NothingProvedError(Exception):
    """The table, or what the tests did, does not tell if a mutant is noticed; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One entry of table.toml, which explains the fields."""

    name: str
    file: str
    old: str
    new: str
    breaks: str
    tests: Collection[str] = ("tests/conformance", "tests/stateful")
    simulator: bool = False

    @property
    def store(self) -> str:
        """Over which the simulator is to look for it."""
        return next((name for part, name in STORES.items() if f"_storage/{part}/" in self.file), "sqlite")

    def text(self) -> str:
        """Return what is in the file once the fault is in it."""
        path = SOURCE / self.file
        sound = path.read_text(encoding="utf-8") if path.is_file() else ""
        if (found := sound.count(self.old)) != 1:
            raise NothingProvedError(
                f"{self.name}: `old` occurs {found} times in src/taskmill/{self.file}, not once"
            )
        return sound.replace(self.old, self.new)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the tests said: `failed` is the first that failed, or the first seed; None if all passed."""

    failed: str | None
    seconds: float


def main() -> int:
    """Return 0 if every mutant was noticed, after printing which test noticed it."""
    arguments = parse()
    try:
        mutants = [mutant for mutant in load() if arguments.k in mutant.name]
        if arguments.dry_run:
            return 0
        if arguments.simulator:
            mutants = [mutant for mutant in mutants if mutant.simulator]
        else:
            require_green({test for mutant in mutants for test in mutant.tests})
    except NothingProvedError as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 1
    print("| mutant | guarantee | caught by | seconds |\n|---|---|---|---|", flush=True)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        noticed = [print_row(*row) for row in pool.map(simulate if arguments.simulator else try_out, mutants)]
    return 0 if all(noticed) else 1


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="dev.py mutants", description=__doc__)
    parser.add_argument("-k", metavar="TEXT", default="", help="only the mutants with TEXT in their name")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="how many to try at a time (2)")
    parser.add_argument(
        "--simulator",
        action="store_true",
        help=f"let the simulator find those it should, within {SEEDS} seeds",
    )
    parser.add_argument("--dry-run", action="store_true", help="only see that each can still be put in")
    return parser.parse_args()


def load() -> list[Mutant]:
    """Read the table; every entry can be put in."""
    try:
        mutants = [
            Mutant(**entry) for entry in tomllib.loads(TABLE.read_text(encoding="utf-8")).get("mutant", [])
        ]
    except (TypeError, tomllib.TOMLDecodeError) as error:
        raise NothingProvedError(f"{TABLE.relative_to(ROOT)}: {error}") from error
    for mutant in mutants:
        mutant.text()
    return mutants


def require_green(tests: Collection[str]) -> None:
    """Run the tests on a sound copy: what fails there would prove nothing on a mutant."""
    if not tests:
        raise NothingProvedError(f"no mutant to try in {TABLE.relative_to(ROOT)}")
    print("mutants: first the tests without any ...", file=sys.stderr, flush=True)
    verdict = judge(None, tests)
    if verdict.failed:
        raise NothingProvedError(f"{verdict.failed} fails without any mutant")
    print(f"mutants: all passed in {verdict.seconds:.0f} s", file=sys.stderr, flush=True)


def try_out(mutant: Mutant) -> tuple[Mutant, Verdict | NothingProvedError]:
    """Judge *mutant*; a run that proves nothing is a line of the table too."""
    try:
        return mutant, judge(mutant, mutant.tests)
    except NothingProvedError as error:
        return mutant, error


def judge(mutant: Mutant | None, tests: Collection[str]) -> Verdict:
    """Run *tests* on a copy of taskmill with *mutant* in it."""
    with a_copy(mutant) as place:
        return run_tests(place / "src" / "taskmill", sorted(tests), place)


def simulate(mutant: Mutant) -> tuple[Mutant, Verdict | NothingProvedError]:
    """Let the simulator look for *mutant*."""
    with a_copy(mutant) as place:
        environment = os.environ | {"PYTHONPATH": str(place / "src")}
        started = time.monotonic()
        done = subprocess.run(
            [*SIMULATE, "--store", mutant.store],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - started
    first, _, _ = done.stdout.partition("\n")
    if done.returncode not in {0, 1} or not first or done.stderr:
        return mutant, NothingProvedError(f"the simulator ended with {done.returncode}: {done.stderr[-300:]}")
    return mutant, Verdict(failed=first if done.returncode else None, seconds=seconds)


@contextmanager
def a_copy(mutant: Mutant | None) -> Iterator[Path]:
    """A folder with a copy of src/, with *mutant* in it."""
    with tempfile.TemporaryDirectory(prefix="taskmill-") as folder:
        package = Path(folder) / "src" / "taskmill"
        shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__"))
        if mutant:
            (package / mutant.file).write_text(mutant.text(), encoding="utf-8")
        yield Path(folder)


def run_tests(package: Path, tests: list[str], place: Path) -> Verdict:
    """Run *tests* on *package*; a failed test counts, an error outside of the tests does not."""
    report, output = place / "report.xml", place / "output.txt"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(package.parent), str(HERE)]),
        "TASKMILL_UNDER_TEST": str(package),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(place / "hypothesis"),
    }
    command = [*PYTEST, f"--junitxml={report}", f"--basetemp={place / 'tmp'}", *tests]
    started = time.monotonic()
    with output.open("w", encoding="utf-8") as file:
        status = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=file, stderr=file, check=False
        ).returncode
    seconds = time.monotonic() - started
    failed = first_failure(report) if status == 1 else None
    if status not in {0, 1} or (status == 1 and not failed):
        tail = " / ".join(output.read_text(encoding="utf-8").splitlines()[-3:])
        raise NothingProvedError(f"pytest ended with {status} and no failed test: {tail}")
    return Verdict(failed=failed, seconds=seconds)


def first_failure(report: Path) -> str | None:
    """Return the name of the first test that failed, and not merely its set-up."""
    cases = ET.parse(report).iter("testcase") if report.exists() else []  # noqa: S314  (pytest wrote it just now)
    failed = (
        f"{case.get('classname')}::{case.get('name')}" for case in cases if case.find("failure") is not None
    )
    return next(failed, None)


def print_row(mutant: Mutant, verdict: Verdict | NothingProvedError) -> bool:
    """Print one line of the table; return whether the tests noticed."""
    match verdict:
        case Verdict(failed=None):
            caught, seconds = "**nothing: it survived**", f"{verdict.seconds:.1f}"
        case Verdict():
            caught, seconds = f"`{verdict.failed}`", f"{verdict.seconds:.1f}"
        case NothingProvedError():
            caught, seconds = f"**nothing proved**: {verdict}", ""
        case _:
            assert_never(verdict)
    cells = (cell.replace("|", "\\|") for cell in (mutant.name, mutant.breaks, caught, seconds))
    print(f"| {' | '.join(cells)} |", flush=True)
    return caught.startswith("`")


if __name__ == "__main__":
    sys.exit(main())
