"""A queue moves house: out of one store and into another, while both are in use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from taskmill._storage.urls import shown
from taskmill.errors import MoveRefused, StoreRefused

if TYPE_CHECKING:
    from taskmill._storage.base import Storage

# Jobs and pipelines in one crate: neither store is kept from others for long.
_CRATE = 200


class Moved(NamedTuple):
    """What was moved; `known`: the ids of jobs that were dropped, as they or their keys were in the target before.

    `left` jobs are in the source still: they run, or a step of their pipeline does.
    """

    jobs: int
    schedules: int
    pauses: int
    known: Sequence[str]
    left: int


def move(source: Storage, target: Storage, tell: Callable[[int], object]) -> Moved:
    """Move all that does not run from *source* to *target*; *tell* is told how many jobs are there so far.

    It may be killed anywhere, and be run again: then it goes on where it was.

    Raises:
        MoveRefused: they are the same store, or a move from *source* to another one has not come to its end.
        StoreRefused: *target* cannot hold one of the jobs, which is in *source* again.
    """
    identity = target.transfer.identity()
    if source.transfer.identity() == identity:
        raise MoveRefused(
            f"{shown(source.url)} and {shown(target.url)} are the same store, or one is a copy of the other: "
            "nothing was moved"
        )
    # First, so that nothing of them is claimed in the target.
    paused = source.inspection.paused()
    for queue in paused:
        target.jobs.pause(queue)
    jobs = schedules = 0
    known: list[str] = []
    while (crate := source.transfer.pack(identity, limit=_CRATE)) is not None:
        if crate.target != identity:
            raise MoveRefused(
                f"{len(crate.load.jobs)} jobs of {shown(source.url)} are on their way to another store, by a move that "
                "was interrupted: run that one again first"
            )
        try:
            known += target.transfer.unpack(crate.crate_id, crate.load) or ()
        except StoreRefused:
            # Back to where it can be, or nobody would ever have it.
            source.transfer.unpack(crate.crate_id, crate.load)
            source.transfer.forget(crate.crate_id)
            raise
        source.transfer.forget(crate.crate_id)
        jobs += len(crate.load.jobs)
        schedules += len(crate.load.schedules)
        tell(jobs)
    left = sum(sum(count.states.values()) for count in source.inspection.queues())
    return Moved(jobs - len(known), schedules, len(paused), known, left)
