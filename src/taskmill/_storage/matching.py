"""What it means that a job holds a text, for stores whose jobs are looked through here."""

from __future__ import annotations

import json
from collections.abc import Iterable
from string import ascii_lowercase, ascii_uppercase

_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


def holds(text: str, *, as_it_is: Iterable[str | None], as_json: Iterable[str | None]) -> bool:
    """Whether *text* is found in one of these, A to Z being the same as a to z; in those of JSON, as JSON writes it."""
    plain, written = text.translate(_LOWER), json.dumps(text)[1:-1].translate(_LOWER)
    return any(place is not None and plain in place.translate(_LOWER) for place in as_it_is) or any(
        place is not None and written in place.translate(_LOWER) for place in as_json
    )
