"""SQL lives in .sql files beside the adapter that runs it; this reads them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files


class Queries:
    """The statements of one .sql file, as attributes by the name in their ``-- name:`` line."""

    def __init__(self, package: str, file: str) -> None:
        text = files(package).joinpath(file).read_text(encoding="utf-8")
        self._statements = dict(_split(part) for part in text.split("-- name: ")[1:])

    def __getattr__(self, name: str) -> str:
        try:
            return self._statements[name]
        except KeyError:
            raise AttributeError(name) from None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._statements.items())


def _split(part: str) -> tuple[str, str]:
    name, _, body = part.partition("\n")
    return name.strip(), body.strip().rstrip(";")
