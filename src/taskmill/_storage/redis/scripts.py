"""Lua lives in .lua files beside the adapter; this reads them.

The first comment of an operation says which parts it shares with others (``-- needs:``), and what the server may do
with it (``-- flags:``): ``no-writes``, or ``allow-oom`` for all that makes no new jobs, so that work goes on in a full
server. A script is refused as a whole where it is not allowed: it never stops in the middle for want of memory.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple

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
    text = "\n".join([first, *shared, body])
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
