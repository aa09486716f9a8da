"""Servers that a run needs, each in a temporary folder and gone afterwards."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from tests import servers
from tests.servers import NoServerError, free_port, temporary_folder

PATIENCE = 20.0
Server = Callable[[], AbstractContextManager[str]]


def start(variable: str, server: Server, stack: ExitStack) -> None:
    """Put the URL of a server into the environment, if it can be had; what needs it is left out otherwise."""
    try:
        os.environ[variable] = stack.enter_context(server())
    except NoServerError as error:
        print(f"bench: without {variable}: {error}", file=sys.stderr)


@contextmanager
def redis() -> Iterator[str]:
    """The URL of a Redis: that of TEST_REDIS_URL, else of a server started here, which writes nothing to disk."""
    if url := os.environ.get("TEST_REDIS_URL"):
        yield url
        return
    program = shutil.which("valkey-server") or shutil.which("redis-server")
    if program is None:
        raise NoServerError("no redis-server or valkey-server is installed")
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with temporary_folder() as folder, _running(command, port, folder):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def postgres() -> Iterator[str]:
    """The URL, without a database, of a PostgreSQL: TEST_PG_URL, else one with its own defaults, which is durable."""
    if url := os.environ.get("TEST_PG_URL"):
        yield url
        return
    with servers.postgres() as server:
        yield server.url


@contextmanager
def _running(command: list[str], port: int, folder: Path) -> Iterator[None]:
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await_port(server, port)
        yield
    finally:
        server.terminate()
        server.wait()


def _await_port(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise NoServerError("a server did not start; its own command in a shell would say why")
