"""A worker in a program whose event loop runs."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from taskmill import Mill


def test_leaving_an_async_block_lets_the_loop_go_on_while_jobs_finish(tmp_path: Path) -> None:
    mill = Mill(f"sqlite:///{tmp_path}/jobs.db")
    may_end, has_begun = threading.Event(), threading.Event()

    @mill.task(name="wait")
    def wait() -> str:
        has_begun.set()
        may_end.wait(20)
        return "done"

    async def program() -> str:
        async with mill.worker():
            result = await wait.aenqueue()
            await asyncio.to_thread(has_begun.wait, 20)
            # Runs while the block is being left; were the loop blocked by that, the job could not end.
            asyncio.get_running_loop().call_later(0.05, may_end.set)
        return await result

    assert asyncio.run(program()) == "done"
    mill.close()
