"""A minute of what `python3 dev.py soak` does for ten or more."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from soak.ledger import Ledger
from soak.sample import MEASURES
from soak.verdict import growths

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(300)
def test_a_minute_of_load_with_kills_loses_nothing_and_nothing_grows() -> None:
    command = [sys.executable, "-m", "soak", "--minutes", "1", "--seed", "1"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", MEASURES)
def test_what_grows_by_more_than_a_tenth_and_the_allowance_is_told(name: str) -> None:
    allowance = MEASURES[name].allowance
    flat = [dict.fromkeys(MEASURES, 100.0)] * 8

    still = growths([*flat, *[{**flat[0], name: 110.0 + allowance}] * 4])
    grown = growths([*flat, *[{**flat[0], name: 111.0 + allowance}] * 4])

    assert [growth.name for growth in still if growth.is_too_much] == []
    assert [growth.name for growth in grown if growth.is_too_much] == [name]


def test_what_was_lost_and_what_ended_twice_is_found(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.write_text("acked a\nacked b\nacked c\ndid a\nended a\nunwanted c\nended c\nended c\nacked d\ndid")
    with closing(Ledger(notes)) as ledger:
        ledger.read_on()
        before = ledger.lost()
        with notes.open("a") as file:
            file.write(" d\n")
        ledger.read_on()

        assert (before, ledger.lost(), ledger.ended_twice()) == ({"b", "d"}, {"b"}, {"c"})
