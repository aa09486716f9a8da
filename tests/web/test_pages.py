"""What pages say and acts do, without a browser: what is rare, what is empty, what is large."""

from __future__ import annotations

import json
import logging
import os
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from html import unescape
from pathlib import Path

import pytest
from starlette.applications import Starlette

from taskmill import Mill, State, Visitor, every
from taskmill._app import steering
from taskmill._app.failures import latest_failed
from taskmill._core.census import Serves
from taskmill._core.deed import Deed
from taskmill._core.identity import new_job_id
from taskmill._core.instant import HOUR, MINUTE
from taskmill._core.journal import PROGRESS
from taskmill._core.tally import Tally
from taskmill._storage.base import Writing
from taskmill._web.site import PAGES
from taskmill.errors import StoreUnavailable
from tests.conformance.builders import Worker, a_job, a_pipeline, failed, states_of, succeeded
from tests.web.browser import Answer, Browser

LISTS = [path for path in PAGES if "{" not in path and path != "/enqueue"]


def said(browser: Browser, answer: Answer) -> str:
    """What the page says after an act."""
    assert answer.status == 303
    found = re.search(r'<p class="said" role="status">(.*?)</p>', browser.get(answer["location"]).body)
    assert found is not None
    return found[1]


class TestEmpty:
    @pytest.mark.parametrize("path", LISTS)
    def test_a_store_without_jobs_has_pages(self, path: str, mill: Mill, browser: Browser) -> None:
        mill.app.storage.jobs.add([])

        answer = browser.get(path)

        assert answer.status == 200
        assert 'class="empty"' in answer.body

    @pytest.mark.parametrize("path", LISTS)
    def test_a_store_that_is_not_there_is_not_made(self, path: str, browser: Browser, tmp_path: Path) -> None:
        answer = browser.get(path)

        assert answer.status == 503
        assert "it is made when the first job is enqueued" in answer.body
        assert list(tmp_path.iterdir()) == []

    def test_a_store_that_is_made_later_is_seen(self, mill: Mill, browser: Browser) -> None:
        assert browser.get("/jobs").status == 503
        mill.app.storage.jobs.add([a_job("a")])

        assert 'id="job-a"' in browser.get("/jobs").body

    def test_a_job_that_is_gone_is_said_to_be(self, mill: Mill, browser: Browser) -> None:
        mill.app.storage.jobs.add([])

        answer = browser.get("/jobs/nobody")

        assert answer.status == 404
        assert "There is no such job" in answer.body


class TestTrouble:
    def test_a_store_that_cannot_be_read_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "jobs.db").write_bytes(b"this is no database, and it is long enough to be looked at" * 99)
        browser = Browser(Mill(f"sqlite:///{tmp_path / 'jobs.db'}").dashboard(auth=None))

        answer = browser.get("/")

        assert answer.status == 503
        assert "is not a SQLite database" in answer.body or "no SQLite" in answer.body

    @pytest.mark.parametrize("path", ["/", "/jobs", "/audit", "/api/v1/overview", "/api/v1/jobs"])
    @pytest.mark.parametrize(
        "url",
        [
            "redis://:hunter2@127.0.0.1:1/0?timeout=0.01",
            "postgresql://ann:hunter2@127.0.0.1:1/x?timeout=0.01",
        ],
    )
    def test_the_password_of_a_store_is_told_nobody(self, url: str, path: str) -> None:
        mill = Mill(url)

        answer = Browser(mill.dashboard(auth=None)).get(path)
        mill.close()

        assert answer.status == 503
        assert "127.0.0.1:1" in answer.body
        assert "hunter2" not in answer.body

    def test_after_trouble_it_goes_on(self, mill: Mill, browser: Browser, tmp_path: Path) -> None:
        mill.app.storage.jobs.add([a_job("a")])
        assert browser.get("/jobs").status == 200
        mill.close()
        for path in tmp_path.glob("jobs.db*"):
            if path.is_file():
                path.rename(path.with_name(f"away-{path.name}"))

        assert browser.get("/jobs").status in {200, 503}
        for path in tmp_path.glob("away-*"):
            path.rename(path.with_name(path.name.removeprefix("away-")))
        answers = [browser.get("/jobs").status for _ in range(2)]

        assert answers[-1] == 200


class TestPace:
    def test_nothing_is_foretold_while_nobody_is_at_work(self, mill: Mill, browser: Browser) -> None:
        storage = mill.app.storage
        storage.jobs.add([a_job("due")])
        storage.statistics.add([Tally(storage.now() // MINUTE, "t", "succeeded", 20, 9)])

        assert "1 due job waits for a worker." in browser.get("/").body


class TestServers:
    @pytest.mark.parametrize("kind", ["postgres", "redis"])
    def test_a_store_on_a_server_has_the_same_pages(self, kind: str, request: pytest.FixtureRequest) -> None:
        url = (
            request.getfixturevalue("empty_postgres")
            if kind == "postgres"
            else f"{request.getfixturevalue('redis_url')}?name={new_job_id()}"
        )
        mill = Mill(url)
        storage = mill.app.storage
        worker = Worker(storage)
        storage.jobs.add(
            [a_job("broken"), a_job("ended"), a_job("later", delay=HOUR, args='[["needle"],{}]')]
        )
        storage.schedules.register(name="tidy", task="tidy", spec="every 3600")
        storage.limits.acquire("L", worker.session)
        broken, ended = worker.claim()
        worker.settle(broken, failed())
        worker.settle(ended, succeeded())
        storage.statistics.add([Tally(storage.now() // MINUTE, "add", "failed", 3, 7)])
        browser = Browser(mill.dashboard(auth=None))

        pages = {
            path: browser.get(path).status for path in [*LISTS, *map("/jobs/{}".format, states_of(storage))]
        }
        found = browser.get("/jobs?text=Needle").body

        assert set(pages.values()) == {200}
        assert 'id="job-later"' in found
        assert 'id="job-broken"' not in found
        assert said(browser, browser.post("/jobs/later/hasten")) == "It is due now."
        browser.post("/queues/pause", {"queue": "default"})
        assert [*storage.inspection.paused()] == ["default"]
        mill.close()


class TestActs:
    def test_what_cannot_be_done_is_said(self, mill: Mill, browser: Browser) -> None:
        storage = mill.app.storage
        worker = Worker(storage)
        storage.jobs.add([a_job("running", priority=9), *a_pipeline("first", "second")])
        worker.claim_one()

        answers = {
            act: said(browser, browser.post(f"/jobs/{act}"))
            for act in (
                "running/retry",
                "running/delete",
                "running/hasten",
                "second/clone",
                "gone/cancel",
                "gone/clone",
            )
        }

        assert answers == {
            "running/retry": "It could not be queued again: it has not failed, or a step before it has.",
            "running/delete": "It cannot be deleted: it runs, or a later step of its pipeline needs its result.",
            "running/hasten": "It is due already, or does not wait any more.",
            "second/clone": "It cannot be: it is gone, or it needs the result of the step before it.",
            "gone/cancel": "It is gone.",
            "gone/clone": "It cannot be: it is gone, or it needs the result of the step before it.",
        }

    def test_a_running_job_is_asked_to_stop(self, mill: Mill, browser: Browser) -> None:
        mill.app.storage.jobs.add([a_job("a")])
        Worker(mill.app.storage).claim_one()

        assert (
            said(browser, browser.post("/jobs/a/cancel")) == "It was asked to stop, and will not be retried."
        )
        assert "It was asked to stop." in browser.get("/jobs/a").body

    def test_many_at_once_say_how_many_had_moved_on(self, mill: Mill, browser: Browser) -> None:
        storage = mill.app.storage
        storage.jobs.add([a_job("a"), a_job("b"), a_job("c")])
        worker = Worker(storage)
        worker.settle(worker.claim_one(), failed())

        answer = browser.post("/jobs/act", {"deed": "retry", "id": ["a", "b", "nobody"]})

        assert said(browser, answer) == "1 job queued again. 2 could not be: they had moved on."
        assert states_of(storage)["a"] == State.QUEUED

    @pytest.mark.parametrize(
        "form", [{}, {"deed": "retry"}, {"deed": "explode", "id": "a"}, {"deed": "retry", "which": "kind"}]
    )
    def test_nothing_is_done_to_nobody(self, form: dict[str, str], mill: Mill, browser: Browser) -> None:
        mill.app.storage.jobs.add([a_job("a")])

        assert said(browser, browser.post("/jobs/ask", form)) == "Tick some jobs first."

    def test_each_act_is_noted_with_who_did_it_and_said_in_the_log(
        self, mill: Mill, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "taskmill.audit")
        mill.app.storage.jobs.add([a_job("a")])
        browser = Browser(mill.dashboard(auth=lambda request: Visitor("ann\n", "operate")))

        browser.post("/jobs/a/cancel")
        browser.post("/jobs/a/cancel")
        browser.post("/queues/pause", {"queue": "x\x1b[0m"})
        browser.post("/jobs/act", {"deed": "delete", "which": "all", "state": "cancelled"})

        noted = [deed for _, deed in mill.app.storage.audit.page(limit=9).deeds]
        assert [(deed.who, deed.origin, deed.what, deed.subject, deed.number) for deed in noted] == [
            (r"ann\n", "127.0.0.1", "delete", "jobs with state=cancelled", 1),
            (r"ann\n", "127.0.0.1", "pause", r"x\x1b[0m", 1),
            (r"ann\n", "127.0.0.1", "cancel", "a", 0),
            (r"ann\n", "127.0.0.1", "cancel", "a", 1),
        ]
        assert [record.getMessage() for record in caplog.records] == [
            r"ann\n (127.0.0.1): cancel a",
            r"ann\n (127.0.0.1): cancel a (nothing was done)",
            r"ann\n (127.0.0.1): pause x\x1b[0m",
            r"ann\n (127.0.0.1): delete jobs with state=cancelled",
        ]

    @pytest.mark.parametrize("state", [State.QUEUED, State.FAILED])
    def test_all_that_match_are_those_that_were_counted(
        self, state: State, mill: Mill, browser: Browser
    ) -> None:
        storage = mill.app.storage
        worker = Worker(storage)

        def add(*names: str) -> None:
            storage.jobs.add([a_job(name, queue="q") for name in names])
            if state is State.FAILED:
                for claimed in worker.claim():
                    worker.settle(claimed, failed())

        add("a", "b")
        wanted = {"deed": "delete", "which": "all", "state": str(state), "queue": "q"}
        asked = browser.post("/jobs/ask", wanted).body
        add("later")
        form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', asked))

        answer = browser.post("/jobs/act", {name: unescape(value) for name, value in form.items()})

        assert "Delete 2 jobs?" in asked
        assert said(browser, answer) == "2 jobs deleted."
        assert states_of(storage) == {"later": state}

    def test_what_has_been_retried_is_no_error_any_more(self, mill: Mill, browser: Browser) -> None:
        storage = mill.app.storage
        storage.jobs.add([a_job("a"), a_job("b")])
        worker = Worker(storage)
        for claimed in worker.claim():
            worker.settle(claimed, failed())
        page = browser.get("/errors").body
        kind = re.search(r'name="kind" value="(\w+)"', page)
        assert kind is not None
        storage.jobs.retry("a")

        asked = browser.post("/jobs/ask", {"deed": "delete", "which": "kind", "kind": kind[1]}).body

        assert "Delete 1 job?" in asked

    @pytest.mark.parametrize(
        "path, form, what",
        [
            ("/jobs/act", {"deed": "delete", "id": ["a", "b", "c"]}, "delete"),
            ("/queues/purge", {"queue": "default", "what": "waiting"}, "purge of waiting jobs"),
        ],
    )
    def test_what_is_broken_off_is_noted_as_far_as_it_came(
        self, path: str, form: dict[str, str], what: str, mill: Mill, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        jobs = mill.app.storage.jobs
        jobs.add([a_job(name) for name in "abc"])
        delete = jobs.delete

        def break_off(job_ids: Sequence[str]) -> int:
            if "c" in job_ids:
                raise StoreUnavailable("no room")
            return delete(job_ids)

        def purge(**wanted: object) -> int:
            return break_off([min(states_of(mill.app.storage))])

        monkeypatch.setattr(jobs, "delete", break_off)
        monkeypatch.setattr(jobs, "purge", purge)
        monkeypatch.setattr(steering, "_BATCH", 1)

        answer = Browser(mill.dashboard(auth=None)).post(path, form)

        assert answer.status == 503
        [(_, deed)] = mill.app.storage.audit.page(limit=9).deeds
        assert (deed.what, deed.number) == (what, 2)

    def test_a_form_does_not_say_what_is_noted(self, mill: Mill, browser: Browser) -> None:
        mill.app.storage.jobs.add([a_job("a")])

        browser.post("/jobs/act", {"deed": "delete", "which": "all", "kind": "harmless"})

        [(_, deed)] = mill.app.storage.audit.page(limit=9).deeds
        assert deed.subject == "all jobs"

    def test_a_deed_that_cannot_be_noted_is_done_and_said(
        self, mill: Mill, browser: Browser, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        mill.app.storage.jobs.add([a_job("a")])

        def refuse(deed: Deed) -> None:
            raise StoreUnavailable("no room")

        monkeypatch.setattr(mill.app.storage.audit, "append", refuse)

        assert said(browser, browser.post("/jobs/a/cancel")) == "It is cancelled."
        assert "that could not be noted in the store: no room" in caplog.text

    def test_the_audit_is_read_page_by_page(self, mill: Mill, browser: Browser) -> None:
        for number in range(60):
            mill.app.storage.audit.append(Deed(new_job_id(), "ann", "here", "retry", f"job-{number:02}", 1))

        first = browser.get("/audit").body
        older = re.search(r'href="(/audit\?after=\d+)"', first)

        assert older is not None
        assert ("job-59" in first, "job-10" in first, "job-09" in first) == (True, True, False)
        second = browser.get(older[1]).body
        assert ("job-09" in second, "job-00" in second, "job-10" in second) == (True, True, False)
        assert 'rel="next"' not in second

    def test_a_schedule_runs_beside_its_slots(self, mill: Mill, browser: Browser) -> None:
        @mill.periodic(every(hours=1), name="tidy", queue="q", priority=3)
        def tidy() -> None: ...

        mill.app.storage.schedules.register(name="tidy", task="tidy", spec=every(hours=1).spec)

        location = browser.post("/schedules/run", {"name": "tidy"})["location"]

        [job] = steering.find(mill.app)
        assert location == f"/jobs/{job.job_id}"
        assert (job.task, job.queue, job.priority) == ("tidy", "q", 3)
        [state] = mill.app.storage.schedules.list()
        assert state.fired == 0

    def test_without_the_application_a_schedule_runs_as_it_did_before(
        self, mill: Mill, browser: Browser
    ) -> None:
        store = mill.app.storage.schedules
        state = store.register(name="tidy", task="tidy", spec="every 3600")
        assert said(browser, browser.post("/schedules/run", {"name": "tidy"})).startswith(
            "It could not be run"
        )
        store.fire(
            "tidy",
            after=state.last_slot,
            slot=state.last_slot + 1,
            fire=a_job("old", task="tidy", queue="q"),
            skipped=0,
        )

        browser.post("/schedules/run", {"name": "tidy"})

        assert [(job.task, job.queue) for job in steering.find(mill.app)] == [("tidy", "q")] * 2

    def test_a_schedule_is_paused_and_goes_on(self, mill: Mill, browser: Browser) -> None:
        schedules = mill.app.storage.schedules
        schedules.register(name="tidy", task="tidy", spec="every 3600s")
        form = {"name": "tidy"}

        assert said(browser, browser.post("/schedules/pause", form)).startswith("Schedule tidy is paused")
        assert said(browser, browser.post("/schedules/pause", form)) == "That was so already."
        assert 'action="/schedules/resume"' in browser.get("/schedules").body
        assert schedules.list()[0].paused_at is not None
        assert (
            said(browser, browser.post("/schedules/resume", form))
            == "Schedule tidy goes on with its next slot."
        )
        assert schedules.list()[0].paused_at is None

    def test_a_worker_is_asked_to_stop_once_somebody_is_sure(self, mill: Mill, browser: Browser) -> None:
        sessions = mill.app.storage.sessions
        parent = sessions.open(kind="supervisor", lease=HOUR)
        child = sessions.open(kind="worker", lease=HOUR, parent=parent, serves=Serves(None, ["thread"], []))
        form = {"session": str(child)}

        assert 'action="/workers/stop"' in browser.get("/workers").body
        asked = browser.post("/workers/stop", form).body
        assert asked.count(f"process {os.getpid()}") == 2
        assert not sessions.is_asked_to_stop(parent)
        sure = {**form, "sure": "yes"}
        assert said(browser, browser.post("/workers/stop", sure)).startswith("It was asked to stop")
        assert sessions.is_asked_to_stop(parent)
        assert said(browser, browser.post("/workers/stop", sure)) == "It was asked before, or is gone."
        assert "stopping" in browser.get("/workers").body
        assert said(browser, browser.post("/workers/stop")) == "Nothing was done: name a session."


class TestWhoMayLook:
    @pytest.mark.parametrize(
        "path, act",
        [
            ("/jobs", "/jobs/ask"),
            ("/jobs/broken", "/jobs/broken/retry"),
            ("/jobs/waits", "/jobs/waits/cancel"),
            ("/jobs/later", "/jobs/later/hasten"),
            ("/errors", "/jobs/ask"),
            ("/queues", "/queues/pause"),
            ("/schedules", "/schedules/run"),
            ("/workers", "/workers/stop"),
            ("/enqueue?task=add", "/tasks/enqueue"),
        ],
    )
    def test_is_offered_no_act_where_others_are(self, path: str, act: str, mill: Mill) -> None:
        storage = mill.app.storage
        mill.task(name="add")(lambda a, b: a + b)
        storage.jobs.add([a_job("broken", priority=9), a_job("waits"), a_job("later", delay=HOUR)])
        storage.schedules.register(name="tidy", task="tidy", spec="every 3600s")
        storage.sessions.open(kind="worker", lease=HOUR, serves=Serves(None, ["thread"], ["add"]))
        worker = Worker(storage)
        worker.settle(worker.claim_one(), failed())

        offered = Browser(mill.dashboard(auth=lambda request: Visitor("ann", "operate"))).get(path).body
        shown = Browser(mill.dashboard(auth=lambda request: Visitor("bob", "view"))).get(path).body

        assert f'action="{act}"' in offered
        assert "You may look, not act" in shown
        assert 'method="post"' not in shown


class TestFilters:
    def test_the_address_says_which_jobs_are_listed(self, mill: Mill, browser: Browser) -> None:
        storage = mill.app.storage
        storage.jobs.add([a_job("a", tags='["mail"]', priority=5), a_job("b", tags='["mail"]'), a_job("c")])
        worker = Worker(storage)
        worker.settle(worker.claim_one(), succeeded())
        long_ago, to_come = "2001-02-03T04:05", "2101-02-03T04:05"
        listed = {
            query: [job for job in "abc" if f'id="job-{job}"' in browser.get(f"/jobs?{query}").body]
            for query in (
                "tag=mail",
                "lowest=1&highest=9",
                "tag=mail&highest=4",
                f"enqueued_from={long_ago}&enqueued_before={to_come}",
                f"enqueued_before={long_ago}",
                f"ended_from={long_ago}",
                f"session={worker.session}",
                # What cannot be read lets every job pass.
                "lowest=low&ended_from=yesterday&session=9999999999999999999999&state=lost",
            )
        }

        assert [*listed.values()] == [["a", "b"], ["a"], ["b"], [*"abc"], [], ["a"], ["a"], [*"abc"]]

    def test_what_is_asked_for_goes_along(self, mill: Mill, browser: Browser) -> None:
        mill.app.storage.jobs.add([a_job(f"{number}", tags='["mail"]') for number in range(60)])

        page = browser.get("/jobs?tag=mail&lowest=0&enqueued_from=2001-02-03T04:05").body
        older = re.search(r'rel="next" href="([^"]*)"', page)
        asked = browser.post("/jobs/ask", {"deed": "cancel", "which": "all", "tag": "mail", "lowest": "1"})

        assert older is not None
        assert {"tag=mail", "lowest=0", "enqueued_from=2001-02-03T04%3A05"} < set(
            re.split("[?&]", unescape(older[1]))
        )
        assert "<details open>" in page
        assert "tag <b>mail</b>, priority from <b>1</b>" in asked.body
        assert "Cancel 0 jobs?" in asked.body


class TestOddJobs:
    @pytest.mark.parametrize("done", [10**400, -(10**400), "x", None, []])
    def test_a_job_that_says_nonsense_of_itself_harms_no_page(
        self, done: object, mill: Mill, browser: Browser
    ) -> None:
        storage = mill.app.storage
        storage.jobs.add([a_job("a")])
        worker = Worker(storage)
        said = json.dumps([done, 1, "x", 1])
        storage.journals.write(worker.session, [Writing(worker.claim_one(), [(PROGRESS, said)], [])])

        assert [browser.get(path).status for path in ("/", "/jobs", "/jobs/a", "/workers")] == [200] * 4

    @pytest.mark.parametrize(
        "column, text",
        [
            ("error", "[1,null,{}]"),
            ("error", "7"),
            ("headers", '{"a":1}'),
            ("headers", "[1]"),
            ("tags", "[1]"),
        ],
    )
    def test_nor_does_one_that_is_damaged(
        self, column: str, text: str, mill: Mill, browser: Browser, tmp_path: Path
    ) -> None:
        storage = mill.app.storage
        storage.jobs.add([a_job("a")])
        worker = Worker(storage)
        worker.settle(worker.claim_one(), failed())
        with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as connection:
            connection.execute(f"update taskmill_job set {column} = ?", (text,))  # noqa: S608  (ours)

        assert [browser.get(path).status for path in ("/", "/jobs", "/jobs/a", "/errors")] == [200] * 4

    def test_jobs_with_a_megabyte_each_are_shown_too(self, mill: Mill, browser: Browser) -> None:
        storage = mill.app.storage
        worker = Worker(storage)
        large = json.dumps([[list(range(100_000))], {"x" * 1_000: "y" * 400_000}])
        storage.jobs.add([a_job(f"j{number}", args=large) for number in range(9)])
        for claimed in worker.claim():
            worker.settle(claimed, failed())

        pages = {path: browser.get(path) for path in ("/", "/jobs", "/errors", "/jobs/j1", "/api/v1/jobs")}

        assert {page.status for page in pages.values()} == {200}
        assert max(len(page.body) for page in pages.values()) < 200_000
        assert [job.args for job in latest_failed(storage, patience=9).jobs] == [""] * 9


class TestMounted:
    def test_an_application_has_it_below_a_path(self, mill: Mill) -> None:
        mill.app.storage.jobs.add([a_job("a")])
        app = Starlette()
        app.mount("/ops/jobs", mill.dashboard(auth=None))
        browser = Browser(app)

        assert browser.get("/ops/jobs/").status == 200
        assert 'href="/ops/jobs/jobs/a"' in browser.get("/ops/jobs/jobs").body
        browser.cookies["taskmill-csrf"] = "f" * 32
        assert browser.post("/ops/jobs/jobs/a/cancel")["location"] == "/ops/jobs/jobs/a"
        assert browser.get("/nowhere").status == 404

    def test_the_store_of_this_process_is_the_one_that_is_shown(self) -> None:
        mill = Mill("memory://")
        mill.task(name="add")(lambda a, b: a + b).enqueue(2, 3)

        assert "add" in Browser(mill.dashboard(auth=None)).get("/jobs").body


class TestLive:
    def test_the_first_event_comes_at_once(self, mill: Mill, browser: Browser) -> None:
        mill.app.storage.jobs.add([a_job("a")])

        answer = browser.get("/live")

        assert answer["content-type"].startswith("text/event-stream")
        assert answer.body.startswith("event: changed\ndata: ")


def test_schedules_say_that_nobody_is_at_work(mill: Mill, browser: Browser) -> None:
    mill.app.storage.schedules.register(name="tidy", task="tidy", spec=every(hours=1).spec)
    assert "No worker is alive" in browser.get("/schedules").body

    serves = Serves(frozenset({"default"}), frozenset({"thread"}), frozenset())
    mill.app.storage.sessions.open(kind="worker", lease=HOUR, serves=serves)
    later = Browser(mill.dashboard(auth=None))
    assert "No worker is alive" not in later.get("/schedules").body


def test_the_audit_leads_to_the_job(mill: Mill, browser: Browser) -> None:
    job_id = new_job_id()
    for what, subject in (("cancel", job_id), ("enqueue", f"add {job_id}"), ("pause", "mail")):
        mill.app.storage.audit.append(Deed(new_job_id(), "ann", "here", what, subject, 1))

    page = browser.get("/audit").body

    assert re.findall(rf'href="/jobs/{job_id}">([^<]*)<', page) == [f"add {job_id}", job_id]
