"""A disk that fails on demand and remembers what was synced, below SQLite and above the real file system.

It is a VFS (sqlite.org/vfs.html) in the very library that Python uses, and SQLite's default as long as it is plugged
in: what opens a database knows nothing of it. Whatever it does not fail is carried out for real.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import itertools
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple

Operation = Literal["write", "truncate", "sync", "delete", "shm"]
_WRITES = ("write", "truncate", "sync", "delete", "shm")
# What SQLite's own VFS answers where the system answers EIO.
_CODES: dict[Operation, int] = {
    "write": sqlite3.SQLITE_IOERR_WRITE,
    "truncate": sqlite3.SQLITE_IOERR_TRUNCATE,
    "sync": sqlite3.SQLITE_IOERR_FSYNC,
    "delete": sqlite3.SQLITE_IOERR_DELETE,
    "shm": sqlite3.SQLITE_IOERR_SHMMAP,
}
_SECTOR = 512

_pointer, _int, _i64 = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
_OPEN = ctypes.CFUNCTYPE(_int, _pointer, _pointer, _pointer, _int, _pointer)
_DELETE = ctypes.CFUNCTYPE(_int, _pointer, ctypes.c_char_p, _int)
_WRITE = ctypes.CFUNCTYPE(_int, _pointer, _pointer, _int, _i64)
_TRUNCATE = ctypes.CFUNCTYPE(_int, _pointer, _i64)
_SYNC = ctypes.CFUNCTYPE(_int, _pointer, _int)
_SHM_MAP = ctypes.CFUNCTYPE(_int, _pointer, _int, _int, _int, _pointer)


class _Vfs(ctypes.Structure):
    _fields_ = (
        *(("version", _int), ("file_size", _int), ("longest_path", _int)),
        *((name, _pointer) for name in ("next", "name", "app_data", "open", "delete")),
        ("others", _pointer * 14),
    )


class _Methods(ctypes.Structure):
    _fields_ = (
        ("version", _int),
        *((name, _pointer) for name in ("close", "read", "write", "truncate", "sync")),
        ("locking_and_control", _pointer * 7),
        ("shm_map", _pointer),
        ("others", _pointer * 5),
    )


class _File(ctypes.Structure):
    _fields_ = (("methods", ctypes.POINTER(_Methods)),)


class Event(NamedTuple):
    """One thing that SQLite did to a file; *is_durable*: a deletion that was synced."""

    operation: Operation
    name: str
    place: int = 0
    content: bytes = b""
    is_durable: bool = False


class Disk:
    """What became of SQLite's files since it was plugged in, and what shall become of them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.calls = 0
        self.failed = 0
        self._fault: Callable[[int, Operation], int] = lambda _call, _operation: 0

    def fail(self, first: int, last: float = float("inf"), code: int = 0) -> None:
        """Let the calls from the *first* to the *last* one fail, counted from now; with an I/O error unless *code*."""
        start = self.calls
        self._fault = lambda call, operation: (
            (code or _CODES[operation]) if first <= call - start <= last else 0
        )

    def heal(self) -> None:
        self._fault = lambda _call, _operation: 0

    def passes(self, event: Event) -> int:
        """Note *event*, unless it fails; the code that SQLite is answered, 0 if it may go on."""
        self.calls += 1
        code = self._fault(self.calls, event.operation)
        if code:
            self.failed += 1
        else:
            self.events.append(event)
        return code


@contextmanager
def plugged_in() -> Iterator[Disk]:
    """All databases that are opened within it go through the disk."""
    disk = Disk()
    shim = _Shim(disk)
    # Connections can outlive the block, so the shim has to, too.
    _shims.append(shim)
    shim.plug_in()
    try:
        yield disk
    finally:
        disk.heal()
        shim.unplug()


_shims: list[_Shim] = []
_library = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
_library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)


class _Shim:
    """The system's VFS with another xOpen, which puts other methods into the files that it has opened."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._system = _library.sqlite3_vfs_find(b"unix")
        self._names: dict[int, str] = {}
        self._methods: dict[int, _Methods] = {}
        self._kept: list[Any] = [ctypes.create_string_buffer(b"faulty")]
        self._vfs = _Vfs.from_buffer_copy(self._system.contents)
        self._vfs.next = None
        self._vfs.name = ctypes.addressof(self._kept[0])
        self._vfs.open = self._callback(_OPEN, self._open)
        self._vfs.delete = self._callback(_DELETE, self._delete)
        self._real_open = _OPEN(self._system.contents.open)
        self._real_delete = _DELETE(self._system.contents.delete)

    def plug_in(self) -> None:
        assert _library.sqlite3_vfs_register(ctypes.byref(self._vfs), 1) == 0

    def unplug(self) -> None:
        _library.sqlite3_vfs_unregister(ctypes.byref(self._vfs))
        assert _library.sqlite3_vfs_register(self._system, 1) == 0

    def _callback(self, kind: Any, function: Callable[..., int]) -> int | None:
        callback = kind(function)
        self._kept.append(callback)
        return ctypes.cast(callback, _pointer).value

    def _open(self, _vfs: int, name: int | None, file: int, flags: int, out_flags: int | None) -> int:
        code = self._real_open(ctypes.addressof(self._system.contents), name, file, flags, out_flags)
        opened = _File.from_address(file)
        if code == 0 and opened.methods:
            self._names[file] = "" if name is None else os.fsdecode(ctypes.string_at(name))
            opened.methods = ctypes.pointer(self._replaced(opened.methods.contents))
        return int(code)

    def _delete(self, _vfs: int, name: bytes, is_durable: int) -> int:
        event = Event("delete", os.fsdecode(name), is_durable=bool(is_durable))
        return self._disk.passes(event) or int(
            self._real_delete(ctypes.addressof(self._system.contents), name, is_durable)
        )

    def _replaced(self, real: _Methods) -> _Methods:
        """The methods of a file, with ours in front of those that write."""
        known = self._methods.get(ctypes.addressof(real))
        if known is not None:
            return known
        methods = _Methods.from_buffer_copy(real)
        write, truncate, sync = _WRITE(real.write), _TRUNCATE(real.truncate), _SYNC(real.sync)

        def on_write(file: int, content: int, size: int, place: int) -> int:
            event = Event("write", self._names[file], place, ctypes.string_at(content, size))
            return self._disk.passes(event) or int(write(file, content, size, place))

        def on_truncate(file: int, size: int) -> int:
            return self._disk.passes(Event("truncate", self._names[file], size)) or int(truncate(file, size))

        def on_sync(file: int, flags: int) -> int:
            return self._disk.passes(Event("sync", self._names[file])) or int(sync(file, flags))

        methods.write = self._callback(_WRITE, on_write)
        methods.truncate = self._callback(_TRUNCATE, on_truncate)
        methods.sync = self._callback(_SYNC, on_sync)
        if real.version > 1 and real.shm_map:
            shm_map = _SHM_MAP(real.shm_map)

            def on_shm_map(file: int, region: int, size: int, extend: int, memory: int) -> int:
                code = self._disk.passes(Event("shm", self._names[file])) if extend else 0
                return code or int(shm_map(file, region, size, extend, memory))

            methods.shm_map = self._callback(_SHM_MAP, on_shm_map)
        self._methods[ctypes.addressof(real)] = methods
        return methods


# --- what a power cut leaves


def leave(events: list[Event], chance: Random, folder: Path) -> None:
    """Make in *folder* the files as a power cut after *events* can leave them.

    What was synced is there. Of the rest each write may be there, or not, or its first sectors; a file that was
    deleted may be back, unless that was synced, and one that was never synced may be missing.
    """
    for name, files in _files(events).items():
        remaining = [
            file
            for file in files
            if not file.is_gone or (not file.is_gone_for_good and chance.random() < 0.5)
        ]
        if remaining and (remaining[-1].is_synced or chance.random() < 0.5):
            (folder / Path(name).name).write_bytes(remaining[-1].after_power_cut(chance))


class _Contents:
    """One file from its creation to its deletion."""

    def __init__(self) -> None:
        self.is_synced = self.is_gone = self.is_gone_for_good = False
        self._synced = bytearray()
        self._since: list[Event] = []

    def apply(self, event: Event) -> None:
        match event.operation:
            case "sync":
                for earlier in self._since:
                    _carry_out(earlier, self._synced)
                self._since.clear()
                self.is_synced = True
            case "delete":
                self.is_gone, self.is_gone_for_good = True, event.is_durable
            case _:
                self._since.append(event)

    def after_power_cut(self, chance: Random) -> bytes:
        content = bytearray(self._synced)
        for event in self._since:
            sectors = chance.randrange(len(event.content) // _SECTOR + 1) * _SECTOR
            fate = chance.choice(["done", "lost", "torn"])
            if fate == "done":
                _carry_out(event, content)
            elif fate == "torn" and event.operation == "write":
                _carry_out(event._replace(content=event.content[:sectors]), content)
        return bytes(content)


def _files(events: list[Event]) -> dict[str, list[_Contents]]:
    files: dict[str, list[_Contents]] = {}
    for event in events:
        if event.operation == "shm" or not event.name:
            continue
        incarnations = files.setdefault(event.name, [_Contents()])
        if incarnations[-1].is_gone:
            incarnations.append(_Contents())
        file = incarnations[-1]
        if event.operation == "sync" and not file.is_synced and not event.name.endswith(".db"):
            # With a new log or journal SQLite syncs the folder, with all that was made and deleted in it before.
            for earlier in itertools.chain.from_iterable(files.values()):
                earlier.is_gone_for_good |= earlier.is_gone
        file.apply(event)
    return files


def _carry_out(event: Event, content: bytearray) -> None:
    if event.operation == "truncate":
        del content[event.place :]
        return
    end = event.place + len(event.content)
    if event.content and len(content) < end:
        content.extend(bytes(end - len(content)))
    content[event.place : end] = event.content
