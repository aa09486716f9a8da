"""Redis: the real server and adapter, and between them connections that can break at each call.

All that taskmill opens lead over one real connection, and one more listens to all channels that anybody listens to:
what was published is there when the reply is, so that it comes in the same order whenever a seed is run.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import redis
from redis import exceptions

from simulation.rows import JobRow, LockRow, Picture, ScheduleRow, SessionRow
from simulation.stores.base import Machine, Put
from simulation.stores.gate import Gate, NotedJobs
from simulation.stores.slots import MortalSlotFiles
from simulation.world import World
from taskmill._core.instant import SECOND
from taskmill._storage import slot_files
from taskmill._storage.redis import doorbell, link, opening, scripts, sessions, storage
from taskmill._storage.redis.call import Caller
from taskmill._storage.redis.jobs import RedisJobs
from taskmill._storage.redis.scripts import Script

# Seconds that the adapter goes on trying: shorter than a lease, and often shorter than what keeps it from the server.
_TIMEOUT = 1
_NAME = "simulated"
_BASE = f"{{{_NAME}}}:"

# What a script is given in the place of the clock: the server reads its own when it carries out the call.
_CLOCK = "the server's clock"
# Seconds after which who listens is told that there was nothing.
_QUIET = 5.0

_STATES = ("blocked", "queued", "running", "succeeded", "failed", "cancelled")
_ROW = struct.Struct(">8Bh6I2Q8q")
_COLUMNS = (
    *(
        "state",
        "is_parked",
        "is_suspect",
        "is_handed_on",
        "is_cancelling",
        "is_locked",
        "is_piped",
        "is_keyed",
    ),
    *("priority", "attempt", "max_attempts", "fence", "rescues", "crashes", "step", "session", "claim"),
    *("enqueued_at", "run_at", "claimed_at", "started_at", "ended_at", "expires_at", "delay", "result_ttl"),
)
_FAILED_ARE_KEPT = 30 * 86_400 * SECOND


class RedisStore:
    """A mill that is emptied; *way* is the one real connection to it, *ear* the one that listens."""

    def __init__(self, url: str, folder: Path) -> None:
        parts = urlsplit(url)
        self.url = f"{url}?name={_NAME}&timeout={_TIMEOUT}"
        self.way, self.ear = (
            redis.Connection(host=parts.hostname, port=parts.port, protocol=2) for _ in range(2)
        )
        self._eye = redis.Redis(host=parts.hostname or "", port=parts.port or 0)
        self._folder = folder
        self._changes = -1

    def empty(self) -> None:
        """Delete what is there, and let the server know no script."""
        if found := self._eye.keys(f"{_BASE}*"):
            self._eye.delete(*found)
        self._eye.script_flush()

    def close(self) -> None:
        for each in (self.way, self.ear):
            each.disconnect()
        self._eye.close()

    def has_changed(self) -> bool:
        before = self._changes
        self._changes = self._eye.info("persistence")["rdb_changes_since_last_save"]
        return self._changes != before

    def picture(self) -> Picture:
        names = ("row", "call", "outcome", "sessions", "locks", "schedules")
        with self._eye.pipeline(transaction=False) as asked:
            for name in names:
                asked.hgetall(_BASE + name)
            asked.zrange(f"{_BASE}leases", 0, -1, withscores=True)
            rows, calls, outcomes, known, locks, schedules, leases = asked.execute()
        until = {int(session): int(instant) for session, instant in leases}
        jobs = [_job(ref, rows[ref], calls[ref], outcomes.get(ref)) for ref in sorted(rows)]
        return Picture(
            {job.job_id: job for job in jobs},
            {
                int(session): _session(int(session), json.loads(text), until[int(session)])
                for session, text in sorted(known.items())
            },
            {name.decode(): _lock(name.decode(), json.loads(text)) for name, text in sorted(locks.items())},
            {
                name.decode(): _schedule(name.decode(), json.loads(text))
                for name, text in sorted(schedules.items())
            },
        )

    def replace(self, world: World, machine: Machine, put: Put) -> None:
        server = SimulatedServer(world, self.way, self.ear)
        chance = world.host.chance
        put(link, redis=SimpleNamespace(Connection=lambda **_: server.connection()))
        put(link, pack_command=lambda command: command, script=_without_chance)
        put(link, time=machine.time, random=chance)
        put(opening, threading=machine.threading)
        put(doorbell, threading=machine.threading, time=machine.time)
        put(doorbell, os=SimpleNamespace(getpid=machine.os.getpid, urandom=chance.randbytes))
        put(sessions, os=SimpleNamespace(getpid=machine.os.getpid, urandom=chance.randbytes))
        put(sessions, process_identity=machine.process_identity, has_ended=machine.has_ended)
        put(sessions, SlotFiles=lambda: MortalSlotFiles(Gate(world, exceptions.ConnectionError)))
        put(slot_files, tempfile=SimpleNamespace(gettempdir=lambda: str(self._folder)))
        put(storage, Caller=SimulatedCaller)
        put(storage, RedisJobs=lambda *parts: NotedJobs(world, RedisJobs(*parts)))


@contextmanager
def redis_store(url: str) -> Iterator[RedisStore]:
    """The one in that server, emptied."""
    with (
        TemporaryDirectory(prefix="taskmill-") as folder,
        closing(RedisStore(url, Path(folder))) as store,
    ):
        store.empty()
        yield store


# --- what the witness reads


def _job(ref: bytes, packed: bytes, called: bytes, outcome: bytes | None) -> JobRow:
    row = dict(zip(_COLUMNS, _ROW.unpack_from(packed), strict=True))
    job_id, _, _, _, pipeline, task, queue, executor, lock, _ = json.loads(called)
    state, result_ttl = _STATES[row["state"]], row["result_ttl"]
    told = None if outcome is None else outcome.decode()
    # What a job said of an earlier end is not looked at.
    result = told if state == "succeeded" else None
    error = told if state in {"failed", "cancelled"} else None
    return JobRow(
        job_id=job_id,
        id=int(ref),
        state=state,
        queue=queue,
        executor="alone" if row["is_suspect"] else "elsewhere" if row["is_handed_on"] else executor,
        priority=row["priority"],
        run_at=row["run_at"],
        attempt=row["attempt"],
        max_attempts=row["max_attempts"],
        fence=row["fence"],
        session=row["session"] or None,
        claim=row["claim"] or None,
        crashes=row["crashes"],
        task=task,
        ended_at=row["ended_at"] or None,
        kept_for=max(result_ttl, _FAILED_ARE_KEPT) if state == "failed" else result_ttl,
        expires_at=row["expires_at"] or None,
        result_ttl=result_ttl,
        lock=lock,
        waits_for=lock if row["is_parked"] else None,
        pipeline=pipeline,
        step=row["step"],
        result=result,
        error=error,
        reason=json.loads(error)[0] if error else None,
    )


def _session(session: int, row: list[Any], until: int) -> SessionRow:
    _, lease, _, _, parent, _, _, _, _, slots, *_ = row
    return SessionRow(session, parent, slots, lease, until)


def _lock(name: str, row: list[Any]) -> LockRow:
    token, session, _, ref, *_ = row
    return LockRow(token, name, session, int(ref) if ref else None)


def _schedule(name: str, row: list[Any]) -> ScheduleRow:
    _, _, _, last_slot, fired, skipped, *_ = row
    return ScheduleRow(name, int(last_slot), int(fired), int(skipped))


# --- what the adapter is given


class SimulatedCaller(Caller):
    """The real one, by the server's clock: what is read here would be another instant than that of the call."""

    def _now(self) -> str:
        return _CLOCK


def _without_chance(name: str) -> Script:
    """The script of that name; what the server would choose by its own chance, which has no seed, is the first."""
    text = scripts.script(name).text.replace(
        "call('SPOP', BASE .. 'resting:all')",
        "first(BASE .. 'resting:all')",
    )
    heading, _, body = text.partition("\n")
    text = f"{heading}\n{_FIRST}\n{body}"
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


_FIRST = """
local function first(set)
  local all = redis.call('SMEMBERS', set)
  table.sort(all)
  if all[1] then
    redis.call('SREM', set, all[1])
  end
  return all[1]
end
"""


class SimulatedServer:
    """Where all connections lead, and who listens there."""

    def __init__(self, world: World, way: redis.Connection, ear: redis.Connection) -> None:
        self.world = world
        self._way = way
        self._ear = ear
        self._listeners: dict[str, list[SimulatedConnection]] = {}

    def connection(self) -> SimulatedConnection:
        return SimulatedConnection(self, Gate(self.world, exceptions.ConnectionError))

    def carry_out(self, command: tuple[Any, ...]) -> Any:
        """Give *command*, and let all who listen have what it tells them."""
        host = self.world.host
        now = f"{host.wall()} {host.monotonic()}"
        self._way.send_command(*(now if part == _CLOCK else part for part in command))
        try:
            return self._way.read_response()
        finally:
            self._deal_out()

    def _deal_out(self) -> None:
        if not self._listeners:
            return
        self._ear.send_command("PING")
        while (told := self._ear.read_response())[0] != b"pong":
            for listener in self._listeners.get(told[1].decode(), ()):
                listener.heard.append(told)

    def listen(self, connection: SimulatedConnection, channel: str) -> None:
        """Let *connection* have what comes on *channel*."""
        if channel not in self._listeners:
            self._tell_ear("SUBSCRIBE", channel)
        self._listeners.setdefault(channel, []).append(connection)

    def unlisten(self, connection: SimulatedConnection, channel: str) -> None:
        """No more."""
        self._listeners[channel].remove(connection)
        if not self._listeners[channel]:
            self._tell_ear("UNSUBSCRIBE", channel)
            del self._listeners[channel]

    def _tell_ear(self, *command: str) -> None:
        self._ear.send_command(*command)
        self._ear.read_response()


class SimulatedConnection:
    """What the adapter takes for a connection; one that broke is closed."""

    def __init__(self, server: SimulatedServer, gate: Gate) -> None:
        self.heard: list[list[Any]] = []
        self._server = server
        self._gate = gate
        self._is_open = False
        self._sent: list[tuple[Any, ...]] = []
        self._channels: list[str] = []

    def connect(self) -> None:
        """See redis-py."""
        self._gate.enter()
        self._is_open = True
        self._gate.process.open.add(self)

    def send_packed_command(self, commands: list[Any]) -> None:
        """See redis-py; not packed yet, since the clock is still to be read."""
        for command in commands:
            self.send_command(*command)

    def send_command(self, *command: Any) -> None:
        """See redis-py."""
        self._require_open()
        match command:
            case "SUBSCRIBE", channel:
                self._server.listen(self, channel)
                self._channels.append(channel)
                self.heard.append([b"subscribe", channel.encode(), len(self._channels)])
            case "UNSUBSCRIBE", channel:
                self._forget(channel)
                self.heard.append([b"unsubscribe", channel.encode(), len(self._channels)])
            case ("PING",):
                self.heard.append([b"pong", b""])
            case _:
                self._sent.append(command)

    def read_response(self, *, disconnect_on_error: bool = True) -> Any:
        """See redis-py."""
        try:
            self._require_open()
            return self._reply() if self._sent else self._message()
        except (exceptions.ConnectionError, exceptions.TimeoutError):
            if disconnect_on_error:
                self.close()
            raise

    def _reply(self) -> Any:
        command = self._sent.pop(0)
        return self._gate.commit(lambda: self._server.carry_out(command))

    def _message(self) -> list[Any]:
        self._server.world.host.scheduler.wait(lambda: bool(self.heard) or not self._is_open, _QUIET)
        self._gate.require_way()
        self._require_open()
        if not self.heard:
            raise exceptions.TimeoutError("nothing came")
        return self.heard.pop(0)

    def can_read(self, timeout: float) -> bool:
        """See redis-py: one that broke was closed at once."""
        assert timeout == 0
        self._require_open()
        return False

    def disconnect(self) -> None:
        """See redis-py."""
        self.close()

    def close(self) -> None:
        """Once it is closed, nothing leads to it or away from it."""
        self._is_open = False
        self._gate.process.open.discard(self)
        for channel in tuple(self._channels):
            self._forget(channel)

    def _forget(self, channel: str) -> None:
        if channel in self._channels:
            self._channels.remove(channel)
            self._server.unlisten(self, channel)

    def _require_open(self) -> None:
        if not self._is_open:
            raise exceptions.ConnectionError("the connection is closed")
