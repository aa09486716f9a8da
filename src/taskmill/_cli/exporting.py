"""``taskmill export``: what a store holds, as lines of JSON."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from taskmill._app.exports import export
from taskmill._cli import exit_code, store
from taskmill._cli.output import note, put
from taskmill._cli.parser import Parser
from taskmill._cli.text import contents
from taskmill._core.identity import new_job_id
from taskmill.errors import BackupFailed


def configure(parser: Parser) -> None:
    """The options."""
    parser.describe(
        "Write jobs, schedules and pauses to FILE, a line of JSON each, while the store is in use. It is for moving by "
        "hand and for programs; docs/operations.md has the format. For a copy of one moment there is taskmill backup.",
        example="  taskmill export jobs.ndjson --url sqlite:///jobs.db\n  taskmill export - --app shop.tasks:mill",
    )
    parser.add_argument(
        "file", metavar="FILE", help="the file to be made, which is not there yet; - for standard output"
    )
    store.add_options(parser, has_json=False)


def run(arguments: Any) -> int:
    """Write the lines."""
    with store.open_app(arguments) as app:
        counts: Counter[str] = Counter()
        lines = _counted(export(app.storage), counts)
        if arguments.file == "-":
            for line in lines:
                put(line)
        else:
            _write(Path(arguments.file), lines)
    place = "standard output" if arguments.file == "-" else arguments.file
    note(f"{contents(counts['job'], counts['schedule'], counts['pause'])} exported to {place}")
    return exit_code.OK


def _counted(lines: Iterable[str], counts: Counter[str]) -> Iterator[str]:
    """The lines as they are; *counts*: how many there were of each kind."""
    for line in lines:
        # The name of their only member.
        counts[line.split('"', 2)[1]] += 1
        yield line


def _write(file: Path, lines: Iterable[str]) -> None:
    """Under a hidden name until it is whole and on disk; arguments of jobs are nobody else's business."""
    part = file.with_name(f".{file.name}.{new_job_id()}.part")
    try:
        part.touch(mode=0o600, exist_ok=False)
        with part.open("w", encoding="utf-8") as stream:
            stream.writelines(f"{line}\n" for line in lines)
            stream.flush()
            os.fsync(stream.fileno())
        # Unlike a renaming, it replaces nothing.
        os.link(part, file)
    except FileExistsError:
        raise BackupFailed(f"{file} is there already: give another name, or remove it") from None
    except OSError as error:
        raise BackupFailed(f"{file} cannot be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
