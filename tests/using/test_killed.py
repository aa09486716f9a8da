"""kill -9 before the commit leaves no job, after it leaves one that runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from taskmill import Mill
from tests.using.libraries import ALL


def test_a_killed_program_leaves_what_it_has_committed(tmp_path: Path, empty_postgres: str) -> None:
    urls = {"sqlite": f"sqlite:///{tmp_path}/shop.db", "postgres": empty_postgres}
    program = subprocess.run(
        [sys.executable, "-m", "tests.using.killed", *(f"{store}={url}" for store, url in urls.items())],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    ends = [line.split() for line in program.stdout.splitlines()]
    assert [store for store, _, _ in ends] == [store for store, _ in ALL]
    for store, url in urls.items():
        mill = Mill(url)
        mill.task(name="pack")(lambda order: order + 1)
        with mill.worker(burst=True):
            for _, committed, uncommitted in (end for end in ends if end[0] == store):
                assert mill.app.storage.inspection.job(uncommitted) is None
                assert mill.result(committed).get(timeout=60) == 2
        mill.close()
