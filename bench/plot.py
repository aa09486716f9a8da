"""The picture of a run; the same numbers give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.figure import Medians
from bench.subjects import BESIDE

PANELS = {
    "jobs a second (more is better; log scale)": {
        "drain.rate": "drain",
        "enqueue.by_1": "enqueue,\n1 thread",
        "enqueue.by_8": "enqueue,\n8 threads",
        "enqueue.by_16": "enqueue,\n16 threads",
    },
    "ms, median (less is better; log scale)": {
        "latency.start": "enqueue\nto start",
        "latency.result": "enqueue\nto result",
        "delay.late": "late after\na delay of 1 s",
    },
}
COLOURS = {
    "taskmill": "#1f6f8b",
    "taskmill-redis": "#4fa3a5",
    "taskmill-postgres": "#12394a",
    "huey": "#e07a5f",
    "huey-nofsync": "#f2cc8f",
    "huey-redis": "#9a8c98",
}
SETTINGS = {"svg.hashsalt": "taskmill", "svg.fonttype": "path", "font.size": 9}


def draw(medians: Medians, file: Path) -> None:
    """Write an SVG file."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    subjects = [name for name in BESIDE if any(subject == name for subject, _ in medians)]
    with mpl.rc_context(SETTINGS):
        picture = Figure(figsize=(9, 3.6), layout="constrained")
        for axes, (title, rows) in zip(picture.subplots(1, len(PANELS)), PANELS.items(), strict=True):
            _draw_panel(axes, title, rows, subjects, medians)
        handles, labels = picture.axes[0].get_legend_handles_labels()
        picture.legend(handles, labels, loc="outside lower center", ncols=len(subjects), frameon=False)
        picture.savefig(file, format="svg", metadata={"Date": None, "Creator": None})


def _draw_panel(
    axes: Any, title: str, rows: dict[str, str], subjects: Sequence[str], medians: Medians
) -> None:
    from matplotlib.ticker import LogLocator

    axes.set_title(title, fontsize=10)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.yaxis.set_minor_formatter("")
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.set_xticks(range(len(rows)), rows.values())
    axes.spines[["top", "right"]].set_visible(False)
    width = 0.85 / len(subjects)
    for index, subject in enumerate(subjects):
        places = [place + (index - (len(subjects) - 1) / 2) * width for place in range(len(rows))]
        heights = [medians.get((subject, key), float("nan")) for key in rows]
        axes.bar(places, heights, width, label=BESIDE[subject].title, color=COLOURS[subject])
