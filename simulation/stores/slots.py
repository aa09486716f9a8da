"""What runs in the slots of a process, where the store keeps it in files of the host."""

from __future__ import annotations

from simulation.stores.gate import Gate
from taskmill._storage.base import Slots
from taskmill._storage.slot_files import SlotFiles


class MortalSlots(Slots):
    """A dead process writes nothing more."""

    def __init__(self, gate: Gate, slots: Slots) -> None:
        self._gate = gate
        self._slots = slots

    def note(self, slot: int, ref: int, fence: int) -> None:
        self._gate.require_life()
        self._slots.note(slot, ref, fence)

    def clear(self, slot: int) -> None:
        self._gate.require_life()
        self._slots.clear(slot)


class MortalSlotFiles(SlotFiles):
    """The real files; so far as the process lives."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self._gate = gate

    def open(self, session: int, count: int) -> Slots:
        return MortalSlots(self._gate, super().open(session, count))

    def remove(self, session: int, name: str) -> None:
        self._gate.require_life()
        super().remove(session, name)
