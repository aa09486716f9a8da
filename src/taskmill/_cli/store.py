"""Which store a command works on, given by its URL or by the application that uses it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from taskmill._app.application import Application
from taskmill._cli.parser import Parser
from taskmill._storage.open import is_shared
from taskmill._storage.urls import shown
from taskmill.errors import ConfigurationError, StoreUnavailable


def add_options(parser: Parser, *, has_json: bool = True) -> None:
    """The options that all commands on a store have."""
    parser.add_argument(
        "--url",
        metavar="URL",
        help="the store, if not that of the application; else sqlite:///taskmill.db, here",
    )
    parser.add_argument(
        "--app",
        metavar="TARGET",
        help="module:attribute of the application: its store is taken, and its classes make arguments readable",
    )
    if has_json:
        parser.add_argument(
            "--json", action="store_true", help="one JSON object for programs, times as ISO 8601"
        )


@contextmanager
def open_app(arguments: Any) -> Iterator[Application]:
    """The application whose store the command line names; that must be there, a look at it makes nothing."""
    with open_as_it_is(arguments) as app:
        if not app.storage.exists():
            raise StoreUnavailable(
                f"there is no store at {shown(app.storage.url)}: name one with --url or TASKMILL_URL, "
                "or enqueue a first job"
            )
        yield app


def check_shared(url: str) -> None:
    """Refuse a store that no other process can have put anything into."""
    if not is_shared(url):
        raise ConfigurationError(
            f"{url} lives in the process that made it and cannot be seen from another one"
        )


@contextmanager
def open_as_it_is(arguments: Any) -> Iterator[Application]:
    """As `open_app`, but whatever is there, or nothing, is left to who looks at it."""
    app = _named(arguments)
    check_shared(app.url)
    try:
        yield app
    finally:
        app.close()


def _named(arguments: Any) -> Application:
    if not arguments.app:
        return Application(arguments.url)
    from taskmill._cli.target import load  # noqa: PLC0415  (only those that name one pay for it)

    app = load(arguments.app).app
    # What the environment or a file says is for who names no application: that knows its store.
    if arguments.url and "url" not in arguments.left_out:
        app.configure(arguments.url)
    return app
