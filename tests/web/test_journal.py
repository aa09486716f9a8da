"""What jobs say, on their pages and in the list."""

from __future__ import annotations

import json
import re

from taskmill import Mill
from taskmill._core.journal import PROGRESS, line_text, progress_text
from taskmill._storage.base import Writing
from tests.conformance.builders import Worker, a_job, released
from tests.web.browser import Browser


def a_job_that_says(mill: Mill, *sheets: tuple[int, str]) -> None:
    storage = mill.app.storage
    storage.jobs.add([a_job("j", max_attempts=2)])
    worker = Worker(storage)
    claimed = worker.claim_one()
    storage.journals.write(worker.session, [Writing(claimed, sheets, [])])


def test_a_running_job_shows_how_far_it_is_and_so_does_the_list(mill: Mill, browser: Browser) -> None:
    a_job_that_says(mill, (PROGRESS, progress_text(1_234_567, 2_469_134, "rows", 1)))

    for path in ("/jobs/j", "/jobs"):
        page = browser.get(path).body
        assert '<progress aria-label="How far it is" max="1" value="0.5000"></progress>' in page
        assert "1234567 of 2469134" in page
        assert "rows" in page


def test_without_a_total_the_bar_says_only_that_it_goes_on(mill: Mill, browser: Browser) -> None:
    a_job_that_says(mill, (PROGRESS, progress_text(0.5, None, "", 1)))

    page = browser.get("/jobs/j").body

    assert '<progress aria-label="How far it is"></progress> <span class="num">0.5</span></p>' in page


def test_a_job_shows_its_lines_by_attempt_and_what_is_left_out(mill: Mill, browser: Browser) -> None:
    a_job_that_says(
        mill, (1, line_text(1, "INFO", "app", "first")), (9, line_text(2, "ERROR", "app", "two\nlines"))
    )

    page = browser.get("/jobs/j").body

    assert '<span class="message">first</span>' in page
    assert "[... 7 lines left out ...]" in page
    assert '<span class="message">two\nlines</span>' in page


def test_what_was_said_before_a_job_was_given_back_is_told_from_what_came_after(
    mill: Mill, browser: Browser
) -> None:
    storage = mill.app.storage
    storage.jobs.add([a_job("j")])
    worker = Worker(storage)
    for said in ("first", "second"):
        claimed = worker.claim_one()
        storage.journals.write(
            worker.session, [Writing(claimed, [(1, line_text(1, "INFO", "app", said))], [])]
        )
        worker.settle(claimed, released(), started_at=storage.now())

    page = browser.get("/jobs/j").body

    log = page[page.index("<h2>Log</h2>") :]
    assert log.index("first") < log.index("attempt 1, begun again") < log.index("second")
    timeline = re.findall(r'<span class="kind">(\w+)</span>', page)
    assert timeline == ["enqueued", "started", "released", "started", "released"]
    assert set(re.findall(r'id="attempt-(\d)"', page)) == {"1", "2"}
    told = json.loads(browser.get("/api/v1/jobs/j").body)
    assert [event["kind"] for event in told["events"]] == timeline
    assert [(line["attempt"], line["fence"]) for line in told["log"]] == [(1, 1), (1, 2)]


def test_a_job_that_says_nothing_has_neither(mill: Mill, browser: Browser) -> None:
    mill.app.storage.jobs.add([a_job("j")])

    page = browser.get("/jobs/j").body

    assert "<progress" not in page
    assert "<h2>Log</h2>" not in page
