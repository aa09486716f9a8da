"""What tasks and producers wrote down, beside the store: whether anything got lost does not depend on it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path


class Ledger:
    """Reads on as the file grows."""

    def __init__(self, file: Path) -> None:
        self.acked: set[str] = set()
        self.did: set[str] = set()
        self.ticked: set[str] = set()
        self.unwanted: set[str] = set()
        self.ended: Counter[str] = Counter()
        self._file = file.open("rb")

    def read_on(self) -> None:
        while line := self._file.readline():
            if not line.endswith(b"\n"):
                self._file.seek(-len(line), 1)
                return
            what, job_id = line.decode().split()
            if what == "ended":
                self.ended[job_id] += 1
            else:
                getattr(self, what).add(job_id)

    def close(self) -> None:
        self._file.close()

    def lost(self) -> set[str]:
        """Jobs whose enqueue returned, which never came to their end, and which nobody wanted to cancel."""
        return self.acked - self.did - self.unwanted

    def ended_twice(self) -> set[str]:
        return {job_id for job_id, times in self.ended.items() if times > 1}
