"""What of a move on Redis is done between a look and a script, while others go on."""

from __future__ import annotations

from taskmill._storage.redis.storage import RedisStorage
from tests.conformance.builders import Worker, a_job


def test_what_was_claimed_since_it_was_read_stays(store: RedisStorage) -> None:
    store.jobs.add([a_job("claimed"), a_job("waits")])
    link = store._caller.link
    as_read = link.ask("HGETALL", link.key("row"))
    claimed = Worker(store).claim_one()

    changed = store._caller.change("pack", "crate", "elsewhere", "{}", 0, *as_read)

    assert changed == [f"{claimed.ref:014}"]
    assert [store.inspection.job(job_id) is not None for job_id in ("claimed", "waits")] == [True, True]
    crate = store.transfer.pack("elsewhere", limit=9)
    assert crate is not None
    assert [job.job_id for job in crate.load.jobs] == ["waits"]
