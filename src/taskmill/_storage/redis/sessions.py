"""Sessions on Redis: a row and a lease by the server's clock; what runs in the slots is in a file of this host."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from taskmill._core.census import Life, Serves
from taskmill._core.event import Notice
from taskmill._storage.base import SessionStore, Slots
from taskmill._storage.process import boot_id, has_ended, host_name, process_identity
from taskmill._storage.redis.call import Caller
from taskmill._storage.rows import serves_text
from taskmill._storage.slots import FileSlots, running_in

logger = logging.getLogger("taskmill.storage")


class Session(NamedTuple):
    """The columns of a session, as shared/session.lua has them; `started_at` is set there."""

    word: str
    lease: int
    boot: str
    process: str
    parent: int | None
    started_at: str | None
    kind: str
    host: str
    pid: int
    file: str
    serves: str | None


class RedisSessions(SessionStore):
    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        # Of those that were opened here.
        self._own: dict[int, Session] = {}

    def open(self, *, kind: str, lease: int, parent: int | None = None, serves: Serves | None = None) -> int:
        word = os.urandom(6).hex()
        row = Session(
            word=word,
            lease=lease,
            boot=boot_id(),
            process=process_identity(),
            parent=parent,
            started_at=None,
            kind=kind,
            host=host_name(),
            pid=os.getpid(),
            file=str(_folder() / f"{os.getpid()}-{word}.slots"),
            serves=serves_text(serves),
        )
        session = int(self._caller.change("open", json.dumps(row)))
        self._own[session] = row
        return session

    def slots(self, session: int, count: int) -> Slots:
        file = Path(self._own[session].file)
        try:
            file.parent.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                return FileSlots(descriptor, count)
            finally:
                os.close(descriptor)
        except OSError as error:
            logger.warning(
                "%s cannot be written (%s): what runs is not noted, so none is suspected when a process crashes",
                file,
                error.strerror,
            )
            return _Unnoted()

    def renew(self, session: int) -> bool:
        is_renewed = bool(self._caller.look("renew", session, self.word(session)))
        if not is_renewed:
            self.let_go(session)
        return is_renewed

    def end(self, session: int) -> Sequence[Notice]:
        notices = self._caller.notices("end", session, self.word(session))
        self.let_go(session)
        return notices

    # --- what the other roles need

    def word(self, session: int) -> str:
        """What says that a session is meant, and not one of the same number in a server that was emptied."""
        own = self._own.get(session)
        return "" if own is None else own.word

    def running(self, session: int) -> Collection[tuple[int, int]]:
        """The claims that its slots name, by ref and fence; none where they are those of another host."""
        known = self.find(session)
        if known is None or known.boot != boot_id():
            return []
        try:
            return running_in(Path(known.file).read_bytes())
        except OSError:
            return []

    def find(self, session: int) -> Session | None:
        link = self._caller.link
        text = link.ask("HGET", link.key("sessions"), session)
        return None if text is None else Session(*json.loads(text))

    def let_go(self, session: int) -> None:
        """It has ended: its file goes too."""
        own = self._own.pop(session, None)
        if own is not None:
            with suppress(OSError):
                Path(own.file).unlink()

    def rescue(self) -> Sequence[Notice]:
        """What the contract calls `JobStore.rescue`."""
        here, notices = self._caller.answer("rescue", boot_id(), "[]")
        gone = [session for session, process in here if process != process_identity() and has_ended(process)]
        if gone:
            _, more = self._caller.answer("rescue", boot_id(), json.dumps(gone))
            notices += more
        return notices

    @staticmethod
    def life(session: Session, *, is_leased: bool) -> Life:
        is_here = session.boot == boot_id() and session.process != process_identity()
        if is_here and has_ended(session.process):
            return "gone"
        return "alive" if is_leased else "silent"


class _Unnoted(Slots):
    """Where there is no room for them."""

    def note(self, slot: int, ref: int, fence: int) -> None:
        pass

    def clear(self, slot: int) -> None:
        pass


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / f"taskmill-{os.getuid()}"
