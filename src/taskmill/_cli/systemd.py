"""``taskmill systemd``: the unit with which systemd runs a worker."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

from taskmill._cli import exit_code, person
from taskmill._cli.output import put
from taskmill._cli.parser import Parser, seconds
from taskmill._core.wording import clean
from taskmill._worker.options import WorkerOptions
from taskmill.errors import ConfigurationError

_GRACE = WorkerOptions().grace
# What a worker needs beyond its grace: coroutines clean up, the last outcomes are recorded.
_BEYOND = 10

_UNIT = """\
[Unit]
Description=taskmill worker of {app}
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
NotifyAccess=main
WatchdogSec=30
User={user}
WorkingDirectory={folder}
ExecStart={command}
Restart=always
RestartSec=1
KillMode=mixed
KillSignal=SIGTERM
TimeoutStopSec={timeout:g}

[Install]
WantedBy=multi-user.target"""


def configure(parser: Parser) -> None:
    """The options."""
    parser.describe(
        "Print a unit with which systemd runs a worker, as this user and in this folder: it is started again "
        "however it ends, told to stop by SIGTERM, and killed only some time after its grace.",
        example="  taskmill systemd shop.tasks:mill --grace 60",
    )
    parser.add_argument("app", nargs="?", metavar="TARGET", help="the application, as for taskmill worker")
    parser.add_argument(
        "--grace",
        type=seconds,
        default=_GRACE,
        metavar="SECONDS",
        help="that of the worker when it is told to stop",
    )


def run(arguments: Any) -> int:
    """Print it."""
    if not arguments.app:
        raise ConfigurationError("name the application, for example: taskmill systemd shop.tasks:mill")
    program = [sys.executable, "-m", "taskmill", "worker", arguments.app, "--grace", f"{arguments.grace:g}"]
    unit = _UNIT.format(
        app=arguments.app.replace("%", "%%"),
        user=person.name() or str(os.getuid()),
        folder=_escaped(str(Path.cwd())),
        command=_escaped(shlex.join(program)),
        timeout=arguments.grace + _BEYOND,
    )
    put(*map(clean, unit.splitlines()))
    return exit_code.OK


def _escaped(text: str) -> str:
    """Of a unit's text, a percent sign is a specifier and a dollar sign a variable (systemd.unit(5))."""
    return text.replace("%", "%%").replace("$", "$$")
