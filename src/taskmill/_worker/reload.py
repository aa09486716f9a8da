"""Noticing that the files of the application have changed, for who writes them."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path

logger = logging.getLogger("taskmill.supervisor")

# Where nobody edits, and much may lie.
_ELSEWHERE = frozenset({"__pycache__", "node_modules", "site-packages", "venv", "env"})
_LOOK = 0.5
_MOST_TOLD = 3


def folders_of(module: str, path: Sequence[str]) -> list[Path]:
    """Where changes matter: the current folder, and that of the package of *module*, which is not imported."""
    here = Path.cwd()
    found = PathFinder.find_spec(module.partition(".")[0], [*path, str(here)])
    places = [*(found.submodule_search_locations or ())] if found is not None else []
    folders = [here, *(Path(place).resolve() for place in places if "site-packages" not in place)]
    return [folder for folder in folders if folder == here or not folder.is_relative_to(here)]


class Changes:
    """A descriptor that can be read when Python files below *folders* have changed; the names are read from it.

    watchfiles watches them, where it is installed; else they are looked at twice a second.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = [*folders]
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for end in (self._ours, self._theirs):
            end.settimeout(0)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="taskmill-reload", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """For whoever waits for several."""
        return self._ours.fileno()

    def read(self) -> str:
        """What has changed since, for people; empty if nothing has."""
        told: list[str] = []
        with suppress(BlockingIOError):
            while True:
                told.append(self._ours.recv(1 << 16).decode())
        return ", ".join(dict.fromkeys(told))

    def close(self) -> None:
        """Watch no more."""
        self._is_over.set()
        self._thread.join()
        for end in (self._ours, self._theirs):
            end.close()

    def _watch(self) -> None:
        for paths in self._changes():
            # One who is slow to read knows already that there are some.
            with suppress(BlockingIOError):
                self._theirs.send(_told(paths).encode(errors="backslashreplace"))

    def _changes(self) -> Iterator[set[str]]:
        try:
            from watchfiles import PythonFilter, watch  # noqa: PLC0415  (an extra)

            for changes in watch(
                *self._folders, watch_filter=PythonFilter(), stop_event=self._is_over, raise_interrupt=False
            ):
                yield {path for _, path in changes}
        except ModuleNotFoundError:
            yield from self._look()
        except OSError as error:
            # Such as too many files for the system to watch.
            logger.warning("%s; files are looked at twice a second instead", error)
            yield from self._look()

    def _look(self) -> Iterator[set[str]]:
        before = self._seen()
        while not self._is_over.wait(_LOOK):
            now = self._seen()
            if now != before:
                yield {path for path, _ in now ^ before}
            before = now

    def _seen(self) -> set[tuple[str, int]]:
        return {(path, _changed_at(path)) for folder in self._folders for path in _python_files(folder)}


def _python_files(folder: Path) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _ELSEWHERE and not name.startswith(".")]
        yield from (os.path.join(place, name) for name in files if name.endswith(".py"))  # noqa: PTH118  (thousands)


def _changed_at(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116  (as above)
    except OSError:
        return 0


def _told(paths: Iterable[str]) -> str:
    names = sorted({Path(path).name for path in paths})
    more = f" and {len(names) - _MOST_TOLD} more" if len(names) > _MOST_TOLD else ""
    return ", ".join(names[:_MOST_TOLD]) + more
