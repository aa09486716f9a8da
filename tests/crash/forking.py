"""A process that forks one to be killed for each line that says when, and says how it ended."""

from __future__ import annotations

import signal
import subprocess

NEVER, KILLED = 0, -signal.SIGKILL


def outcome(forking: subprocess.Popen[str], call: int) -> int:
    """The exit status of one that is to be killed at that *call*; `NEVER`: at none."""
    assert forking.stdin is not None
    assert forking.stdout is not None
    forking.stdin.write(f"{call}\n")
    forking.stdin.flush()
    return int(forking.stdout.readline())
