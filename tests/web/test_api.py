"""The dashboard for programs: what it tells, what it does, and what it says where it cannot."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from taskmill import Context, Mill, State, every
from taskmill._core.identity import new_job_id
from taskmill._core.instant import HOUR, MINUTE
from taskmill._core.secrecy import HIDDEN
from taskmill._core.tally import Tally
from tests.conformance.builders import Worker, a_job, a_pipeline, failed, states_of, succeeded
from tests.web.browser import Answer, Browser


class Program:
    """Speaks to the API of a dashboard as a program does."""

    def __init__(self, mill: Mill) -> None:
        self._browser = Browser(mill.dashboard(auth=None))

    def get(self, path: str, status: int = 200) -> Any:
        return self._told(self._send("GET", path), status)

    def post(self, path: str, body: Any = None, status: int = 200) -> Any:
        return self._told(self._send("POST", path, json.dumps(body).encode()), status)

    def send(self, path: str, body: bytes) -> Any:
        answer = self._send("POST", path, body)
        return self._told(answer, answer.status)

    def _send(self, method: str, path: str, body: bytes = b"") -> Answer:
        return self._browser.send(
            method, f"/api/v1{path}", headers={"authorization": "Bearer any"}, body=body
        )

    def _told(self, answer: Answer, status: int) -> Any:
        told = json.loads(answer.body)
        assert answer.status == status, told
        is_problem = status >= 400
        assert answer["content-type"] == ("application/problem+json" if is_problem else "application/json")
        if is_problem:
            assert told["status"] == status
            assert told["detail"]
            assert told["advice"]
        return told


@pytest.fixture
def program(mill: Mill) -> Program:
    return Program(mill)


class TestReading:
    def test_a_list_is_read_page_by_page(self, mill: Mill, program: Program) -> None:
        mill.app.storage.jobs.add([a_job(f"job-{number}") for number in range(5)])
        seen, after = [], ""

        while True:
            page = program.get(f"/jobs?limit=2{after}")
            seen += [job["job_id"] for job in page["jobs"]]
            if page["more"] is None:
                break
            after = f"&after={page['more']}"

        assert seen == ["job-4", "job-3", "job-2", "job-1", "job-0"]

    @pytest.mark.parametrize(
        "query, ids",
        [
            ("state=failed", ["broken"]),
            ("state=failed,queued", ["found", "mail", "other", "broken"]),
            ("task=other", ["other"]),
            ("queue=mail", ["mail"]),
            ("text=Needle", ["found"]),
            ("state=queued&queue=mail&task=other", []),
            ("tag=x", ["other"]),
            ("lowest=5&highest=9", ["broken"]),
            ("lowest=-7&highest=-1", []),
            ("ended_from=2020-01-01T00:00:00Z", ["broken"]),
            ("enqueued_before=2020-01-01T00:00:00%2B02:00", []),
            ("session=1&state=failed", ["broken"]),
        ],
    )
    def test_a_list_has_what_is_asked_for(
        self, query: str, ids: list[str], mill: Mill, program: Program
    ) -> None:
        storage = mill.app.storage
        storage.jobs.add([a_job("broken", priority=9)])
        worker = Worker(storage)
        worker.settle(worker.claim_one(), failed())
        storage.jobs.add(
            [
                a_job("other", task="other", tags='["x"]'),
                a_job("mail", queue="mail"),
                a_job("found", args='[["a needle"],{}]'),
            ]
        )

        assert [job["job_id"] for job in program.get(f"/jobs?{query}")["jobs"]] == ids

    def test_a_job_is_told_without_its_secrets(self, mill: Mill, program: Program) -> None:
        @mill.task(name="mail")
        def mail(to: str, password: str, when: datetime, options: dict[Any, Any]) -> dict[str, str]:
            return {"token": "hunter2", "to": to}

        options = {"deep": [{"api_key": "hunter2"}], ("a",): {"cookie": "hunter2"}}
        result = mail.using(headers={"authorization": "hunter2", "trace": "1"}, tags=["x"]).enqueue(
            "ann", "hunter2", datetime(2026, 1, 31, tzinfo=UTC), options
        )
        with mill.worker(burst=True):
            pass

        told = program.get(f"/jobs/{result.id}")

        assert told["args"] == [
            "ann",
            HIDDEN,
            {"!datetime": "2026-01-31T00:00:00+00:00"},
            {"!dict": [["deep", [{"api_key": HIDDEN}]], [{"!tuple": ["a"]}, {"cookie": HIDDEN}]]},
        ]
        assert (told["kwargs"], told["result"]) == ({}, {"token": HIDDEN, "to": "ann"})
        assert told["headers"] == {"authorization": HIDDEN, "trace": "1"}
        assert (told["state"], told["tags"], told["attempts"]) == ("succeeded", ["x"], [])
        assert [event["kind"] for event in told["events"]] == ["enqueued", "started", "succeeded"]
        assert "hunter2" not in json.dumps([told, program.get("/jobs")])

    def test_a_job_says_why_it_waits_and_what_failed(self, mill: Mill, program: Program) -> None:
        storage = mill.app.storage
        storage.jobs.add([*a_pipeline("first", "second"), a_job("broken", priority=9)])
        worker = Worker(storage)
        worker.settle(worker.claim_one(), failed())

        second, broken = program.get("/jobs/second"), program.get("/jobs/broken")

        assert [cause["job_id"] for cause in second["waits_because"]] == ["first"]
        assert second["steps"] == ["first", "second"]
        assert broken["error"] == f"{broken['failure']['type']}: {broken['failure']['message']}"
        assert broken["attempts"] == []

    def test_a_job_tells_what_it_said(self, mill: Mill, program: Program) -> None:
        @mill.task(name="report")
        def report(context: Context) -> None:
            context.progress(1, 4, "reading")
            logging.getLogger("shop").warning("no paper")

        result = report.enqueue()
        with mill.worker(burst=True):
            pass

        told = program.get(f"/jobs/{result.id}")

        assert (told["progress"]["done"], told["progress"]["total"], told["progress"]["text"]) == (
            1,
            4,
            "reading",
        )
        [line] = told["log"]
        assert (line["attempt"], line["level"], line["message"]) == (1, "WARNING", "no paper")

    @pytest.mark.parametrize("args", ["no json", "[" * 100_000, '[[NaN, 1e999, "\\ud800"], {}]', "7"])
    def test_a_damaged_job_is_told_as_it_is(self, args: str, mill: Mill, program: Program) -> None:
        mill.app.storage.jobs.add([a_job("a", args=args)])

        told = program.get("/jobs/a")

        assert told["args"] == (["nan", "inf", "\ud800"] if "NaN" in args else args)
        assert [job["job_id"] for job in program.get("/jobs")["jobs"]] == ["a"]

    def test_an_autoscaler_sees_what_is_due_and_what_runs(self, mill: Mill, program: Program) -> None:
        storage = mill.app.storage
        storage.jobs.add([a_job("a"), a_job("b"), a_job("later", delay=HOUR), a_job("else", queue="mail/in")])
        Worker(storage).claim_one()

        told = program.get("/queues/default")

        assert {name: told[name] for name in ("queued", "due", "running", "backlog", "paused_at")} == {
            "queued": 2,
            "due": 1,
            "running": 1,
            "backlog": 2,
            "paused_at": None,
        }
        assert told["oldest_seconds"] > 0
        assert program.get("/queues/mail/in")["backlog"] == 1
        assert program.get("/queues/nobody") == {
            **dict.fromkeys(told, 0),
            "queue": "nobody",
            "paused_at": None,
        }
        assert [queue["queue"] for queue in program.get("/queues")["queues"]] == ["default", "mail/in"]

    def test_the_rest_of_the_pages_can_be_read_too(self, mill: Mill, program: Program) -> None:
        storage = mill.app.storage
        mill.task(name="add")(lambda a, b: a + b)
        worker = Worker(storage)
        storage.jobs.add([a_job("broken"), a_job("runs"), a_job("due", queue="other")])
        worker.settle(worker.claim_one(), failed())
        worker.claim_one()
        storage.schedules.register(name="tidy", task="tidy", spec=every(hours=1).spec)
        storage.limits.acquire("L", worker.session)
        minute = storage.now() // MINUTE
        storage.statistics.add([Tally(minute, "add", "succeeded", 20, 7)])

        [kind] = program.get("/errors")["errors"]
        [lock] = program.get("/locks")["locks"]
        [schedule] = program.get("/schedules")["schedules"]
        [process] = program.get("/workers")["workers"]
        [tally] = program.get("/statistics?minutes=5")["tallies"]
        tasks = {task["name"]: task for task in program.get("/tasks")["tasks"]}
        overview = program.get("/overview")

        [line] = program.get("/jobs?state=running")["jobs"]
        assert line["started_at"] == program.get("/jobs/runs")["claimed_at"]
        assert (kind["jobs"], kind["latest"]) == (1, "broken")
        assert (lock["name"], lock["session"], lock["waiters"]) == ("L", worker.session, 0)
        assert (schedule["name"], schedule["told"], schedule["fired"]) == ("tidy", "Every hour", 0)
        assert (process["session"], process["running"], process["jobs"]) == (worker.session, 1, ["runs"])
        assert (tally["number"], tally["within"], tally["event"]) == (7, 1.048576, "succeeded")
        assert (tasks["add"]["ended"], tasks["add"]["is_known"]) == (7, True)
        assert overview["states"] == dict.fromkeys(State, 0) | {"failed": 1, "running": 1, "queued": 1}
        assert overview["due"] == 1
        assert program.get("/statistics?task=other")["tallies"] == []
        assert program.get("/errors?task=other")["errors"] == []

    def test_what_was_done_by_hand_can_be_read(self, mill: Mill, program: Program) -> None:
        mill.app.storage.jobs.add([a_job("a"), a_job("b")])
        program.post("/jobs/a/cancel")
        program.post("/queues/default/purge", {"what": "waiting"})
        program.post("/jobs/bulk", {"deed": "retry", "matching": {}, "only_count": True})

        page = program.get("/audit?limit=1")
        older = program.get(f"/audit?limit=1&after={page['more']}")

        [purge], [cancel] = page["deeds"], older["deeds"]
        assert (purge["what"], purge["subject"], purge["number"]) == ("purge of waiting jobs", "default", 1)
        assert (cancel["what"], cancel["subject"], cancel["who"]) == ("cancel", "a", "anybody")
        assert (cancel["origin"], older["more"]) == ("127.0.0.1", None)


class TestActing:
    def test_jobs_are_steered(self, mill: Mill, program: Program) -> None:
        storage = mill.app.storage
        storage.jobs.add([a_job("broken", priority=9), a_job("runs", priority=8)])
        storage.jobs.add([a_job("waits"), a_job("later", delay=HOUR)])
        worker = Worker(storage)
        worker.settle(worker.claim_one(), failed())
        worker.claim_one()

        assert program.post("/jobs/broken/retry") == {"done": True, "is_asked_to_stop": False}
        assert program.post("/jobs/runs/cancel") == {"done": True, "is_asked_to_stop": True}
        assert program.post("/jobs/waits/cancel") == {"done": True, "is_asked_to_stop": False}
        assert program.post("/jobs/later/run-now") == {"done": True, "is_asked_to_stop": False}
        copy = program.post("/jobs/later/clone", status=201)["job_id"]
        assert program.post("/jobs/later/delete") == {"done": True, "is_asked_to_stop": False}

        assert states_of(storage) == {
            "broken": State.QUEUED,
            "runs": State.RUNNING,
            "waits": State.CANCELLED,
            copy: State.QUEUED,
        }

    @pytest.mark.parametrize("act", ["retry", "cancel", "run-now", "clone", "delete"])
    def test_of_a_job_that_is_gone_that_is_said(self, act: str, mill: Mill, program: Program) -> None:
        mill.app.storage.jobs.add([])

        assert program.post(f"/jobs/gone/{act}", status=404)["detail"] == "there is no job 'gone'"

    def test_what_cannot_be_done_is_said(self, mill: Mill, program: Program) -> None:
        storage = mill.app.storage
        storage.jobs.add([a_job("runs", priority=9), a_job("ended", priority=8), *a_pipeline("one", "two")])
        worker = Worker(storage)
        worker.claim_one()
        worker.settle(worker.claim_one(), succeeded())
        storage.schedules.register(name="tidy", task="tidy", spec="every 3600")

        details = {
            path: program.post(path, status=409)["detail"]
            for path in (
                "/jobs/runs/retry",
                "/jobs/ended/cancel",
                "/jobs/one/run-now",
                "/jobs/two/clone",
                "/jobs/runs/delete",
                "/queues/default/resume",
                "/schedules/tidy/run",
                "/schedules/tidy/resume",
            )
        }

        assert details == {
            "/jobs/runs/retry": "nothing was done: it has neither failed nor been cancelled, or a step before it has",
            "/jobs/ended/cancel": "nothing was done: it has ended already",
            "/jobs/one/run-now": "nothing was done: it is due already, or does not wait",
            "/jobs/two/clone": "nothing was done: it needs the result of the step before it",
            "/jobs/runs/delete": "nothing was done: it runs, or a later step of its pipeline needs its result",
            "/queues/default/resume": "nothing was done to the queue 'default': it is not paused",
            "/schedules/tidy/run": "nothing was done: this dashboard does not know its task, and it has not run before",
            "/schedules/tidy/resume": "nothing was done: it is not paused",
        }
        assert program.post("/schedules/other/run", status=404)["detail"] == "there is no schedule 'other'"

    def test_a_queue_is_paused_resumed_and_purged(self, mill: Mill, program: Program) -> None:
        storage = mill.app.storage
        storage.jobs.add([a_job("a", queue="mail/in"), a_job("b", queue="mail/in"), a_job("c")])

        program.post("/queues/mail/in/pause")
        assert program.get("/queues/mail/in")["paused_at"] is not None
        program.post("/queues/mail/in/pause", status=409)
        program.post("/queues/mail/in/resume")
        assert program.get("/queues/mail/in")["paused_at"] is None
        assert program.post("/queues/mail/in/purge", {"what": "ended"}) == {"deleted": 0}
        assert program.post("/queues/mail/in/purge", {"what": "waiting"}) == {"deleted": 2}

        assert states_of(storage) == {"c": State.QUEUED}

    def test_a_schedule_is_paused_and_goes_on(self, mill: Mill, program: Program) -> None:
        mill.app.storage.schedules.register(name="tidy", task="tidy", spec="every 3600")

        program.post("/schedules/tidy/pause")
        [paused] = program.get("/schedules")["schedules"]
        program.post("/schedules/tidy/pause", status=409)
        program.post("/schedules/tidy/resume")
        [resumed] = program.get("/schedules")["schedules"]

        assert (paused["paused_at"] is None, resumed["paused_at"]) == (False, None)
        assert program.post("/schedules/gone/pause", status=404)["detail"] == "there is no schedule 'gone'"

    def test_a_worker_is_asked_to_stop(self, mill: Mill, program: Program) -> None:
        session = mill.app.storage.sessions.open(kind="worker", lease=HOUR)

        assert program.post(f"/workers/{session}/stop") == {"done": True, "is_asked_to_stop": True}
        [process] = program.get("/workers")["workers"]
        assert process["is_asked_to_stop"]
        program.post(f"/workers/{session}/stop", status=409)
        for gone in ("77", "x", "9" * 30):
            assert (
                program.post(f"/workers/{gone}/stop", status=404)["detail"] == f"there is no session '{gone}'"
            )

    def test_many_are_counted_first_and_dealt_with_then(self, mill: Mill, program: Program) -> None:
        storage = mill.app.storage
        storage.jobs.add([a_job("a", queue="q"), a_job("b", queue="q"), a_job("c")])
        bulk = {"deed": "cancel", "matching": {"queue": "q", "state": ["queued"]}}

        counted = program.post("/jobs/bulk", {**bulk, "only_count": True})
        assert counted == {"found": 2, "changed": 0, "refused": 0, "left": 0, "is_all": True}
        assert set(states_of(storage).values()) == {State.QUEUED}
        assert program.post("/jobs/bulk", bulk) == {
            "found": 2,
            "changed": 2,
            "refused": 0,
            "left": 0,
            "is_all": True,
        }
        ids = {"deed": "delete", "job_ids": ["c", "c", "gone"]}
        assert program.post("/jobs/bulk", ids) == {
            "found": 2,
            "changed": 1,
            "refused": 1,
            "left": 0,
            "is_all": True,
        }

        assert states_of(storage) == {"a": State.CANCELLED, "b": State.CANCELLED}

    def test_a_kind_of_error_is_retried(self, mill: Mill, program: Program) -> None:
        storage = mill.app.storage
        storage.jobs.add([a_job("a"), a_job("b")])
        worker = Worker(storage)
        for claimed in worker.claim():
            worker.settle(claimed, failed())
        [kind] = program.get("/errors")["errors"]

        assert program.post("/jobs/bulk", {"deed": "retry", "kind": kind["kind"]})["changed"] == 2
        # What is shown of errors may be a moment old.
        assert program.post("/jobs/bulk", {"deed": "retry", "kind": kind["kind"]})["changed"] == 0

    def test_a_call_is_enqueued_with_values_of_every_kind(self, mill: Mill, program: Program) -> None:
        got: list[Any] = []

        @mill.task(name="note")
        def note(when: datetime, *, words: set[str]) -> None:
            got.append((when, words))

        call = {
            "task": "note",
            "args": [{"!datetime": "2026-01-31T00:00:00+00:00"}],
            "kwargs": {"words": {"!set": ["a"]}},
            "priority": 5,
            "tags": ["by hand"],
            "key": "once",
        }
        first = program.post("/jobs", call, status=201)
        assert program.post("/jobs", call, status=201) == first
        with mill.worker(burst=True):
            pass

        assert got == [(datetime(2026, 1, 31, tzinfo=UTC), {"a"})]
        told = program.get(f"/jobs/{first['job_id']}")
        assert (told["priority"], told["tags"], told["key"]) == (5, ["by hand"], "once")

    def test_a_schedule_runs_beside_its_slots(self, mill: Mill, program: Program) -> None:
        @mill.periodic(every(hours=1), name="tidy/all")
        def tidy() -> None: ...

        mill.app.storage.schedules.register(name="tidy/all", task="tidy/all", spec=every(hours=1).spec)

        job_id = program.post("/schedules/tidy/all/run", status=201)["job_id"]

        assert program.get(f"/jobs/{job_id}")["task"] == "tidy/all"


WRONG: Mapping[str, tuple[str, bytes, str]] = {
    "no JSON": ("/jobs", b"{", "the body is no JSON"),
    "no text": ("/jobs", b'{"task": "\\ud800"}', "the body is no JSON"),
    "no number": ("/jobs", b'{"task": "add", "delay": NaN}', "the body is no JSON"),
    "too deep": ("/jobs", b"[" * 200_000, "the body is no JSON"),
    "no object": ("/jobs", b"[]", "the body is no object"),
    "nothing": ("/jobs", b"{}", "the body lacks 'task'"),
    "a slip": ("/jobs", b'{"task": "add", "arg": []}', "the body has no 'arg' (did you mean 'args'?)"),
    "a wrong kind": ("/jobs", b'{"task": "add", "args": {}}', "the body.args is no array"),
    "a wrong kind inside": ("/jobs", b'{"task": "add", "tags": [1]}', "the body.tags[0] is no string"),
    "too much": ("/jobs", b'{"task": "add", "priority": 101}', "the body.priority is too large"),
    "no number but true": ("/jobs", b'{"task": "add", "priority": true}', "the body.priority is no integer"),
    "too long": ("/jobs", b'{"task": "%s"}' % (b"x" * 2_000), "the length of the body.task is too large"),
    "arguments that do not fit": ("/jobs", b'{"task": "add", "args": [1]}', "add"),
    "a value that is none": ("/jobs", b'{"task": "add", "args": [{"!date": "x"}, 1]}', "date"),
    "a class that nobody named": (
        "/jobs",
        b'{"task": "add", "args": [{"!object": ["os:system", {}]}, 1]}',
        "os",
    ),
    "no such deed": ("/jobs/bulk", b'{"deed": "x", "job_ids": []}', "the body.deed is none of its values"),
    "nobody": ("/jobs/bulk", b'{"deed": "retry"}', "the body does not say which jobs, or says it twice"),
    "two ways": (
        "/jobs/bulk",
        b'{"deed": "retry", "job_ids": [], "matching": {}}',
        "the body does not say which jobs, or says it twice",
    ),
    "a filter that cannot be read": (
        "/jobs/bulk",
        b'{"deed": "delete", "matching": {"ended_before": "soon"}}',
        "ended_before='soon' cannot be read",
    ),
    "no state, which is not every state": (
        "/jobs/bulk",
        b'{"deed": "delete", "matching": {"state": []}}',
        "the length of the body.matching.state is too small",
    ),
    "half a purge": ("/queues/q/purge", b"null", "the body is no object"),
}


class TestWrong:
    @pytest.mark.parametrize("path, body, detail", WRONG.values(), ids=WRONG)
    def test_a_body_that_is_wrong_is_told_what_is(
        self, path: str, body: bytes, detail: str, mill: Mill, program: Program
    ) -> None:
        mill.task(name="add")(lambda a, b: a + b)
        mill.app.storage.jobs.add([a_job("a")])

        told = program.send(path, body)

        assert told["status"] == 400
        assert detail in told["detail"]
        assert states_of(mill.app.storage) == {"a": State.QUEUED}

    @pytest.mark.parametrize(
        "path, detail",
        [
            ("/jobs?stat=failed", "there is no 'stat' to ask by (did you mean 'state'?)"),
            ("/jobs?state=failed,queud", "state[1] is none of its values (did you mean 'queued'?)"),
            ("/jobs?limit=x", "limit is no integer"),
            ("/jobs?limit=%D9%A3", "limit is no integer"),
            ("/jobs?limit=101", "limit is too large"),
            ("/jobs?after=x", "after is not of its form"),
            ("/jobs?enqueued_from=yesterday", "enqueued_from='yesterday' cannot be read"),
            ("/jobs?text=%20", "text=' ' cannot be read"),
            ("/jobs?session=-1", "session is too small"),
            ("/jobs?after=9999999999999999999999", "the length of after is too large"),
            (f"/jobs/{'x' * 1_001}", "job_id has 1,001 characters"),
            ("/statistics?minutes=0", "minutes is too small"),
        ],
    )
    def test_a_question_that_is_wrong_is_told_what_is(
        self, path: str, detail: str, mill: Mill, program: Program
    ) -> None:
        mill.app.storage.jobs.add([])

        assert program.get(path, status=400)["detail"] == detail

    def test_a_task_that_is_not_known_is_said_to_be(self, mill: Mill, program: Program) -> None:
        told = program.post("/jobs", {"task": "nobody\n"}, status=404)

        assert told["detail"] == r"this dashboard knows no task 'nobody\\n'"
        assert "taskmill dashboard module:mill" in told["advice"]

    def test_a_store_that_is_not_there_is_said_to_be(self, program: Program) -> None:
        assert "it is made when the first job is enqueued" in program.get("/jobs", status=503)["detail"]

    @pytest.mark.parametrize("path", ["/", "", "/nowhere", "/jobs/a/b", "/jobs/a/retry"])
    def test_what_there_is_not_is_not_found(self, path: str, program: Program) -> None:
        told = program._browser.send("GET", f"/api/v1{path}", headers={})

        assert told.status in {404, 405}
        assert told["content-type"] == "application/problem+json"


@pytest.mark.parametrize("kind", ["postgres", "redis"])
def test_a_store_on_a_server_is_told_alike(kind: str, request: pytest.FixtureRequest) -> None:
    url = (
        request.getfixturevalue("empty_postgres")
        if kind == "postgres"
        else f"{request.getfixturevalue('redis_url')}?name={new_job_id()}"
    )
    mill = Mill(url)
    mill.app.storage.jobs.add([a_job("a"), a_job("b", queue="q")])
    program = Program(mill)

    assert [job["job_id"] for job in program.get("/jobs?queue=q")["jobs"]] == ["b"]
    assert program.get("/queues/q")["backlog"] == 1
    assert program.post("/jobs/bulk", {"deed": "cancel", "matching": {}})["changed"] == 2
    assert program.get("/jobs/b")["state"] == "cancelled"
    assert program.get("/overview")["due"] in {0, 2}
    for path in ("/queues/%00/pause", "/jobs/%00/cancel", "/schedules/%00/run"):
        assert program.send(path, b"").get("status", 200) in {200, 400, 404, 409}
    mill.close()
