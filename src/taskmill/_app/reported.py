"""Of which attempts an error was told to a service already, so that the log does not tell it there once more."""

from __future__ import annotations

from collections import deque

from taskmill._core.job import Claimed

_REMEMBERED = 1_000


class Reported:
    """The latest ones, of this process and of those in which its jobs run."""

    def __init__(self) -> None:
        self._claims: deque[tuple[str, int]] = deque(maxlen=_REMEMBERED)

    def note(self, claimed: Claimed) -> None:
        """It was told."""
        self._claims.append((claimed.job_id, claimed.fence))

    def __contains__(self, claimed: Claimed) -> bool:
        return (claimed.job_id, claimed.fence) in self._claims
