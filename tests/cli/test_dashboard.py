"""`taskmill dashboard`: where it listens, who is let in, how it ends."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from taskmill import Mill
from taskmill._app.application import Application
from taskmill._cli.dashboard import _tokens
from taskmill._web.server import Server, ServerOptions, is_loopback
from tests.cli.shell import Shell

EVERYWHERE = "0.0.0.0"  # noqa: S104  (what is warned of)
TOKEN = "0123456789abcdef"


def url_of(tmp_path: Path) -> str:
    with closing(Mill(f"sqlite:///{tmp_path / 'jobs.db'}")) as mill:
        mill.task(name="add")(lambda: None).enqueue()
        return mill.url


@contextmanager
def killed(process: subprocess.Popen[str]) -> Iterator[None]:
    """Let no process outlive a test that fails."""
    try:
        yield
    finally:
        process.kill()


def test_it_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", "-m", "taskmill", "dashboard"]
    words = ["--url", url_of(tmp_path), "--port", "0", "--read-only"]
    with subprocess.Popen([*command, *words], stderr=subprocess.PIPE, text=True) as process, killed(process):
        assert process.stderr is not None
        told = process.stderr.readline()
        found = re.search(r"http://(127\.0\.0\.1:\d+)/login\?token=([0-9a-f]{32}) ", told)
        assert found is not None, told
        with closing(http.client.HTTPConnection(found[1], timeout=45)) as connection:
            connection.request("GET", f"/login?token={found[2]}")
            page = connection.getresponse().read().decode()
            connection.request("GET", "/live")
            refused = connection.getresponse()
            refused.read()
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        process.wait()

    assert "Sign in" in page
    assert refused.status == 401
    assert (process.returncode, rest) == (0, "")


@pytest.mark.parametrize("host", ["::", "192.0.2.1", "example.org"])
def test_others_do_not_reach_it_without_a_token_of_ones_own(host: str, shell: Shell, tmp_path: Path) -> None:
    answer = shell("dashboard", "--url", url_of(tmp_path), "--host", host)

    assert answer.status == 2
    assert f"others could reach {host}: set TASKMILL_DASHBOARD_TOKEN" in answer.err


def test_a_token_that_can_be_guessed_is_refused(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKMILL_DASHBOARD_TOKEN", TOKEN[:-1])

    answer = shell("dashboard", "--url", url_of(tmp_path), "--port", "0")

    assert answer.status == 2
    assert "a token has 16 characters or more" in answer.err


def test_a_port_that_is_taken_is_said_to_be(shell: Shell, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        answer = shell("dashboard", "--url", url_of(tmp_path), "--port", str(taken.getsockname()[1]))

    assert answer.status == 2
    assert "cannot listen on 127.0.0.1 port" in answer.err


def test_a_port_that_is_none_is_refused(shell: Shell) -> None:
    answer = shell("dashboard", "--port", "65536")

    assert answer.status == 2
    assert "65536 is no port" in answer.err


def test_a_store_of_another_process_only_can_be_shown(shell: Shell) -> None:
    answer = shell("dashboard", "--url", "memory://")

    assert answer.status == 2
    assert "cannot be seen from another one" in answer.err


@pytest.mark.parametrize(
    "use, status",
    [
        ("from taskmill._cli.main import main; sys.exit(main(['dashboard']))", 2),
        ("from taskmill import Mill; Mill('memory://').dashboard(auth=None)", 1),
    ],
)
def test_without_what_it_needs_it_says_what_to_install(use: str, status: int, tmp_path: Path) -> None:
    code = f"import sys; sys.modules['uvicorn'] = sys.modules['jinja2'] = None; {use}"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == status
    assert "which is not installed: pip install 'taskmill[dashboard]'" in done.stderr


@pytest.mark.parametrize(
    "operate, view, is_read_only, tokens",
    [
        ("", "", False, {}),
        ("a", "", False, {"operate": "a"}),
        ("a", "b", False, {"operate": "a", "view": "b"}),
        ("a", "b", True, {"view": "b"}),
        ("a", "", True, {"view": "a"}),
    ],
)
def test_the_environment_has_the_tokens(
    operate: str, view: str, is_read_only: bool, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKMILL_DASHBOARD_TOKEN", operate)
    monkeypatch.setenv("TASKMILL_DASHBOARD_VIEW_TOKEN", view)

    assert _tokens(is_read_only=is_read_only) == tokens


def test_a_token_of_ones_own_is_not_printed() -> None:
    server = Server(Application("memory://"), ServerOptions(tokens={"operate": TOKEN}))

    with closing(server._socket):
        assert server.url == f"http://127.0.0.1:{server.port}/"


@pytest.mark.parametrize(
    "host, names, is_warned",
    [(EVERYWHERE, (), True), (EVERYWHERE, ["jobs.example.org"], False), ("127.0.0.1", (), False)],
)
def test_tokens_that_go_through_a_network_in_plain_text_are_warned_of(
    host: str, names: Sequence[str], caplog: pytest.LogCaptureFixture, *, is_warned: bool
) -> None:
    options = ServerOptions(host=host, tokens={"operate": TOKEN}, names=names)
    with closing(Server(Application("memory://"), options)._socket):
        assert ("is served over plain HTTP" in caplog.text) is is_warned


@pytest.mark.parametrize("names, is_believed", [((), False), (["jobs.example.org"], True)])
def test_only_a_proxy_that_was_named_says_who_asks(names: Sequence[str], is_believed: bool) -> None:
    """Also by which way: a cookie is for TLS only where the proxy says that there is TLS."""
    server = Server(Application("memory://"), ServerOptions(tokens={"operate": TOKEN}, names=names))
    thread = threading.Thread(target=server.run)
    thread.start()
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=45)) as connection:
        connection.request(
            "GET", "/login", headers={"x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.1"}
        )
        cookie = connection.getresponse().getheader("set-cookie")
    server.stop()
    thread.join()

    assert cookie is not None
    assert ("secure" in cookie.lower()) is is_believed


@pytest.mark.parametrize(
    "host, is_it",
    [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True), ("10.0.0.1", False)],
)
def test_what_this_machine_only_reaches(host: str, is_it: bool) -> None:
    assert is_loopback(host) is is_it
