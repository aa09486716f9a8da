"""docs/performance.md, where parts between two markers are written by a run."""

from __future__ import annotations

from bench.subjects.base import ROOT

PAGE = ROOT / "docs" / "performance.md"
PLOT = PAGE.with_suffix(".svg")


def write(part: str, text: str) -> None:
    """Put *text* between ``<!-- PART -->`` and ``<!-- /PART -->``."""
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(f"<!-- {part} -->\n")
    _, end, after = rest.partition(f"<!-- /{part} -->\n")
    if not end:
        raise SystemExit(f"bench: {PAGE.relative_to(ROOT)} has no markers for {part!r}")
    PAGE.write_text(f"{before}{begin}\n{text}\n\n{end}{after}", encoding="utf-8")
