"""From coroutines into the synchronous core, which is written once."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


async def in_thread(func: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call *func* without blocking the loop; context variables go along."""
    import asyncio  # noqa: PLC0415  (40 ms, for programs that have it already)

    return await asyncio.to_thread(func, *args, **kwargs)
