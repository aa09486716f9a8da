"""The dashboard as a process of its own, and who looks at it."""

from __future__ import annotations

import http.client
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from subprocess import DEVNULL, Popen

from bench.site import Site
from bench.subjects.base import ROOT
from taskmill._web.access import Tokens
from tests.servers import free_port

_TOKEN = "0123456789abcdef"  # noqa: S105  (of a server of this machine that lives for seconds)
_PATIENCE = 30.0
# As assets/taskmill.js has it, in seconds.
_SHORTEST_PAUSE = 0.25


class Browser:
    """Asks for pages on one connection, as a browser does."""

    def __init__(self, port: int) -> None:
        tokens = Tokens({"operate": _TOKEN})
        self._headers = {"cookie": f"{tokens.cookie}={tokens.pass_for('operate')}"}
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def get(self, path: str) -> bytes:
        """The body of the page."""
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != http.client.OK:
            raise OSError(f"{path}: {answer.status} {body[:200]!r}")
        return body

    def look_at(self, path: str) -> None:
        """Keep the page open: ask for it again whenever it is said to have changed, until the server is gone."""
        stream = http.client.HTTPConnection(self._connection.host, self._connection.port)
        stream.request("GET", "/live", headers=self._headers)
        with suppress(OSError, http.client.HTTPException):
            for line in stream.getresponse():
                if line.startswith(b"event"):
                    began = time.monotonic()
                    self.get(path)
                    time.sleep(max(_SHORTEST_PAUSE, 4 * (time.monotonic() - began)))


@contextmanager
def dashboard(site: Site) -> Iterator[int]:
    """The port of a dashboard of the store, once it has counted what is in there."""
    port = free_port()
    command = [sys.executable, "-m", "taskmill", "dashboard", "--url", site.url, "--port", str(port)]
    environment = os.environ | {"TASKMILL_DASHBOARD_TOKEN": _TOKEN}
    with Popen(command, cwd=ROOT, env=environment, stdout=DEVNULL, stderr=DEVNULL) as process:
        try:
            _await_first_page(port)
            yield port
        finally:
            process.terminate()


def _await_first_page(port: int) -> None:
    give_up_at = time.monotonic() + _PATIENCE
    while True:
        try:
            Browser(port).get("/")
        except ConnectionRefusedError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.05)
        else:
            return


@contextmanager
def opened(site: Site, path: str) -> Iterator[None]:
    """A dashboard that somebody looks at."""
    with dashboard(site) as port:
        looker = threading.Thread(target=Browser(port).look_at, args=[path])
        looker.start()
        yield
    looker.join()
