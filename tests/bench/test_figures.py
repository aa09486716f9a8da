"""Each figure of ours can be measured, however small, and the page has room for the outcome; no timing is looked at."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest

from bench.figure import Figure, Measurement, Medians, Target
from bench.page import PAGE
from bench.plan import MEASUREMENTS
from bench.plot import COLOURS
from bench.report import table
from bench.runner import Run, measure
from bench.site import Numbers, Site
from bench.subjects import BESIDE
from bench.subjects.base import ROOT

TINY = 0.001


@pytest.mark.parametrize("measurement", MEASUREMENTS, ids=lambda measurement: measurement.name)
def test_a_measurement_yields_the_numbers_of_its_figures(measurement: Measurement) -> None:
    numbers = measure(measurement.name, "taskmill", TINY)

    assert {figure.name for figure in measurement.figures} <= set(numbers)
    assert all(math.isfinite(number) for number in numbers.values())


def test_every_target_refers_to_something_that_is_measured() -> None:
    keys = {each.key(figure) for each in MEASUREMENTS for figure in each.figures}

    for each in MEASUREMENTS:
        for target in (target for figure in each.figures for target in figure.targets):
            assert target.of in {"", "sync", "paused sync", *each.subjects, *keys}


def test_the_environment_of_a_peer_needs_no_client_of_a_server_that_the_peer_does_not_use() -> None:
    hidden = "import sys; sys.modules.update(psycopg=None, redis=None, huey=None)"

    subprocess.run(
        [sys.executable, "-c", f"{hidden}; import bench.child, bench.worker"], cwd=ROOT, check=True
    )


def test_every_subject_of_the_picture_has_a_colour_of_its_own() -> None:
    assert COLOURS.keys() == BESIDE.keys()
    assert len({*COLOURS.values()}) == len(COLOURS)


def rows(medians: Medians) -> list[list[str]]:
    def drain(site: Site) -> Numbers:
        raise NotImplementedError(site)

    figures = (
        Figure("rate", "jobs/s", "higher", (Target(1_000), Target(2, "huey", told="times Huey"))),
        Figure("start", "ms", "lower", (Target(2, "sync", 0.5, "syncs"),)),
        Figure("half", "share", "higher", (Target(0.5, "drain.rate", told="of the rate"),)),
    )
    measurement = Measurement(measure=drain, subjects=["taskmill", "huey"], figures=figures)
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table([measurement], medians)]


def test_the_table_holds_each_figure_against_its_targets_and_the_others() -> None:
    medians = {
        ("", "sync"): 0.2,
        ("taskmill", "drain.rate"): 1_500.0,
        ("taskmill", "drain.start"): 0.8,
        ("taskmill", "drain.half"): 750.0,
        ("huey", "drain.rate"): 1_000.0,
        ("huey", "drain.start"): 8.0,
    }

    head, _, rate, start, half = rows(medians)

    assert head == ["figure", "taskmill", "target", "reached", "Huey", "times"]
    assert rate == ["jobs/s", "1,500", ">= 1,000, >= 2 times Huey", "yes, no", "1,000", "1.5"]
    assert start == ["ms", "0.80", "<= 2 syncs + 0.5", "yes", "8.00", "10.0"]
    assert half == ["share", "750", ">= 0.5 of the rate", "yes", "-", "-"]


def test_what_was_not_measured_is_a_dash_and_reaches_nothing() -> None:
    _, _, rate, start, _ = rows({("taskmill", "drain.rate"): 1_500.0})

    assert rate[1:4] == ["1,500", ">= 1,000, >= 2 times Huey", "yes, ?"]
    assert start[1:4] == ["-", "<= 2 syncs + 0.5", "-"]


def test_a_measurement_that_fails_is_told_and_the_others_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    def no_such_figure(site: Site) -> Numbers:
        raise NotImplementedError(site)

    run = Run()
    run.measure(
        [Measurement(measure=no_such_figure, subjects=["taskmill"], figures=())], rounds=1, scale=TINY
    )

    assert list(run.failures) == ["taskmill"]
    assert "1/1 no_such_figure, taskmill: failed" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["measured", "profile", "peers"])
def test_the_page_has_markers(part: str) -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert page.index(f"<!-- {part} -->\n") < page.index(f"<!-- /{part} -->\n")
