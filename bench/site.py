"""Where one measurement takes place."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

Numbers = dict[str, float]


def store_url(folder: Path, subject: str) -> str:
    """That of a store of its own, durable as it is by default; on servers the folder's name keeps them apart."""
    match subject:
        case "taskmill-postgres":
            from bench.databases import database

            return database(folder)
        case "taskmill-redis":
            return f"{os.environ['BENCH_REDIS_URL']}?name={folder.name}"
        case _:
            return f"sqlite:///{folder}/taskmill.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The subject, an empty folder, and which part of the full size is wanted."""

    subject: str
    folder: Path
    scale: float = 1.0

    def count(self, full: int, least: int = 1) -> int:
        return max(least, round(full * self.scale))

    def seconds(self, full: float) -> float:
        return full * self.scale

    def part(self, name: str) -> Site:
        """The same with a folder of its own."""
        folder = self.folder / name
        folder.mkdir()
        return replace(self, folder=folder)

    @property
    def log(self) -> Path:
        """What its worker processes complain of."""
        return self.folder / "worker.log"

    @property
    def url(self) -> str:
        """That of taskmill's store."""
        return store_url(self.folder, self.subject)
