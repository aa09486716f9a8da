"""Texts that are made to do harm, in every field and on every page: they stay texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from taskmill import Mill
from taskmill._web.site import ACTIONS, PAGES
from tests.web import hostile
from tests.web.browser import Answer, Browser

LISTS = [path for path in PAGES if "{" not in path and path != "/enqueue"]
# What the templates are made of. A text that got out would bring another one.
TAGS = frozenset(
    {
        *(
            "html",
            "head",
            "meta",
            "title",
            "link",
            "script",
            "body",
            "header",
            "footer",
            "nav",
            "main",
            "dialog",
        ),
        *(
            "a",
            "b",
            "p",
            "h1",
            "h2",
            "span",
            "div",
            "section",
            "figure",
            "time",
            "kbd",
            "pre",
            "details",
            "summary",
        ),
        *("ul", "ol", "li", "dl", "dt", "dd", "table", "thead", "tbody", "tr", "th", "td"),
        *(
            "form",
            "input",
            "button",
            "label",
            "select",
            "option",
            "datalist",
            "fieldset",
            "legend",
            "code",
            "svg",
            "circle",
            "path",
            "rect",
            "progress",
        ),
    }
)
ADDRESSES = frozenset({"href", "src", "action", "data-live", "data-root"})


class Reader(HTMLParser):
    """Notes what is no text of ours."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.faults: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            self.faults.append(f"<{tag}>")
        for name, value in attrs:
            if (
                name.startswith("on")
                or name == "style"
                or (name.startswith("hx-") and name != "hx-morph-skip")
            ):
                self.faults.append(f"{tag} {name}={value}")
            if name in ADDRESSES and not (value or "").startswith(("/", "#")) and value != "":
                self.faults.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.faults.append(f"comment {data}")


def faults_of(answer: Answer) -> list[str]:
    reader = Reader()
    reader.feed(answer.body)
    reader.close()
    steering = [char for text in reader.text for char in text if not char.isprintable() and char != "\n"]
    return [*reader.faults, *map(repr, steering)]


@pytest.fixture(scope="module")
def mill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mill]:
    store = Mill(f"sqlite:///{Path(tmp_path_factory.mktemp('hostile')) / 'jobs.db'}?durability=normal")
    hostile.fill(store)
    yield store
    store.close()


@pytest.fixture(scope="module")
def browser(mill: Mill) -> Browser:
    return Browser(mill.dashboard(auth=None))


@pytest.mark.parametrize("path", LISTS)
def test_a_page_shows_them_as_text(path: str, browser: Browser) -> None:
    answer = browser.get(path)

    assert answer.status == 200
    assert faults_of(answer) == []


def test_every_job_shows_them_as_text(browser: Browser, mill: Mill) -> None:
    jobs = mill.app.storage.inspection.find(limit=1_000)

    faults = {}
    for job in jobs:
        answer = browser.get(f"/jobs/{quote(job.job_id)}")
        faults[job.job_id] = ([] if answer.status == 200 else [str(answer.status)]) + faults_of(answer)

    assert len(jobs) >= 6 * len(hostile.TEXTS)
    assert {job_id: found for job_id, found in faults.items() if found} == {}


@pytest.mark.parametrize("text", hostile.TEXTS)
def test_what_an_address_asks_for_is_found_and_stays_text(text: str, browser: Browser) -> None:
    for name in ("task", "queue", "text"):
        answer = browser.get(f"/jobs?{urlencode({name: text})}")
        assert (answer.status, faults_of(answer)) == (200, [])
        assert 'id="job-' in answer.body

    answers = [
        browser.get(f"/jobs?{urlencode({'state': text, 'after': text})}"),
        browser.get(f"/jobs/{quote(text, safe='')}"),
        browser.get(f"/login?{urlencode({'token': text})}"),
        browser.get(f"/errors?{urlencode({'task': text})}"),
    ]
    assert [faults_of(answer) for answer in answers if "html" in answer["content-type"]].count([]) >= 2


@pytest.mark.parametrize("text", hostile.TEXTS)
@pytest.mark.parametrize("path", [path for path in ACTIONS if path != "/queues/resume"])
def test_what_a_form_says_stays_text(path: str, text: str, browser: Browser) -> None:
    names = ("id", "queue", "task", "text", "state", "name", "kind", "back", "what", "which")
    form = dict.fromkeys(names, text)

    answer = browser.post(path.replace("{job_id}", quote(text, safe="")), form | {"deed": "retry"})

    # A path with a slash in it is another path.
    assert answer.status in ({404} if "{" in path and "/" in text else {200, 303})
    assert faults_of(answer) == []
    if answer.status == 303:
        assert re.match(r"/(?!/)[!-~]*$", answer["location"])
        # It says what was done, with the texts that it was done to.
        assert faults_of(browser.get("/jobs/nobody")) == []
