"""URLs that ask for TLS where there is none, or do not ask where there is: they are told what to write instead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from taskmill.errors import StoreUnavailable
from tests import servers
from tests.conftest import without_server
from tests.redis.conftest import OpenStore


@pytest.fixture(scope="module")
def certificates() -> Iterator[Path]:
    """A folder with who is to be trusted, and what such a server shows."""
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1")
    with servers.temporary_folder() as folder:
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        server.private_key_pem.write_to_path(str(folder / "key.pem"))
        server.cert_chain_pems[0].write_to_path(str(folder / "server.pem"))
        for file in folder.iterdir():
            file.chmod(0o644)
        yield folder


@pytest.fixture(scope="module")
def encrypted(certificates: Path) -> Iterator[tuple[servers.Redis, int]]:
    """A server that takes calls as they are, and on another port those by TLS."""
    port = servers.free_port()
    settings = {
        "tls_port": str(port),
        "tls_cert_file": str(certificates / "server.pem"),
        "tls_key_file": str(certificates / "key.pem"),
        "tls_ca_cert_file": str(certificates / "ca.pem"),
        "tls_auth_clients": "no",
    }
    try:
        with servers.redis(**settings) as server:
            yield server, port
    except servers.NoServerError as error:
        without_server(str(error))


def refusal(open_store: OpenStore, url: str, timeout: float = 30, **options: object) -> str:
    with pytest.raises(StoreUnavailable) as refused:
        open_store(url, timeout=timeout, **options).version()
    return str(refused.value)


def test_who_speaks_plainly_to_tls_is_told(
    encrypted: tuple[servers.Redis, int], open_store: OpenStore
) -> None:
    told = refusal(open_store, f"redis://127.0.0.1:{encrypted[1]}", timeout=0.5)

    assert "speaks TLS, and the URL does not: begin it with rediss://" in told


def test_who_speaks_tls_to_a_plain_server_is_told(
    encrypted: tuple[servers.Redis, int], open_store: OpenStore
) -> None:
    told = refusal(open_store, f"rediss://127.0.0.1:{encrypted[0].port}", timeout=0.5)

    assert "does not speak TLS, which the URL asks for: begin it with redis://" in told


def test_whom_to_trust_is_asked_for(encrypted: tuple[servers.Redis, int], open_store: OpenStore) -> None:
    told = refusal(open_store, f"rediss://127.0.0.1:{encrypted[1]}")

    assert "is not trusted" in told
    assert "?ca_certs=/path" in told


def test_a_file_that_cannot_be_read_is_named(
    encrypted: tuple[servers.Redis, int], open_store: OpenStore, tmp_path: Path
) -> None:
    told = refusal(open_store, f"rediss://127.0.0.1:{encrypted[1]}", ca_certs=tmp_path / "none")

    assert (
        told
        == f"the file {tmp_path}/none, named by ca_certs in the URL, cannot be read: No such file or directory"
    )


def test_where_both_speak_tls_it_is_used(
    encrypted: tuple[servers.Redis, int], certificates: Path, open_store: OpenStore
) -> None:
    store = open_store(f"rediss://127.0.0.1:{encrypted[1]}", ca_certs=certificates / "ca.pem")

    assert store.version() == 0


def test_of_a_server_that_is_not_there_nothing_is_guessed(open_store: OpenStore) -> None:
    for scheme in ("redis", "rediss"):
        told = refusal(open_store, f"{scheme}://127.0.0.1:{servers.free_port()}", timeout=0.2)
        assert "did not answer" in told
