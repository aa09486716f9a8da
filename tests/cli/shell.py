"""The command line, called in this process."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any, NamedTuple

import pytest

from taskmill._cli.main import main


class Answer(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Terminal(StringIO):
    """Text that somebody types, or sees, at a terminal."""

    def isatty(self) -> bool:
        return True


class Shell:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str) -> Answer:
        status = main(words)
        out, err = self._capsys.readouterr()
        return Answer(status, out, err)
