"""A program that is killed while it has one transaction just committed, and one about to be.

``python -m tests.using.killed STORE=URL ...`` does so once with each library, and prints the jobs of the two.
"""

from __future__ import annotations

import os
import signal
import sys

from taskmill import Mill
from tests.using.libraries import LIBRARIES, Opening


def pack(order: int) -> None: ...


def killed(opening: Opening, url: str) -> str:
    reading, writing = os.pipe()
    if os.fork() == 0:
        task = Mill(url).task(name="pack")(pack)
        with opening(url) as giver:
            committed = task.using(connection=giver.connection).enqueue(1)
            giver.commit()
            with opening(url) as other:
                uncommitted = task.using(connection=other.connection).enqueue(1)
                os.write(writing, f"{committed.id} {uncommitted.id}".encode())
                os.kill(os.getpid(), signal.SIGKILL)
    _, status = os.wait()
    assert os.WIFSIGNALED(status), status
    os.close(writing)
    with os.fdopen(reading) as ids:
        return ids.read()


if __name__ == "__main__":
    # Imports what each child would import by itself.
    Mill("memory://").task(pack).enqueue(1)
    for argument in sys.argv[1:]:
        store, _, url = argument.partition("=")
        for opening in LIBRARIES[store].values():
            print(store, killed(opening, url))  # noqa: T201
