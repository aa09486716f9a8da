"""Files that say what a session runs: in a folder of this host, since a database far away is too slow for that."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from taskmill._storage.base import Slots
from taskmill._storage.slots import FileSlots, running_in
from taskmill.errors import StoreUnavailable

# What a row names is opened and removed.
_NAME = re.compile(r"[0-9]+-[0-9a-f]+")


class SlotFiles:
    """Of the sessions of this user on this host; one that no process was able to remove is a few bytes."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.gettempdir()) / f"taskmill-slots-{os.getuid()}"
        self._names: dict[int, str] = {}

    def new_name(self) -> str:
        """A name that no other file ever has."""
        return f"{os.getpid()}-{os.urandom(6).hex()}"

    def begin(self, session: int, name: str) -> None:
        """*session* was given that name."""
        self._names[session] = name

    def name(self, session: int) -> str:
        """The name that *session* was given here; "" if it is none of this process."""
        return self._names.get(session, "")

    def open(self, session: int, count: int) -> Slots:
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(self._folder / self._names[session], flags, 0o600)
            try:
                return FileSlots(descriptor, count)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StoreUnavailable(
                f"no file can be made in {self._folder} for what runs: {error.strerror}; make room, or set TMPDIR"
            ) from error

    def running(self, name: str) -> Collection[tuple[int, int]]:
        if not _NAME.fullmatch(name):
            return []
        try:
            return running_in((self._folder / name).read_bytes())
        except OSError:
            return []

    def remove(self, session: int, name: str) -> None:
        if self.name(session) == name:
            del self._names[session]
        if _NAME.fullmatch(name):
            with suppress(OSError):
                (self._folder / name).unlink()
