"""What the demo's child processes do: ``python -m taskmill._cli.demo.child PROGRAM URL``."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import closing

from taskmill import Event
from taskmill._cli.demo import tasks

PROGRAMS: dict[str, Callable[[str], None]] = {}


def program(run: Callable[[str], None]) -> Callable[[str], None]:
    """Make a function one of the programs."""
    PROGRAMS[run.__name__] = run
    return run


@program
def hold(url: str) -> None:
    """Take a lock and keep it."""
    tasks.mill.configure(url)
    with tasks.mill.lock(tasks.HELD):
        say("holding")
        threading.Event().wait()


@program
def work(url: str) -> None:
    """Run a worker of two threads, and say what its signal handlers hear."""
    tasks.mill.configure(url)

    @tasks.mill.on("started")
    def tell(event: Event) -> None:
        say(f"{event.kind} {event.job_id}")

    with closing(tasks.mill):
        tasks.mill.worker(threads=2).run()


@program
def beat(url: str) -> None:
    """Run a worker for the periodic tasks."""
    mill = tasks.heart(url)
    mill.on_start(lambda: say("ready"))
    with closing(mill):
        mill.worker(threads=1).run()


def say(line: str) -> None:
    """Tell the demo; in one piece, for two threads may speak at once."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


def end_with_parent() -> None:
    """End when the demo does, however it does: its end of our standard input is closed then."""
    sys.stdin.read()
    os._exit(1)


def main(name: str, url: str) -> None:
    """Run one of the programs."""
    logging.getLogger("taskmill").addHandler(logging.NullHandler())  # it is the demo that speaks
    threading.Thread(target=end_with_parent, daemon=True).start()
    PROGRAMS[name](url)


if __name__ == "__main__":
    main(*sys.argv[1:])
