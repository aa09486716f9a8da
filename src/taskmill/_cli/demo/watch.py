"""The dashboard beside the story, if what it needs is installed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from taskmill._cli.demo import tasks


@contextmanager
def served() -> Iterator[list[str]]:
    """Serve it inside of the block; the lines that say where."""
    try:
        from taskmill._web.server import Server, ServerOptions  # noqa: PLC0415  (an extra)
    except ModuleNotFoundError:
        yield ["With the extra taskmill[dashboard] this demo shows its dashboard, too."]
        return
    server = Server(tasks.mill.app, ServerOptions())
    thread = threading.Thread(target=server.run, name="taskmill-dashboard", daemon=True)
    thread.start()
    try:
        yield ["Watch it while it runs:", f"  {server.url}"]
    finally:
        server.stop()
        thread.join()
