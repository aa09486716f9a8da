"""docs/terminal.md: its commands are carried out, and its table of options is that of the parser."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from taskmill._cli.configuration import variable_of
from taskmill._cli.main import COMMANDS, build_parser
from taskmill._cli.parser import Parser

PAGE = (Path(__file__).parents[2] / "docs" / "terminal.md").read_text()
SHOP = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[0]
CONSOLE = re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
ROW = re.compile(
    r"^\|.*?`(?:taskmill (?P<command>[a-z ]+) )?(?P<flag>--[a-z-]+)`.*"
    r"\| `(?P<var>\w+)` \| `tool\.(?P<key>[\w.-]+)`"
)
# All in one process: each command costs a tenth of a second less, and there are many.
PROGRAM = """
import contextlib, io, json, os, subprocess, sys
from taskmill._cli.main import main

def carry_out(words):
    if words[0] == "worker":
        return subprocess.run([sys.executable, "-m", "taskmill", *words], check=False).returncode
    return main(words)

def failed_job():
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        main(["jobs", "--state", "failed,queued", "--task", "shop.send_mail", "--text", "nobody", "--json"])
    return json.loads(told.getvalue())["jobs"][0]["job_id"]

for words in json.load(sys.stdin):
    words = [failed_job() if word == "ID" else word for word in words]
    print("$", *words, flush=True)
    status = carry_out(words)
    assert status == 0, (words, status)
"""


def commands() -> list[list[str]]:
    lines = [line.removeprefix("$ ") for block in CONSOLE for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("taskmill ")]


def test_every_command_of_the_page_does_what_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(commands()),
        cwd=tmp_path,
        env=os.environ | {"TASKMILL_APP": "shop", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


def test_the_table_has_all_options_of_a_worker() -> None:
    rows = [row for row in map(ROW.match, PAGE.splitlines()) if row and row["command"] == "worker"]

    assert {row["flag"].removeprefix("--") for row in rows} | {"app"} == {*parser_of("worker").options}


def parser_of(command: str) -> Parser:
    parser = build_parser([*COMMANDS])
    for word in command.split():
        parser = parser.commands[word]
    return parser


@pytest.mark.parametrize(
    "row", [row for row in map(ROW.match, PAGE.splitlines()) if row], ids=lambda row: row["var"]
)
def test_an_option_is_called_elsewhere_as_the_table_says(row: re.Match[str]) -> None:
    parser = parser_of(row["command"] or "status")
    name = row["flag"].removeprefix("--")
    words = (row["command"] or "").split()

    assert name in parser.options
    assert row["var"] == variable_of(words, name)
    assert row["key"] == ".".join(["taskmill", *words, name])
