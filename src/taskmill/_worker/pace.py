"""How far ahead to claim: enough that threads never wait for the store, at most about 40 ms of work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from taskmill._core.job import Claimed

AHEAD = 0.04
MOST = 1000
_WEIGHT = 0.2


class Pace:
    """What is known of the tasks' speed.

    Jobs of a task that was never seen, or is slow, are not taken ahead of free slots: another worker may have
    one. Since a claim cannot choose by task, what was taken too many goes back, and the limit starts again from
    nothing.
    """

    def __init__(self, slots: int, *, in_halves: bool = False) -> None:
        """*in_halves*: what is claimed ahead comes in two parts: one is run while the store works on the other."""
        self._slots = slots
        self._in_halves = in_halves
        self._seconds: dict[str, float] = {}
        self._limit = 0

    def note(self, task: str, *seconds: float) -> None:
        """Attempts of *task* took so long."""
        mean = sum(seconds) / len(seconds)
        known = self._seconds.get(task, mean)
        self._seconds[task] = mean + (known - mean) * (1 - _WEIGHT) ** len(seconds)

    def want(self, load: int) -> int:
        """How many jobs to ask for while *load* are under way."""
        most = self._slots + (self._limit // 2 if self._in_halves else self._limit)
        return max(0, min(self._slots + self._limit - load, most))

    def is_half_gone(self, load: int) -> bool:
        """Whether there is room for one of the halves, while the other one is run."""
        return self._in_halves and self._limit > 0 and load <= self._slots + self._limit // 2

    def divide(self, claimed: Sequence[Claimed], load: int) -> tuple[list[Claimed], list[Claimed]]:
        """Which of the *claimed* to keep and which to give back."""
        free = max(0, self._slots - load)
        kept, budget = list(claimed[:free]), AHEAD * self._slots
        for position, job in enumerate(claimed[free:], start=free):
            budget -= self._seconds.get(job.task, AHEAD * self._slots + 1)
            if budget < 0:
                self.narrow()
                return kept, list(claimed[position:])
            kept.append(job)
        return kept, []

    def widen(self, tasks: Iterable[str]) -> None:
        """Jobs of *tasks*, all of them noted, ended: more may be asked for next time, if they were quick."""
        slowest = max((self._seconds[task] for task in tasks), default=AHEAD)
        allowed = int(AHEAD * self._slots / max(slowest, 1e-6))
        self._limit = min(MOST, allowed, 2 * self._limit + self._slots)

    def narrow(self) -> None:
        """What was asked for ahead was too much: begin again with the free slots."""
        self._limit = 0
