"""Colours, where a person looks on and does not mind."""

from __future__ import annotations


class Paint:
    """Paints text if it *is_on*."""

    def __init__(self, *, is_on: bool) -> None:
        self._is_on = is_on

    def bold(self, text: str) -> str:
        return self._paint("1", text)

    def dim(self, text: str) -> str:
        return self._paint("2", text)

    def green(self, text: str) -> str:
        return self._paint("32", text)

    def red(self, text: str) -> str:
        return self._paint("1;31", text)

    def _paint(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._is_on else text
