"""``taskmill dashboard``: the pages, served alone."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from taskmill._app.visitor import Role
from taskmill._cli import exit_code, logs, store
from taskmill._cli.parser import Parser, names, port
from taskmill._core.wording import clean
from taskmill._storage.urls import shown
from taskmill.errors import ConfigurationError

TOKENS: dict[Role, str] = {
    "operate": "TASKMILL_DASHBOARD_TOKEN",
    "view": "TASKMILL_DASHBOARD_VIEW_TOKEN",
}

_EXAMPLE = """\
  taskmill dashboard shop.tasks:mill
  taskmill dashboard --url sqlite:////var/lib/jobs.db --read-only

environment:
  TASKMILL_DASHBOARD_TOKEN       lets in who may act; without one, a token by
                                 chance is printed with the address
  TASKMILL_DASHBOARD_VIEW_TOKEN  lets in who may only look"""


def configure(parser: Parser) -> None:
    """The options."""
    parser.describe(
        "Serve pages that show what the jobs of a store are doing, and act on them, until told to stop. Only programs "
        "of this machine reach it, unless --host says otherwise.",
        example=_EXAMPLE,
    )
    parser.add_argument(
        "target",
        nargs="?",
        metavar="TARGET",
        help="module:attribute of the application, as in taskmill worker; the same as --app",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where to listen; any but this machine's own needs a token from the environment",
    )
    parser.add_argument(
        "--port",
        type=port,
        default=8765,
        metavar="N",
        help="the port; 0 is any that is free",
    )
    parser.add_argument(
        "--allow-host",
        type=names,
        action="extend",
        metavar="NAMES",
        help="names that browsers may know it by, parted by commas, as behind a proxy",
    )
    parser.add_argument(
        "--read-only",
        action="store_true",
        help="nobody may act",
    )
    store.add_options(parser, has_json=False)


def run(arguments: Any) -> int:
    """Serve; returns when it was told to stop."""
    try:
        from taskmill._web.server import Server, ServerOptions  # noqa: PLC0415  (an extra)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the dashboard needs {error.name}, which is not installed: pip install 'taskmill[dashboard]'"
        ) from None
    arguments.app = arguments.target or arguments.app
    logs.configure("info")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    with store.open_as_it_is(arguments) as app:
        options = ServerOptions(
            host=arguments.host,
            port=arguments.port,
            tokens=_tokens(is_read_only=arguments.read_only),
            role="view" if arguments.read_only else "operate",
            names=arguments.allow_host or (),
        )
        server = Server(app, options)
        told = f"taskmill dashboard of {shown(app.url)}: {server.url} (Ctrl-C ends it)"
        print(clean(told), file=sys.stderr, flush=True)
        server.run()
    return exit_code.OK


def _tokens(*, is_read_only: bool) -> dict[Role, str]:
    tokens = {role: token for role, variable in TOKENS.items() if (token := os.environ.get(variable))}
    if is_read_only and "operate" in tokens:
        operating = tokens.pop("operate")
        tokens.setdefault("view", operating)
    return tokens
