"""The dashboard in a real browser, over a store that has everything: each page and act, live, by keys, on a phone."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright

from taskmill import Job, Mill, State
from taskmill._app import steering
from taskmill._app.visitor import Role
from taskmill._core.filter import Filter
from taskmill._web.access import Tokens
from taskmill._web.server import Server, ServerOptions
from taskmill._web.site import PAGES
from tests.web import hostile, shop
from tests.web.screen import Screen

LISTS = [path for path in PAGES if "{" not in path and path != "/enqueue"]
TOKEN, VIEW_TOKEN = "operate-0123456789abcdef", "view-0123456789abcdef"
TOKENS: dict[Role, str] = {"operate": TOKEN, "view": VIEW_TOKEN}

figures = logging.getLogger("figures")

# In milliseconds: how long is waited for what a busy machine takes its time for.
PATIENCE = 60_000
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mill]:
    """A store in which something happens."""
    shop.mill.configure(f"sqlite:///{tmp_path_factory.mktemp('shop') / 'shop.db'}?durability=normal")
    shop.fill(shop.mill)
    with shop.at_work(shop.mill):
        yield shop.mill
    shop.mill.close()


@contextmanager
def served(mill: Mill) -> Iterator[str]:
    """Where its dashboard is, inside of the block."""
    server = Server(mill.app, ServerOptions(tokens=TOKENS))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server.url.rstrip("/")
    finally:
        server.stop()
        thread.join()


@pytest.fixture(scope="module")
def address(filled: Mill) -> Iterator[str]:
    with served(filled) as place:
        yield place


@pytest.fixture(scope="module")
def program(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


Open = Callable[..., Screen]


@pytest.fixture
def screens(program: Browser, address: str) -> Iterator[Open]:
    """Opens a tab of somebody who is signed in; when the test is over, no tab may have seen a fault."""
    contexts: list[BrowserContext] = []
    opened: list[Screen] = []
    tokens = Tokens(TOKENS)

    def open_screen(*, role: Role | None = "operate", at: str = address) -> Screen:
        context = program.new_context(
            viewport={"width": 1280, "height": 800}, color_scheme="light", reduced_motion="reduce"
        )
        context.set_default_timeout(PATIENCE)
        if role is not None:
            context.add_cookies([{"name": tokens.cookie, "value": tokens.pass_for(role), "url": at}])
        contexts.append(context)
        opened.append(Screen(context, at))
        return opened[-1]

    yield open_screen
    for context in contexts:
        context.close()
    assert [fault for screen in opened for fault in screen.faults] == []


@pytest.fixture
def screen(screens: Open) -> Screen:
    return screens()


def a_job(mill: Mill, **wanted: object) -> Job:
    """The oldest one that is so."""
    return steering.find(mill.app, Filter(**wanted), limit=1_000)[-1]


def state_of(mill: Mill, job_id: str) -> State | None:
    job = mill.app.storage.inspection.job(job_id)
    return None if job is None else job.state


def paths(mill: Mill) -> dict[str, str]:
    """An address of each page, and of jobs of which each says something else."""
    states = (State.FAILED, State.RUNNING, State.QUEUED)
    jobs = {f"a job, {state}": steering.find(mill.app, Filter(states=[state]), limit=1) for state in states}
    found = {f"a job, {state}": f"/jobs/{found[0].job_id}" for state, found in jobs.items() if found}
    return {
        **{path: path for path in LISTS},
        **found,
        "a search": "/jobs?text=customer7&state=succeeded",
        "a form": "/enqueue?task=shop.orders.import_orders",
    }


class TestLooks:
    def test_each_page_is_sound(self, screen: Screen, filled: Mill) -> None:
        """axe finds nothing serious, in the dark neither; and no page is wider than a phone or a tablet."""
        faults = []
        pages = paths(filled)
        for name, path in pages.items():
            page = screen.open(path)
            faults += [(name, fault) for fault in screen.judged()]
            page.emulate_media(color_scheme="dark")
            faults += [(name, "dark", fault) for fault in screen.judged("color-contrast")]
            for width in (820, 360):
                page.set_viewport_size({"width": width, "height": 780})
                faults += [(name, width, wide) for wide in [screen.overflow()] if wide]
            page.emulate_media(color_scheme="light")
            page.set_viewport_size({"width": 1280, "height": 800})

        assert faults == []
        assert len(pages) == len(LISTS) + 5

    def test_nor_where_one_signs_in_and_where_one_is_asked(self, screens: Open, filled: Mill) -> None:
        stranger, screen = screens(role=None), screens()
        stranger.open("/login")
        page = screen.open("/jobs?state=failed")
        page.get_by_label("Tick all of this page").check()
        page.get_by_role("button", name="Retry").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Retry")

        assert stranger.judged() == []
        assert screen.judged() == []

    def test_the_theme_is_as_one_chose_it(self, screen: Screen) -> None:
        page = screen.open("/")
        light = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.get_by_role("button", name="Theme").click()
        page.get_by_role("button", name="Theme").click()
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")

        page.reload()

        assert dark != light
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark

    def test_the_charts_are_drawn(self, screen: Screen) -> None:
        page = screen.open("/")

        expect(page.locator("[data-chart] canvas")).to_have_count(3)


class TestHostileTexts:
    def test_they_do_nothing_and_fit_on_the_screen(self, screens: Open, mill: Mill) -> None:
        hostile.fill(mill)
        jobs = mill.app.storage.inspection.find(limit=1_000)
        faults = []

        with served(mill) as place:
            screen = screens(at=place)
            for path in [*LISTS, *(f"/jobs/{job.job_id}" for job in jobs[:: len(jobs) // 12])]:
                page = screen.open(path)
                expect(page.locator("#live")).to_have_attribute("data-state", "on")
                faults += [(path, screen.overflow())] if screen.overflow() else []
                page.set_viewport_size({"width": 360, "height": 780})
                faults += [(path, "phone", screen.overflow())] if screen.overflow() else []
                page.set_viewport_size({"width": 1280, "height": 800})
            screen.page.close()

        assert faults == []


class TestSigningIn:
    def test_the_address_that_the_terminal_prints_is_enough(self, screens: Open) -> None:
        screen = screens(role=None)

        page = screen.open(f"/login?token={TOKEN}")

        expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
        assert TOKEN not in page.url

    def test_who_is_a_stranger_is_asked_for_the_token(self, screens: Open) -> None:
        screen = screens(role=None)
        page = screen.open("/jobs")

        page.get_by_label("Token").fill(VIEW_TOKEN)
        page.keyboard.press("Enter")

        expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
        expect(page.get_by_text("You may look, not act")).to_be_visible()


class TestOneJob:
    def test_a_failed_job_says_why_and_is_retried(self, screen: Screen, filled: Mill) -> None:
        job = a_job(filled, states=[State.FAILED], task="shop.images.resize")
        page = screen.open(f"/jobs/{job.job_id}")
        expect(page.get_by_text("ValueError: a width of -20 makes no sense").first).to_be_visible()
        expect(page.get_by_role("region", name="Traceback")).to_contain_text("in resize")

        page.get_by_role("button", name="Retry").click()

        expect(page.get_by_text("It is queued again.")).to_be_visible()
        # A worker is at it: it fails once more, by itself, on the page that is open.
        expect(page.get_by_text("Earlier attempts")).to_be_visible()

    def test_secrets_are_not_shown(self, screen: Screen, filled: Mill) -> None:
        mail = a_job(filled, states=[State.SUCCEEDED], task="shop.mail.send_receipt")
        orders = a_job(filled, states=[State.SUCCEEDED], task="shop.orders.import_orders")

        texts = [
            screen.open(path).content()
            for path in (f"/jobs/{mail.job_id}", f"/jobs/{orders.job_id}", "/jobs")
        ]

        assert not [text for text in texts if "hunter2" in text or "k3y" in text or "t0p-secret" in text]
        assert "••••••" in texts[0]
        assert "••••••" in texts[1]

    def test_a_delayed_job_runs_now(self, screen: Screen, filled: Mill) -> None:
        job_id = shop.resize.using(delay=7_000).enqueue("/srv/now.jpg", 1, 1).id
        page = screen.open(f"/jobs/{job_id}")
        expect(page.get_by_text("it was enqueued for later and is due in 2 h")).to_be_visible()

        page.get_by_role("button", name="Run now").click()

        expect(page.locator(".head .badge")).to_have_text("succeeded")

    def test_a_waiting_job_is_cancelled_and_enqueued_again(self, screen: Screen, filled: Mill) -> None:
        job_id = shop.resize.using(delay=3_600, priority=7).enqueue("/srv/again.jpg", 2, 2).id
        page = screen.open(f"/jobs/{job_id}")

        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("It is cancelled.")).to_be_visible()
        page.get_by_role("button", name="Enqueue again").click()

        expect(page.get_by_text("This is a new job with the same call.")).to_be_visible()
        copy = filled.app.storage.inspection.job(page.url.rpartition("/")[2])
        assert copy is not None
        assert (copy.job_id != job_id, copy.args, copy.priority) == (True, '[["/srv/again.jpg",2,2],{}]', 7)

    def test_a_job_that_waits_for_a_lock_says_who_has_it(self, screen: Screen, filled: Mill) -> None:
        waiting = next(
            job for job in steering.find(filled.app, Filter(task="shop.reports.yearly")) if job.waits_for
        )
        page = screen.open(f"/jobs/{waiting.job_id}")
        expect(page.get_by_text("the lock 'reports' is held by a job")).to_be_visible()

        page.get_by_role("link", name="that job").click()

        expect(page.locator(".head .badge")).to_have_text("running")

    def test_a_step_leads_to_the_others(self, screen: Screen, filled: Mill) -> None:
        failed = a_job(filled, states=[State.FAILED], task="shop.invoices.archive")
        page = screen.open(f"/jobs/{failed.job_id}")

        page.locator(".steps").get_by_role("link", name="shop.invoices.notify").click()

        expect(page.get_by_text("Cancelled: a step before it did not succeed.")).to_be_visible()

    def test_it_is_deleted_when_one_is_sure(self, screen: Screen, filled: Mill) -> None:
        job_id = shop.resize.using(delay=3_600).enqueue("/srv/gone.jpg", 3, 3).id
        page = screen.open(f"/jobs/{job_id}")

        page.get_by_role("button", name="Delete").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Delete 1 job?")
        assert state_of(filled, job_id) is State.QUEUED
        page.get_by_role("button", name="Delete 1 job").click()

        expect(page.get_by_text("1 job deleted.")).to_be_visible()
        assert state_of(filled, job_id) is None


class TestManyJobs:
    def test_tabs_filters_and_pages_lead_to_a_job(self, screen: Screen) -> None:
        page = screen.open("/jobs")
        page.get_by_role("link", name=re.compile("^succeeded")).click()
        expect(page.locator("table.jobs tbody tr")).to_have_count(50)
        page.get_by_role("link", name="Older").click()
        page.get_by_role("link", name="Newest").click()
        page.get_by_label("Text", exact=False).last.fill("customer11@")
        page.get_by_role("button", name="Show").click()

        expect(page.locator("table.jobs tbody tr")).to_have_count(1)
        page.locator("table.jobs a").first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text("shop.mail.send_receipt")

    def test_a_view_is_kept_by_a_name_and_found_again(self, screen: Screen) -> None:
        page = screen.open("/jobs")
        page.get_by_label("Tag").fill("receipt")
        page.get_by_text("Priority, times, session").click()
        page.get_by_label("from").first.fill("10")
        page.get_by_role("button", name="Show").click()
        page.get_by_role("button", name="Keep this view").click()
        page.get_by_label("Name").fill("Receipts")
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Forget it")).to_be_visible()

        page.goto(f"{screen.address}/jobs")
        page.get_by_role("link", name="Receipts").click()

        expect(page.get_by_label("Tag")).to_have_value("receipt")
        expect(page.get_by_role("link", name="Receipts")).to_have_attribute("aria-current", "true")
        expect(page.locator("table.jobs tbody tr").first).to_contain_text("shop.mail.send_receipt")
        page.get_by_role("button", name="Forget it").click()
        expect(page.get_by_role("link", name="Receipts")).to_have_count(0)

    def test_those_that_are_ticked_are_retried(self, screen: Screen, filled: Mill) -> None:
        failing = [shop.resize.enqueue("/srv/ticked.jpg", -1, number).id for number in range(3)]
        page = screen.open("/jobs?state=failed&text=ticked")
        expect(page.locator("table.jobs tbody tr")).to_have_count(3)
        page.locator("td.tick input").nth(0).check()
        page.locator("td.tick input").nth(2).check()
        expect(page.locator("#ticked")).to_have_text("2 ticked")

        page.get_by_role("button", name="Retry").click()
        page.get_by_role("button", name="Retry 2 jobs").click()

        expect(page.get_by_text("2 jobs queued again.")).to_be_visible()
        expect(page.locator("table.jobs tbody tr")).to_have_count(3)
        jobs = [filled.app.storage.inspection.job(job_id) for job_id in failing]
        assert sorted(job.max_attempts for job in jobs if job) == [1, 2, 2]

    def test_all_that_match_are_cancelled(self, screen: Screen, filled: Mill) -> None:
        for number in range(60):
            shop.resize.using(delay=3_600).enqueue("/srv/many.jpg", number, 1)
        page = screen.open("/jobs?text=many.jpg")

        page.locator("select[name=which]").select_option("all")
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Cancel 60 jobs?")
        page.get_by_role("button", name="Cancel 60 jobs").click()

        expect(page.get_by_text("60 jobs cancelled, or asked to stop.")).to_be_visible()

    def test_all_of_a_kind_of_error_are_retried(self, screen: Screen, filled: Mill) -> None:
        page = screen.open("/errors")
        panel = page.locator("section.error", has_text="KeyError")
        expect(panel.locator(".figure")).to_have_text("4")

        panel.get_by_role("button", name="Retry 4 jobs").click()
        page.get_by_role("button", name="Retry 4 jobs").click()

        expect(page.get_by_text("4 jobs queued again.")).to_be_visible()


class TestTheOtherPages:
    def test_a_queue_is_paused_and_goes_on(self, screen: Screen, filled: Mill) -> None:
        page = screen.open("/queues")
        row = page.locator("tr", has_text="mail")
        row.get_by_role("button", name="Pause").click()
        expect(page.get_by_text("Queue mail is paused")).to_be_visible()
        job_id = shop.send_receipt.enqueue(1, "paused@example.org").id

        page.goto(f"{screen.address}/jobs/{job_id}")
        expect(page.get_by_text("its queue 'mail' has been paused")).to_be_visible()
        page.goto(f"{screen.address}/queues")
        row.get_by_role("button", name="Resume").click()
        page.goto(f"{screen.address}/jobs/{job_id}")

        expect(page.locator(".head .badge")).to_have_text("succeeded")

    def test_what_waits_in_a_queue_is_deleted(self, screen: Screen, filled: Mill) -> None:
        shop.resize.using(queue="old").enqueue("/srv/old.jpg", 1, 1)
        page = screen.open("/queues")

        page.locator("tr", has_text="old").get_by_role("button", name="Delete jobs").click()
        page.get_by_role("button", name="Delete 1 waiting job").click()

        expect(page.get_by_text("1 job deleted.")).to_be_visible()

    def test_a_schedule_says_when_and_runs_now(self, screen: Screen, filled: Mill) -> None:
        page = screen.open("/schedules")
        expect(page.get_by_text("every hour", exact=False).first).to_be_visible()

        page.locator("tr", has_text="shop.clean_up").get_by_role("button", name="Run now").click()

        expect(page.get_by_role("heading", level=1)).to_have_text("shop.clean_up")
        expect(page.locator(".head .badge")).to_have_text("succeeded")

    def test_a_schedule_is_paused_and_goes_on(self, screen: Screen) -> None:
        page = screen.open("/schedules")
        row = page.locator("tr", has_text="shop.clean_up")

        row.get_by_role("button", name="Pause").click()
        expect(row.locator(".badge")).to_have_text("paused")
        row.get_by_role("button", name="Resume").click()

        expect(row.locator(".badge")).to_have_count(0)
        expect(page.get_by_text("Schedule shop.clean_up goes on")).to_be_visible()

    def test_a_worker_stops_when_it_is_asked(self, screen: Screen, filled: Mill) -> None:
        worker = filled.worker(queues=["elsewhere"])
        worker.start()
        page = screen.open("/workers")

        page.locator("section", has_text="queues elsewhere").get_by_role("button", name="Stop").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Stop this worker?")
        page.get_by_role("button", name="Stop it").click()

        expect(page.get_by_text("It was asked to stop: what runs may finish.")).to_be_visible()
        assert worker.wait(45)
        expect(page.locator("section", has_text="queues elsewhere")).to_have_count(0)

    def test_workers_and_locks_say_what_runs(self, screen: Screen) -> None:
        page = screen.open("/workers")
        expect(page.locator("table.jobs")).to_contain_text("shop.reports.yearly")

        page.goto(f"{screen.address}/locks")

        expect(page.locator("tr", has_text="reports")).to_contain_text("a job of process")

    def test_tasks_say_how_they_do(self, screen: Screen) -> None:
        page = screen.open("/tasks")

        expect(page.locator("tr", has_text="shop.stock.check_stock")).to_contain_text("%")

    def test_a_task_is_enqueued_by_a_form(self, screen: Screen, filled: Mill) -> None:
        page = screen.open("/tasks")
        page.locator("tr", has_text="shop.images.resize").get_by_role("link", name="Enqueue").click()
        page.get_by_label("path").fill("/srv/form.jpg")
        page.get_by_label("width").fill("640")
        page.get_by_label("height").fill("480")

        page.get_by_role("button", name="Enqueue").click()

        expect(page.get_by_text("It is enqueued.")).to_be_visible()
        expect(page.locator(".head .badge")).to_have_text("succeeded")
        page.get_by_role("link", name="Change and enqueue").click()
        expect(page.get_by_label("width")).to_have_value("640")

    def test_what_is_wrong_stands_first(self, screen: Screen) -> None:
        page = screen.open("/")

        expect(page.locator(".callout.error").first).to_contain_text("no living worker serves that")


class TestLive:
    def test_what_happens_is_seen_on_open_pages(self, screens: Open, filled: Mill) -> None:
        overview, jobs = screens().open("/"), screens().open("/jobs?text=live-")
        for page in (overview, jobs):
            expect(page.locator("#live")).to_have_attribute("data-state", "on")

        took = []
        for number in range(1, 6):
            began = time.monotonic()
            shop.resize.enqueue(f"/srv/live-{number}.jpg", 9, 9)
            expect(jobs.locator("table.jobs tbody tr")).to_have_count(number)
            took.append(time.monotonic() - began)

        figures.info(f"a job is seen on an open page {sorted(took)[2]:.2f} s after it was enqueued")
        expect(overview.locator("table.jobs").last).to_contain_text("live-5.jpg")

    def test_a_page_that_is_in_use_is_left_alone(self, screen: Screen, filled: Mill) -> None:
        page = screen.open("/jobs")
        expect(page.locator("#live")).to_have_attribute("data-state", "on")
        page.locator("td.tick input").nth(0).check()

        shop.resize.using(tags=["held"]).enqueue("/srv/held.jpg", 9, 9)

        expect(page.locator("#live")).to_have_attribute("data-state", "held")
        assert page.locator("td.tick input").nth(0).is_checked()
        page.locator("td.tick input").nth(0).uncheck()
        expect(page.locator("table.jobs tbody tr").first).to_contain_text("held.jpg")

    def test_a_choice_that_was_not_sent_yet_stays(self, screen: Screen, filled: Mill) -> None:
        page = screen.open("/jobs")
        expect(page.locator("#live")).to_have_attribute("data-state", "on")
        choice = page.locator("select[name=which]")
        choice.select_option("all")
        choice.blur()

        shop.resize.using(tags=["held"]).enqueue("/srv/held.jpg", 9, 9)

        expect(page.locator("#live")).to_have_attribute("data-state", "held")
        expect(choice).to_have_value("all")
        choice.select_option("ticked")
        choice.blur()
        expect(page.locator("table.jobs tbody tr").first).to_contain_text("held.jpg")

    def test_a_choice_made_while_the_page_was_asked_for_stays(self, screen: Screen, filled: Mill) -> None:
        page = screen.open("/jobs")
        expect(page.locator("#live")).to_have_attribute("data-state", "on")
        choice = page.locator("select[name=which]")

        def choose_first(route: Route) -> None:
            choice.evaluate("(choice) => { choice.value = 'all'; }")
            route.continue_()

        page.route("**/jobs", choose_first)
        shop.resize.using(tags=["held"]).enqueue("/srv/held.jpg", 9, 9)

        expect(page.locator("#live")).to_have_attribute("data-state", "held")
        expect(choice).to_have_value("all")

    def test_what_was_opened_stays_open(self, screen: Screen, filled: Mill) -> None:
        page = screen.open("/errors")
        expect(page.locator("#live")).to_have_attribute("data-state", "on")
        panel = page.locator("section.error", has_text="KeyError")
        panel.get_by_text("Traceback of the latest").click()
        expect(panel.locator("pre.trace")).to_be_visible()

        shop.resize.enqueue("/srv/opened.jpg", -1, 1)

        expect(page.locator("section.error").first).not_to_contain_text("KeyError")
        expect(panel.locator("pre.trace")).to_be_visible()
        expect(page.locator("pre.trace:visible")).to_have_count(1)


class TestKeys:
    def test_all_is_reached_without_a_mouse(self, screen: Screen, filled: Mill) -> None:
        page = screen.open("/")

        press(page, "g", "j")
        expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")
        press(page, "/")
        page.keyboard.type("customer12@")
        press(page, "Enter")
        expect(page.locator("table.jobs tbody tr")).to_have_count(1)
        press(page, "n", "x")
        expect(page.locator("#ticked")).to_have_text("1 ticked")
        press(page, "x", "Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("shop.mail.send_receipt")

    def test_the_keys_are_told(self, screen: Screen) -> None:
        page = screen.open("/")

        press(page, "?")
        expect(page.get_by_role("dialog")).to_be_visible()
        press(page, "Escape")

        expect(page.get_by_role("dialog")).to_be_hidden()

    def test_the_first_key_skips_to_the_content(self, screen: Screen) -> None:
        page = screen.open("/jobs")

        press(page, "Tab", "Enter", "Tab")

        assert page.evaluate("document.activeElement.closest('main') !== null")


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)
