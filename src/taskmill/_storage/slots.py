"""The slots of a session, written into mapped memory, which the kernel keeps when the process is killed."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Sequence

from taskmill._storage.base import Slots

# Slot by slot: ref and fence of the claim that runs there; 0 where nothing does.
_SLOT = struct.Struct("<qq")


def running_in(slots: bytes) -> Sequence[tuple[int, int]]:
    """The claims that *slots* name, by ref and fence."""
    whole = slots[: len(slots) // _SLOT.size * _SLOT.size]
    return [(ref, fence) for ref, fence in _SLOT.iter_unpack(whole) if ref]


class FileSlots(Slots):
    """In a file of its own, or behind *offset* bytes of another."""

    def __init__(self, descriptor: int, count: int, *, offset: int = 0) -> None:
        self._offset = offset
        self._size = offset + count * _SLOT.size
        self._memory = self._map(descriptor)

    def _map(self, descriptor: int) -> mmap.mmap:
        # Touching a page for which the disk has no room would kill the process.
        os.posix_fallocate(descriptor, 0, self._size)
        return mmap.mmap(descriptor, self._size)

    def move(self, descriptor: int) -> None:
        """Go on in another file."""
        fresh = self._map(descriptor)
        fresh[self._offset :] = self._memory[self._offset :]
        self._memory = fresh

    def note(self, slot: int, ref: int, fence: int) -> None:
        _SLOT.pack_into(self._memory, self._offset + slot * _SLOT.size, ref, fence)

    def clear(self, slot: int) -> None:
        _SLOT.pack_into(self._memory, self._offset + slot * _SLOT.size, 0, 0)
