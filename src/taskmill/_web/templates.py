"""How values become text in a page: Jinja with everything escaped, and a few words for people."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from taskmill._core.label import label_of
from taskmill._core.wording import clean, clean_lines, counted, sized, span
from taskmill._web.assets import assets

if TYPE_CHECKING:
    from taskmill._web.visit import Visit


_NOTHING = "\N{EN DASH}"


def render(template: str, **values: Any) -> str:
    """The text of a page."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    # Once in a process: to read the templates takes longer than all else.
    environment = Environment(
        loader=PackageLoader("taskmill._web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        clean=clean,
        lines=_lines,
        number=_number,
        span=_span,
        sized=sized,
        short=_short,
        counted=counted,
        iso=_iso,
    )
    environment.globals.update(
        marks={name: asset.mark for name, asset in assets().items()},
        ago=_ago,
        job_path=job_path,
        job_url=_job_url,
        label_of=label_of,
    )
    return environment


def job_path(job_id: str) -> str:
    """Where a job stands, below the root."""
    return f"/jobs/{quote(job_id, safe='')}"


def _job_url(visit: Visit, job_id: str) -> str:
    return visit.url(job_path(job_id))


def _lines(text: str) -> str:
    return "\n".join(clean_lines(text.rstrip("\n")))


def _number(number: int) -> str:
    return f"{number:,}"


def _span(duration: timedelta | float | None) -> str:
    if duration is None:
        return _NOTHING
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    if seconds < 0.001:  # noqa: PLR2004  (below a millisecond)
        return f"{max(seconds, 0) * 1_000_000:.0f} µs"
    return f"{seconds * 1_000:.0f} ms" if seconds < 1 else span(seconds)


def _short(text: str, most: int = 80) -> str:
    """One line of *text*, in which nothing steers, and no longer than that."""
    line = clean(text)
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _ago(moment: datetime | None, now: datetime) -> str:
    """How *moment* lies to *now*, and what the clock said then."""
    if moment is None:
        return _NOTHING
    seconds = (now - moment).total_seconds()
    told = f"{span(seconds)} ago" if seconds >= 0 else f"in {span(seconds)}"
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(_iso(moment), escape(told))
