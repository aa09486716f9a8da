"""Texts that are nearly right: what a parser gets wrong lies beside what it takes, and hardly among random letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import strategies as st

T = TypeVar("T", str, bytes)

SCRAPS = (
    "",
    "0",
    "-1",
    "9" * 400,
    "1e999",
    "\x00",
    "\n",
    "\ud800",
    "٣",
    "²",
    "%",
    "'",
    '"',
    "{",
    "[",
    ",",
    " ",
)
"""What parsers stumble over."""


def damaged(texts: st.SearchStrategy[str], scraps: Sequence[str] = SCRAPS) -> st.SearchStrategy[str]:
    """Such a text, and the same with up to four parts left out, doubled, moved or replaced."""
    return _damaged(texts, st.sampled_from([*scraps, *SCRAPS]))


def damaged_bytes(texts: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """The same for bytes."""
    scraps = [scrap.encode("utf-8", "surrogatepass") for scrap in SCRAPS]
    return _damaged(texts, st.sampled_from([*scraps, b"\xff", b"\r", b"\xc3"]) | st.binary(max_size=20))


@st.composite
def _damaged(draw: st.DrawFn, texts: st.SearchStrategy[T], scraps: st.SearchStrategy[T]) -> T:
    text = draw(texts)
    for _ in range(draw(st.integers(0, 4))):
        first, last = sorted(draw(st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))))
        before, part, after = text[:first], text[first:last], text[last:]
        text = draw(
            st.sampled_from(
                [before + after, before + part + part + after, after + part + before, before + part]
            )
            | scraps.map(lambda scrap, before=before, after=after: before + scrap + after)
        )
    return text
