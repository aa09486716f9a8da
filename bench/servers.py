"""Servers that a run needs, each in a temporary folder and gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

PATIENCE = 20.0
Server = Callable[[], AbstractContextManager[str]]


class NoServerError(Exception):
    """It is not installed, or does not start; the message says so."""


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
    port = _free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with _folder() as folder, _running(command, port, folder):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def postgres() -> Iterator[str]:
    """The URL, without a database, of a PostgreSQL with its own defaults: it is durable."""
    programs = _postgres_programs()
    port = _free_port()
    with _folder() as folder:
        data, prefix = f"{folder}/data", _as_other_user(folder)
        initdb = [*prefix, str(programs / "initdb"), "-D", data, "-U", "bench", "--auth=trust"]
        made = subprocess.run(initdb, cwd=folder, capture_output=True, text=True, check=False)
        if made.returncode:
            raise NoServerError(f"initdb failed: {made.stderr.strip().splitlines()[-1]}")
        options = ["-p", str(port), "-k", folder, "-h", "127.0.0.1"]
        with _running([*prefix, str(programs / "postgres"), "-D", data, *options], port, folder):
            yield f"postgresql://bench@127.0.0.1:{port}"


def _postgres_programs() -> Path:
    """Debian keeps them from the PATH."""
    found = shutil.which("initdb") or max(
        map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), default=""
    )
    if not found:
        raise NoServerError("no PostgreSQL server is installed")
    return Path(found).parent


def _as_other_user(folder: str) -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid():
        return []
    names = {user.pw_name for user in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="taskmill-bench-", ignore_cleanup_errors=True)


@contextmanager
def _running(command: list[str], port: int, folder: str) -> Iterator[None]:
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await_port(server, port)
        yield
    finally:
        # To PostgreSQL, SIGTERM says: when the clients are gone.
        server.send_signal(signal.SIGINT)
        server.wait()


def _await_port(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise NoServerError("a server did not start; its own command in a shell would say why")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
