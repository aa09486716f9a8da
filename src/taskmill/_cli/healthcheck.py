"""``taskmill healthcheck``: whether a worker is well, as the status of a command, for probes that run one."""

from __future__ import annotations

import http.client
from contextlib import closing
from typing import Any

from taskmill._cli import exit_code
from taskmill._cli.output import complain, put
from taskmill._cli.parser import Parser, address, seconds
from taskmill._core.wording import clean_lines
from taskmill.errors import ConfigurationError

_EXAMPLE = """\
  taskmill worker shop.tasks:mill --http :8080
  taskmill healthcheck --http :8080
  taskmill healthcheck --http :8080 --ready"""


def configure(parser: Parser) -> None:
    """The options."""
    parser.describe(
        "Ask a worker of this machine that was started with --http whether it is well: status 0 if it says so, else 1.",
        example=_EXAMPLE,
    )
    parser.add_argument("--http", type=address, metavar="HOST:PORT", help="where it answers, as it was told")
    parser.add_argument("--ready", action="store_true", help="ask whether it takes jobs, too")
    parser.add_argument(
        "--timeout", type=seconds, default=5.0, metavar="SECONDS", help="how long it may take"
    )


def run(arguments: Any) -> int:
    """Ask, and say what it says."""
    if arguments.http is None:
        raise ConfigurationError("say where the worker answers, as it was told: --http HOST:PORT")
    host, port = arguments.http
    # What listens on all addresses is asked at this machine's own.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  (compared, not bound to)
    try:
        with closing(http.client.HTTPConnection(host, port, timeout=arguments.timeout)) as connection:
            connection.request("GET", "/readyz" if arguments.ready else "/healthz")
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
    # The last one is of a name that no host can have.
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        complain(f"no worker answers at {host} port {port}: {error}")
        return exit_code.FAILURE
    put(*clean_lines(text.rstrip()))
    return exit_code.OK if answer.status == http.client.OK else exit_code.FAILURE
