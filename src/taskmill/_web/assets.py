"""What browsers load beside the pages, read once into memory: no path of a request touches the file system."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import NamedTuple

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "txt": "text/plain"}


class Asset(NamedTuple):
    """A file; *mark* is another one where its content is."""

    content: bytes
    media_type: str
    mark: str


@cache
def assets() -> dict[str, Asset]:
    """All there are, by name."""
    folder = files("taskmill._web") / "assets"
    return {
        entry.name: _asset(entry.name, entry.read_bytes()) for entry in folder.iterdir() if entry.is_file()
    }


def _asset(name: str, content: bytes) -> Asset:
    media_type = _TYPES[name.rpartition(".")[2]]
    return Asset(content, f"{media_type}; charset=utf-8", hashlib.sha256(content).hexdigest()[:10])
