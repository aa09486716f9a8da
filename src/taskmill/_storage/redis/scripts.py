"""Lua lives in .lua files beside the adapter; this reads them.

The first comment of an operation says which parts it shares with others (``-- needs:``), and what the server may do
with it (``-- flags:``): ``no-writes``, or ``allow-oom`` for all that makes no new jobs, so that work goes on in a full
server. A script is refused as a whole where it is not allowed: it never stops in the middle for want of memory.

Constants, which have names in capitals, are put in where they are used. Each would be a variable that every function
which names it has to find among all others, at each call of the script: for half a hundred of them, as much as for all
that a small turn asks of the server.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple

_CONSTANTS = re.compile(
    r"^local ([A-Z_]+(?:, [A-Z_]+)*) = ((?:\d+|'[^',]*')(?:, (?:\d+|'[^',]*'))*)$", re.MULTILINE
)
_NAME = re.compile(r"\b[A-Z_]+\b")
_DIRECTIVE = re.compile(r"^-- (needs|flags): (.*)$", re.MULTILINE)


class Script(NamedTuple):
    """The text of an operation, and what the server knows it by."""

    name: str
    text: str
    digest: str


@cache
def script(name: str) -> Script:
    """The operation of that name."""
    folder = files("taskmill._storage.redis") / "lua"
    body = (folder / f"{name}.lua").read_text(encoding="utf-8")
    told = dict(_DIRECTIVE.findall(body))
    shared = [
        (folder / "shared" / f"{part}.lua").read_text(encoding="utf-8") for part in told["needs"].split()
    ]
    first = f"#!lua flags={told['flags']}" if "flags" in told else "#!lua"
    text = "\n".join([first, _with_constants("\n".join([*shared, body]))])
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def _with_constants(text: str) -> str:
    constants: dict[str, str] = {}
    for names, values in _CONSTANTS.findall(text):
        constants |= zip(names.split(", "), values.split(", "), strict=True)
    return _NAME.sub(lambda name: constants.get(name[0], name[0]), _CONSTANTS.sub("", text))
