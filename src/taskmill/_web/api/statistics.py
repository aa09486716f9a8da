"""What workers counted, by the minute, and how the whole store stands."""

from __future__ import annotations

from taskmill._core.instant import MINUTE, SECOND, to_datetime
from taskmill._core.job import State
from taskmill._web.api import shapes
from taskmill._web.api.telling import duration, instant
from taskmill._web.charts import MINUTES, curves_until
from taskmill._web.pages.overview import drained_in
from taskmill._web.visit import Visit


def series(visit: Visit, query: shapes.StatisticsQuery) -> shapes.Statistics:
    """How attempts ended and how long they ran, by the minute."""
    minutes = query.get("minutes", MINUTES)
    since = visit.reader.storage.now() // MINUTE - minutes + 1
    tallies = visit.reader.storage.statistics.series(since=since, task=query.get("task"))
    return {
        "tallies": [
            {
                "minute": instant(to_datetime(tally.minute * MINUTE)),
                "task": tally.task,
                "event": tally.event,
                "within": (1 << tally.bucket) / SECOND if tally.bucket else 0.0,
                "number": tally.number,
            }
            for tally in tallies
        ]
    }


def overview(visit: Visit) -> shapes.Overview:
    """Is everything all right."""
    survey = visit.reader.survey.get()
    now = visit.reader.storage.now()
    found = curves_until(visit.reader.storage, now)
    done_in = drained_in(survey, found.rate)
    return {
        "store": visit.place,
        "now": instant(to_datetime(now)),
        "states": {str(state): survey.counts[state] for state in State},
        "due": survey.due,
        "drained_in": None if done_in is None else done_in.total_seconds(),
        "workers": len(survey.census.working),
        "wait": duration(found.wait),
        "run": duration(found.run),
        "findings": [
            {
                "name": finding.name,
                "severity": finding.severity.value,
                "found": finding.found,
                "advice": finding.advice,
            }
            for finding in survey.findings
        ],
    }
