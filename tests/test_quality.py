"""Formatting, lint, import direction and types, as tests: what a tool finds fault with is in the message."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
LINT_IMPORTS = str(Path(PYTHON).with_name("lint-imports"))

TOOLS = {
    "ruff-format": [PYTHON, "-m", "ruff", "format", "--check", "--diff", "."],
    "ruff-check": [PYTHON, "-m", "ruff", "check", "--output-format=concise", "."],
    "import-linter": [LINT_IMPORTS, "--no-cache", "--no-logo"],
    "mypy": [PYTHON, "-m", "mypy"],
    "pyright": [PYTHON, "-m", "basedpyright", "--pythonpath", PYTHON],
    "mutants-apply": [PYTHON, "mutants/run.py", "--dry-run"],
}


@pytest.mark.timeout(600)  # the first run of a type checker reads everything
@pytest.mark.parametrize("tool", TOOLS)
def test_the_tool_finds_no_fault(tool: str) -> None:
    done = subprocess.run(TOOLS[tool], cwd=ROOT, capture_output=True, text=True, check=False)

    if done.returncode:
        pytest.fail(f"{tool}:\n{done.stdout}{done.stderr}", pytrace=False)


def test_no_type_error_is_silenced_in_the_library() -> None:
    silenced = re.compile(r"#\s*(type|pyright):\s*ignore")

    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in (ROOT / "src").rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if silenced.search(line)
    ]

    assert found == []
