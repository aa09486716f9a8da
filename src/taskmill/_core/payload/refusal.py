"""How a value that has no text is named in the error: by its path, shortened."""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from typing import Any, Final

from taskmill.errors import Unserializable

_LONGEST_PATH: Final = 12

Step = Callable[[int, Any], str]


class Refusal(Exception):
    """A value without text on its way up; each level that it passes adds where it was."""

    def __init__(self, value: object, hint: str) -> None:
        super().__init__(hint)
        self.value = value
        self.hint = hint
        self.steps: list[str] = []
        self.nodes = [value]

    def located(self, root: str) -> Unserializable:
        """The error for the caller; a container that was met inside itself is named instead of its depth."""
        steps, nodes = self.steps[::-1], self.nodes[::-1]
        above = len(steps) - len(nodes) + 1
        for index, node in enumerate(nodes):
            if any(node is outer for outer in nodes[:index]):
                return Unserializable(
                    _path(root, steps[: above + index]), shortened(node), "it contains itself"
                )
        return Unserializable(_path(root, steps), shortened(self.value), self.hint)


def _path(root: str, steps: list[str]) -> str:
    return root + "".join(steps if len(steps) <= _LONGEST_PATH else [*steps[:_LONGEST_PATH], "..."])


def shortened(value: object) -> str:
    shortener = reprlib.Repr()
    shortener.maxother = shortener.maxstring = 80
    try:
        return shortener.repr(value)
    except Exception:  # noqa: BLE001  (the repr of a user's class, or of a list with a huge int)
        return f"<{type(value).__qualname__}>"


# Steps of a path: from a container to what is at an index in it


def at_index(index: int, _: object) -> str:
    return f"[{index}]"


def at_element(_: int, __: object) -> str:
    return "{...}"


def at_key(_: int, __: object) -> str:
    return ".keys()"


def at_item(index: int, owner: dict[object, object]) -> str:
    return f"[{shortened([*owner][index])}]"


def at_attribute(index: int, owner: dict[object, object]) -> str:
    return f".{[*owner][index]}"
