"""A server that is away, hangs, is full or forgets; replies that get lost on the way."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Any

import pytest
import redis

from taskmill import Mill
from taskmill._core.job import State
from taskmill._core.lifecycle import Settlement
from taskmill._storage.process import process_identity
from taskmill._storage.redis.storage import RedisStorage
from taskmill._storage.wake import PATIENCE
from taskmill.errors import NotAStore, SchemaTooNew, StoreUnavailable, UnsafeServer
from tests import servers
from tests.conformance.builders import LEASE, Worker, a_job, ids, states_of, succeeded
from tests.redis.conftest import OpenStore
from tests.redis.proxy import Proxy
from tests.worker.builders import DEADLINE, wait_for, with_faults

# How much longer than its timeout a call may take on a machine that is busy with other things.
MARGIN = DEADLINE


def insist(store: RedisStorage, job_id: str) -> None:
    """Enqueue it, as often as it takes: where the machine is busy, no short timeout is long enough."""

    def has_added() -> bool:
        with suppress(StoreUnavailable):
            store.jobs.add([a_job(job_id)])
            return True
        return False

    wait_for(has_added, "the server takes a job")


@contextmanager
def a_user(client: Any, *rules: str) -> Iterator[str]:
    """One of the server's with these rights; yields what its URLs say before the host."""
    client.execute_command("ACL", "SETUSER", "weak", "reset", "on", ">p@ss", *rules)
    try:
        yield "weak:p%40ss"
    finally:
        client.execute_command("ACL", "DELUSER", "weak")


@contextmanager
def a_cluster() -> Iterator[tuple[servers.Redis, servers.Redis]]:
    """Two nodes that know each other; the first has all slots."""
    with ExitStack() as stack:
        nodes = []
        for _ in range(2):
            bus = str(servers.free_port())
            settings = {"cluster_enabled": "yes", "cluster_port": bus, "cluster_require_full_coverage": "no"}
            nodes.append((stack.enter_context(servers.redis(**settings)), bus))
        (here, _), (there, bus) = nodes
        with redis.Redis(port=here.port) as admin:
            admin.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            admin.execute_command("CLUSTER", "MEET", "127.0.0.1", there.port, bus)
        for node, _ in nodes:
            with redis.Redis(port=node.port) as admin:
                wait_for(lambda admin=admin: is_whole(admin), "they know each other")
        yield here, there


def is_whole(node: Any) -> bool:
    """Whether it knows of two nodes, and of all slots."""
    told = node.execute_command("CLUSTER", "INFO")
    return all(each in told for each in (b"state:ok", b"slots_ok:16384", b"known_nodes:2"))


class TestServerIsAway:
    def test_a_server_that_is_killed_is_told_in_time_and_gone_on_with(
        self, own_server: servers.Redis, open_store: OpenStore
    ) -> None:
        store = open_store(own_server.url, timeout=0.3)
        insist(store, "before")
        own_server.kill()

        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="did not answer"):
            store.jobs.add([a_job("meanwhile")])
        waited = time.monotonic() - began
        own_server.start()
        insist(store, "after")

        assert waited < 0.3 + MARGIN
        assert {"before", "after"} <= set(states_of(open_store(own_server.url)))

    def test_who_has_time_waits_for_it(self, own_server: servers.Redis, open_store: OpenStore) -> None:
        store = open_store(own_server.url, timeout=30)
        insist(store, "before")
        own_server.kill()
        adding = threading.Thread(target=store.jobs.add, args=([a_job("meanwhile")],))
        adding.start()

        own_server.start()
        adding.join(DEADLINE)

        assert set(states_of(store)) == {"before", "meanwhile"}

    def test_one_that_hangs_is_told_in_time_and_gone_on_with(
        self, own_server: servers.Redis, open_store: OpenStore
    ) -> None:
        store = open_store(own_server.url, timeout=0.3)
        insist(store, "before")
        own_server.signal(signal.SIGSTOP)

        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            store.jobs.add([a_job("meanwhile")])
        waited = time.monotonic() - began
        own_server.signal(signal.SIGCONT)
        # Whether it was stored after all, nobody knows: so it is enqueued again under its id.
        insist(store, "meanwhile")

        assert waited < 0.3 + MARGIN
        assert states_of(open_store(own_server.url)) == {"before": "queued", "meanwhile": "queued"}

    def test_connections_that_went_silent_are_replaced(self, proxy: Proxy, open_store: OpenStore) -> None:
        store = open_store(f"redis://127.0.0.1:{proxy.port}", timeout=0.3)
        insist(store, "before")
        proxy.go_silent()

        with pytest.raises(StoreUnavailable):
            store.jobs.add([a_job("meanwhile")])
        insist(store, "after")

        assert {"before", "after"} <= set(states_of(open_store()))

    def test_a_mill_works_on_through_a_restart(self, own_server: servers.Redis) -> None:
        with closing(Mill(own_server.url)) as mill:
            double = mill.task(name="double")(lambda number: 2 * number)
            with mill.worker():
                first = double.enqueue(1).get(timeout=DEADLINE)
                own_server.kill()
                own_server.start()
                second = double.enqueue(2).get(timeout=DEADLINE)

        assert (first, second) == (2, 4)

    def test_a_worker_tells_of_it_once_and_when_it_is_over(
        self, own_server: servers.Redis, caplog: pytest.LogCaptureFixture
    ) -> None:
        def told() -> list[str]:
            return [record.message for record in caplog.records if record.name == "taskmill.worker"]

        with closing(Mill(f"{own_server.url}?timeout=1")) as mill:
            faults = with_faults(mill)
            with mill.worker():
                wait_for(lambda: faults.count("rescue"), "it works")
                own_server.kill()
                calls = len(faults.calls)
                wait_for(lambda: len(faults.calls) > calls + 3, "the store was asked in vain")
                during = told()
                own_server.start()
                wait_for(lambda: "the store is back" in told()[-1], "it is told that it is over")

        assert [message.count("tried again and again") for message in during] == [1]

    def test_who_waits_for_a_result_waits_through_it(self, own_server: servers.Redis) -> None:
        with closing(Mill(f"{own_server.url}?timeout=1")) as mill, ThreadPoolExecutor() as pool:
            double = mill.task(name="double")(lambda number: 2 * number)
            result = double.enqueue(2)
            faults = with_faults(mill)
            own_server.kill()
            waiting = pool.submit(result.get, timeout=DEADLINE)
            wait_for(lambda: faults.count("inspection.outcome") > 1, "it has asked in vain, and asks again")
            own_server.start()
            with closing(Mill(own_server.url)) as other:
                other.task(name="double")(lambda number: 2 * number)
                other.worker(burst=True).run()

            assert waiting.result(DEADLINE) == 4

    def test_the_first_call_after_a_restart_is_made_even_if_it_could_not_be_repeated(
        self, own_server: servers.Redis, open_store: OpenStore
    ) -> None:
        store = open_store(own_server.url)
        store.jobs.add([a_job("a")])
        own_server.kill()
        own_server.start()

        assert store.jobs.cancel("a")[0] == "cancelled"


class TestLostReplies:
    """The request came through and was carried out; its sender does not know, and asks again."""

    @pytest.fixture
    def far(self, proxy: Proxy, open_store: OpenStore) -> Worker:
        """A worker behind the proxy."""
        return Worker(open_store(f"redis://127.0.0.1:{proxy.port}"))

    def test_a_job_is_stored_once(self, far: Worker, proxy: Proxy) -> None:
        proxy.losses, proxy.requests = 1, 0

        far.storage.jobs.add([a_job("a")])

        assert proxy.requests == 2
        assert states_of(far.storage) == {"a": "queued"}

    def test_a_turn_gets_what_it_claimed_and_claims_no_more(self, far: Worker, proxy: Proxy) -> None:
        far.storage.jobs.add([a_job("a"), a_job("b"), a_job("c")])
        a = far.claim_one()
        proxy.losses = 1

        turn = far.turn(Settlement(a, succeeded()), thread=1)

        assert (list(turn.stale), ids(turn.claimed)) == ([], ["b"])
        assert states_of(far.storage) == {"a": "succeeded", "b": "running", "c": "queued"}

    def test_a_lock_is_known_as_ones_own(self, far: Worker, proxy: Proxy) -> None:
        far.storage.limits.acquire("another, so that the server knows the script", far.session)
        proxy.losses = 1

        token = far.storage.limits.acquire("L", far.session)

        lock = far.storage.limits.list()[0]
        assert (lock.token, lock.session) == (token, far.session)
        assert far.storage.limits.acquire("L", far.session) is None

    def test_what_would_answer_otherwise_the_second_time_is_not_repeated(
        self, far: Worker, proxy: Proxy
    ) -> None:
        far.storage.jobs.add([a_job("a")])
        far.storage.jobs.cancel("nobody, so that the server knows the script")
        proxy.losses = 1

        with pytest.raises(StoreUnavailable):
            far.storage.jobs.cancel("a")

        assert states_of(far.storage) == {"a": "cancelled"}


class TestServerForgets:
    def test_scripts_that_were_flushed_are_sent_again(self, open_store: OpenStore, client: Any) -> None:
        store = open_store()
        store.jobs.add([a_job("a")])
        client.script_flush()

        store.jobs.add([a_job("b")])

        assert set(states_of(store)) == {"a", "b"}

    def test_a_place_whose_job_is_gone_is_passed_over(
        self, redis_url: str, open_store: OpenStore, name: str
    ) -> None:
        worker = Worker(open_store())
        worker.storage.jobs.add([a_job("a"), a_job("b")])
        with redis.Redis.from_url(redis_url) as client:
            rows = f"{{{name}}}:row"
            client.hdel(rows, min(client.hkeys(rows)))

        assert ids(worker.claim()) == ["b"]
        assert ids(worker.claim()) == []

    def test_a_session_of_before_is_not_taken_for_one_of_the_same_number(
        self, own_server: servers.Redis, open_store: OpenStore
    ) -> None:
        old = Worker(open_store(own_server.url))
        own_server.kill()
        for file in own_server.folder.glob("appendonlydir/*"):
            file.unlink()
        own_server.start()
        young = Worker(open_store(own_server.url))
        young.storage.jobs.add([a_job("a")])

        taken = old.claim()
        is_known = old.storage.sessions.renew(old.session)

        assert old.session == young.session
        assert (list(taken), is_known) == ([], False)
        assert ids(young.claim()) == ["a"]
        assert young.storage.sessions.renew(young.session)


def add_many(store: RedisStorage, size: int) -> None:
    for number in range(1_000):
        store.jobs.add([a_job(f"{size} {number}", args=f'["{"x" * size}"]', queue="large")])


class TestFullServer:
    def test_it_takes_no_more_jobs_and_those_that_it_has_go_on(self, open_store: OpenStore) -> None:
        with servers.redis(maxmemory="8mb") as server:
            store = open_store(server.url)
            worker = Worker(store)
            store.jobs.add([a_job("a"), a_job("b")])
            a = worker.claim_one()
            # To the brim: what a large one has in buffers is free again when it was refused.
            for size in (100_000, 1_000, 10):
                with pytest.raises(StoreUnavailable, match="is full"):
                    add_many(store, size)

            with pytest.raises(StoreUnavailable, match="is full"):
                open_store(server.url).jobs.add([a_job("d")])

            with redis.Redis.from_url(server.url) as client:
                # Beyond the brim, so that it takes nothing at all; and by connections that are made while it is so.
                client.config_set("maxmemory", "1mb")
                store.close()
                assert store.sessions.renew(worker.session)
                turn = worker.turn(Settlement(a, succeeded()), thread=1, queues=["default"])
                client.config_set("maxmemory", "8mb")
            store.jobs.purge(queue="large", ended=False, limit=10_000)
            store.jobs.add([a_job("c")])

            assert (list(turn.stale), ids(turn.claimed)) == ([], ["b"])
            assert states_of(store) == {"a": "succeeded", "b": "running", "c": "queued"}


class TestWrongServer:
    def test_a_database_that_it_does_not_have(self, redis_url: str, open_store: OpenStore) -> None:
        store = open_store(f"{redis_url}/9999")

        with pytest.raises(StoreUnavailable, match="has no database of that number"):
            store.jobs.add([a_job()])
        store.close()

    def test_one_that_would_throw_jobs_away_is_refused(self, open_store: OpenStore) -> None:
        with servers.redis(maxmemory_policy="allkeys-lru") as server:
            store = open_store(server.url)
            with pytest.raises(UnsafeServer, match="set maxmemory-policy to noeviction"):
                store.jobs.add([a_job()])
            with closing(Mill(server.url)) as mill:
                refused = mill.doctor()[0]
                others = {finding.name for finding in mill.doctor()[1:]}

        assert (refused.name, refused.severity) == ("eviction", "error")
        assert "set maxmemory-policy to noeviction" in refused.advice
        assert others == {"persistence"}

    def test_one_that_began_to_throw_jobs_away_is_told_with_what_is_in_it(
        self, own_server: servers.Redis, open_store: OpenStore, name: str
    ) -> None:
        open_store(own_server.url).jobs.add([a_job()])
        with redis.Redis.from_url(own_server.url) as client:
            client.config_set("maxmemory-policy", "allkeys-lru")

        with closing(Mill(f"{own_server.url}?name={name}")) as mill:
            found = {finding.name for finding in mill.doctor()}

        assert found == {"eviction", "no-worker"}

    def test_one_that_loses_jobs_is_warned_of(
        self, open_store: OpenStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        open_store().jobs.add([a_job()])

        assert "appendonly is off: when it stops, nothing is left of all jobs" in caplog.text

    def test_one_that_keeps_them_is_not(
        self, own_server: servers.Redis, open_store: OpenStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = open_store(own_server.url)
        store.jobs.add([a_job()])

        assert not caplog.text
        assert list(store.health.findings()) == []

    def test_a_wrong_password_is_told_at_once(self, open_store: OpenStore) -> None:
        with servers.redis(requirepass="secret") as server:
            wrong = open_store(server.url.replace("//", "//:wrong@"), timeout=60)
            right = open_store(server.url.replace("//", "//:secret@"))

            with pytest.raises(StoreUnavailable, match="give user and password in the URL"):
                wrong.jobs.add([a_job()])
            right.jobs.add([a_job("a")])

            assert set(states_of(right)) == {"a"}

    def test_a_user_who_may_ask_no_dangerous_questions_works(
        self, open_store: OpenStore, redis_url: str, client: Any, name: str
    ) -> None:
        # Whatever Redis itself calls dangerous: INFO and CONFIG, too.
        with a_user(client, "+@all", "-@dangerous", f"~{{{name}}}:*", f"&{{{name}}}:*") as credentials:
            store = open_store(redis_url.replace("//", f"//{credentials}@"))
            store.jobs.add([a_job("a")])
            found = {finding.name for finding in store.health.findings()}

        assert set(states_of(open_store())) == {"a"}
        assert found == {"persistence-unknown"}

    def test_a_user_without_channels_works_too_and_looks_more_often(
        self, open_store: OpenStore, redis_url: str, client: Any, name: str
    ) -> None:
        # As Redis gives none to a user of whom nothing is said.
        with a_user(client, "+@all", f"~{{{name}}}:*") as credentials:
            worker = Worker(open_store(redis_url.replace("//", f"//{credentials}@")))
            others = open_store()
            others.wake.rest(lambda: None, "all")
            wait_for(lambda: client.exists(f"{{{name}}}:resting:all"), "somebody rests")
            worker.storage.jobs.add([a_job("a"), a_job("b")])
            turn = worker.turn(Settlement(worker.claim_one(), succeeded()), thread=1)
            worker.storage.wake.rest(lambda: None, "all")
            patience = worker.storage.wake.patience

        assert ids(turn.claimed) == ["b"]
        assert patience < PATIENCE
        assert others.health.verify() == []

    def test_a_replica_is_told_to_be_none_to_write_to(self, redis_url: str, open_store: OpenStore) -> None:
        primary = redis_url.rpartition("/")[2].replace(":", " ")
        told = pytest.raises(StoreUnavailable, match=r"was not ready .* read only replica")
        with servers.redis(replicaof=primary) as replica, told:
            open_store(replica.url, timeout=0.3).jobs.add([a_job()])

    def test_a_newer_schema_is_left_alone(self, open_store: OpenStore, client: Any, name: str) -> None:
        client.set(f"{{{name}}}:schema", 99)

        with pytest.raises(SchemaTooNew):
            open_store().jobs.add([a_job()])

    def test_a_newer_schema_is_noticed_by_who_works_already(
        self, open_store: OpenStore, client: Any, name: str
    ) -> None:
        worker = Worker(open_store())
        client.set(f"{{{name}}}:schema", 99)

        with pytest.raises(SchemaTooNew):
            worker.storage.sessions.renew(worker.session)

    def test_a_store_that_was_emptied_is_marked_anew_by_who_works_on(
        self, open_store: OpenStore, client: Any, name: str
    ) -> None:
        worker = Worker(open_store())
        client.delete(f"{{{name}}}:schema")

        assert worker.storage.sessions.renew(worker.session)
        assert client.get(f"{{{name}}}:schema") == "1"

    def test_keys_of_another_program_are_left_alone(
        self, open_store: OpenStore, client: Any, name: str
    ) -> None:
        client.set(f"{{{name}}}:ids", "mine")

        with pytest.raises(NotAStore, match="another"):
            open_store().jobs.add([a_job()])


class TestLeases:
    def test_a_step_of_the_servers_clock_kills_nobody(
        self, open_store: OpenStore, client: Any, name: str
    ) -> None:
        worker = Worker(open_store(), lease=1_000_000)
        store = worker.storage
        store.jobs.add([a_job("a")])
        worker.claim_one()
        store.jobs.rescue()
        # As if the clock had been set forward by an hour since.
        client.incrby(f"{{{name}}}:watched", -3_600_000_000)
        client.zincrby(f"{{{name}}}:leases", -3_600_000_000, worker.session)

        notices = store.jobs.rescue()

        assert list(notices) == []
        assert states_of(store) == {"a": "running"}

    def test_one_that_is_silent_all_the_time_is_rescued_in_spite_of_that(
        self, open_store: OpenStore, client: Any, name: str
    ) -> None:
        worker = Worker(open_store(), lease=1)
        store = worker.storage
        store.jobs.add([a_job("a")])
        worker.claim_one()
        # Nobody watched for an hour; then somebody does, and is away again.
        for _ in range(2):
            client.set(f"{{{name}}}:watched", 1)
            client.zadd(f"{{{name}}}:leases", {str(worker.session): 1})
            store.jobs.rescue()

        assert states_of(store) == {"a": "queued"}

    def test_a_process_that_is_gone_is_noticed_before_its_lease_is_over(
        self, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = open_store()
        with monkeypatch.context() as patch:
            # A number that no process has.
            identity = process_identity().partition(":")[2]
            patch.setattr("taskmill._storage.redis.sessions.process_identity", lambda: f"4194305:{identity}")
            gone = Worker(store, lease=LEASE)
        store.jobs.add([a_job("a")])
        gone.claim_one()

        store.jobs.rescue()

        assert states_of(store) == {"a": "queued"}
        assert store.inspection.sessions() == []


class TestKeys:
    def test_all_begin_with_the_name_of_the_mill_so_that_a_cluster_keeps_them_together(
        self, open_store: OpenStore, client: Any, name: str
    ) -> None:
        store = open_store()
        before = set(client.keys("*"))
        worker = Worker(store)
        store.jobs.add(
            [a_job("a", key="k"), a_job("b", lock="L"), a_job("c", lock="L"), a_job("d", expires_in=10**9)]
        )
        claimed = worker.claim()
        worker.turn(*(Settlement(each, succeeded()) for each in claimed[:1]))

        made = set(client.keys("*")) - before

        assert made
        assert all(key.startswith(f"{{{name}}}:") for key in made)

    def test_a_mill_follows_its_keys_from_one_node_of_a_cluster_to_another(
        self, open_store: OpenStore, name: str
    ) -> None:
        with a_cluster() as (here, there):
            store = open_store(here.url, timeout=DEADLINE)
            store.jobs.add([a_job("a")])
            with redis.Redis(port=here.port) as source, redis.Redis(port=there.port) as target:
                slot = source.execute_command("CLUSTER", "KEYSLOT", f"{{{name}}}:")
                origin, aim = (node.execute_command("CLUSTER", "MYID") for node in (source, target))
                target.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", origin)
                source.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", aim)
                adding = threading.Thread(target=store.jobs.add, args=([a_job("meanwhile")],))
                adding.start()
                keys = source.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100)
                source.migrate("127.0.0.1", there.port, keys, 0, 5_000)
                for node in (target, source):
                    node.execute_command("CLUSTER", "SETSLOT", slot, "NODE", aim)
                adding.join(DEADLINE)
                found = states_of(store)

                # Whoever has it now is lost, and the first one has taken over; as after a failover, with nothing of it.
                there.kill()
                source.execute_command("CLUSTER", "SETSLOT", slot, "NODE", origin)
                store.jobs.add([a_job("b")])

            assert set(found) == {"a", "meanwhile"}
            assert set(states_of(store)) == {"b"}

    def test_a_mill_runs_in_a_cluster(self, open_store: OpenStore) -> None:
        with servers.redis(cluster_enabled="yes", cluster_port=str(servers.free_port())) as server:
            with redis.Redis(port=server.port) as admin:
                admin.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
                wait_for(lambda: b"cluster_state:ok" in admin.execute_command("CLUSTER", "INFO"), "it is up")
            worker = Worker(open_store(server.url))
            worker.storage.jobs.add([a_job("a")])
            worker.settle(worker.claim_one(), succeeded())

            assert worker.storage.inspection.queues()[0].states == {State.SUCCEEDED: 1}
