from __future__ import annotations

import sys
from pathlib import Path

import pytest

from taskmill._storage.memory.storage import MemoryStorage
from taskmill._storage.open import open_storage
from taskmill._storage.postgres.storage import PostgresStorage
from taskmill._storage.redis.address import address
from taskmill._storage.redis.storage import RedisStorage
from taskmill._storage.sqlite.storage import SqliteStorage
from taskmill._storage.urls import shown
from taskmill.errors import ConfigurationError, InvalidURL
from taskmill.testing import FakeClock


def test_memory() -> None:
    clock = FakeClock()

    storage = open_storage("memory://", clock=clock)

    assert isinstance(storage, MemoryStorage)
    assert storage.now() == clock.wall()


@pytest.mark.parametrize(
    "url, path",
    [
        ("sqlite:///jobs.db", "{here}/jobs.db"),
        ("sqlite:///var/jobs.db", "{here}/var/jobs.db"),
        ("sqlite:////var/lib/jobs.db", "/var/lib/jobs.db"),
        ("SQLITE:///jobs.db?durability=normal&timeout=0.5", "{here}/jobs.db"),
        ("sqlite:///my%20jobs%3F.db", "{here}/my jobs%3F.db"),
    ],
)
def test_a_file(url: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    storage = open_storage(url, clock=FakeClock())

    assert isinstance(storage, SqliteStorage)
    assert storage.url == f"sqlite:///{path.format(here=tmp_path)}"
    assert list(tmp_path.iterdir()) == []


def test_a_database() -> None:
    storage = open_storage("postgresql://me:secret@host/jobs?timeout=2&connections=3", clock=FakeClock())

    assert isinstance(storage, PostgresStorage)


def test_without_the_driver_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(ConfigurationError, match=r"pip install 'taskmill\[postgres\]'"):
        open_storage("postgresql://host/jobs")


@pytest.mark.parametrize(
    "url, problem",
    [
        ("", "it begins with no scheme and '://'"),
        ("jobs.db", "it begins with no scheme and '://'"),
        ("sqlite:jobs.db", "it begins with no scheme and '://'"),
        ("sqlite://jobs.db", "the path of a file begins after the third slash"),
        ("sqlite://", "the path of a file begins after the third slash"),
        ("sqlite:///", "it names no file"),
        ("sqlite:///jobs/", "it names no file"),
        ("sqlite:///:memory:", "a store in memory is 'memory://'"),
        (
            "sqlite:///jobs.db?durabilty=full",
            "there is no option 'durabilty' (did you mean 'durability'?), only",
        ),
        ("sqlite:///jobs.db?durability=none", "durability=none is neither full nor normal"),
        ("sqlite:///jobs.db?timeout=soon", "timeout=soon is no number of seconds"),
        ("sqlite:///jobs.db?timeout=-1", "timeout=-1 is no number of seconds"),
        ("sqlite:///jobs.db?timeout=inf", "timeout=inf is no number of seconds"),
        ("memory://jobs", "nothing follows 'memory://'"),
        ("postgresql://host/jobs?timeout=soon", "timeout=soon is no number of seconds"),
        ("redis://host/jobs", "a database of Redis has a number, and 'jobs' is none"),
        (
            "redis://host?naem=shop",
            "there is no option 'naem' (did you mean 'name'?), only name, timeout, ca_certs",
        ),
        ("redis://host?name={jobs}", "name={jobs} is no name of a mill"),
        ("redis://host?name=", "name= is no name of a mill"),
        ("valkeys://host?timeout=soon", "timeout=soon is no number of seconds"),
        (
            "postgresql://host/jobs?sslmode=requir",
            "sslmode=requir (did you mean 'require'?) is none of disable, ",
        ),
        ("reddis://host", "there is no store 'reddis' (did you mean 'redis'?), only"),
        ("sqlite3:///jobs.db", "there is no store 'sqlite3' (did you mean 'sqlite'?), only"),
        ("postgressql://host/jobs", "there is no store 'postgressql' (did you mean 'postgresql'?), only"),
        ("mysql://host", "there is no store 'mysql', only sqlite, postgresql, redis, rediss, valkey, memory"),
    ],
)
def test_a_wrong_url_is_one_clear_sentence(url: str, problem: str) -> None:
    with pytest.raises(InvalidURL) as caught:
        open_storage(url)

    assert str(caught.value).startswith(f"{shown(url)!r} is no store URL: {problem}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url, told, base, password, is_encrypted",
    [
        ("redis://", "localhost:6379/0", "{taskmill}:", None, False),
        ("valkey://host:7000/3?name=shop", "host:7000/3", "{shop}:", None, False),
        ("rediss://me:p%40ss@host", "host:6379/0", "{taskmill}:", "p@ss", True),
        ("VALKEYS://:pass@[::1]:7000", "::1:7000/0", "{taskmill}:", "pass", True),
    ],
)
def test_a_redis_server(url: str, told: str, base: str, password: str | None, *, is_encrypted: bool) -> None:
    found = address(url, url)

    assert str(found) == told
    assert found.base == base
    assert (found.password, found.is_encrypted) == (password, is_encrypted)
    assert isinstance(open_storage(url), RedisStorage)


@pytest.mark.parametrize(
    "url, safe",
    [
        ("postgresql://me:secret@host/jobs", "postgresql://me:***@host/jobs"),
        ("postgresql:///me:secret@host/jobs", "postgresql:///me:***@host/jobs"),
        ("postgresql://me:sec:r@e/t@host/jobs", "postgresql://me:***@host/jobs"),
        ("redis://m/e\n:secret@host", "redis://m/e\n:***@host"),
        ("sqlite:///a:b@c/jobs.db", "sqlite:///a:b@c/jobs.db"),
        (
            "postgresql://host/jobs?user=me&password=secret&timeout=5",
            "postgresql://host/jobs?user=me&password=***&timeout=5",
        ),
        ("redis://:se@cr/et@host", "redis://:***@host"),
        ("sqlite:///jobs.db", "sqlite:///jobs.db"),
        ("sqlite:////home/a@b/jobs.db", "sqlite:////home/a@b/jobs.db"),
        ("sqlite:///a:b@c.db", "sqlite:///a:b@c.db"),
    ],
)
def test_a_password_is_not_shown(url: str, safe: str) -> None:
    assert shown(url) == safe


@pytest.mark.parametrize("scheme", ["postgresql", "redis"])
@pytest.mark.parametrize("password", ["open@sesame", "open/sesame", "open?sesame", "open#sesame"])
def test_a_password_that_is_not_encoded_is_refused_and_not_told(scheme: str, password: str) -> None:
    with pytest.raises(
        InvalidURL, match=r"written as %40 %2F %3F %23; write for example '(postgresql|redis)://"
    ) as refusal:
        open_storage(f"{scheme}://app:{password}@localhost/0")

    assert "open" not in str(refusal.value)
    assert "sesame" not in str(refusal.value)


@pytest.mark.parametrize(
    "url, safe, problem",
    [
        (
            "postgresql://host/jobs?pasword=sesame&timeout=5",
            "postgresql://host/jobs?pasword=***&timeout=5",
            "there is no option 'pasword' (did you mean 'password'?), only timeout, connections, listen and those",
        ),
        (
            "postgresql://host/jobs?PASSWORD=sesame",
            "postgresql://host/jobs?PASSWORD=***",
            "there is no option",
        ),
        (
            "redis://host?password=sesame",
            "redis://host?password=***",
            "there is no option 'password', only name,",
        ),
        ("sqlite:///jobs.db?key=sesame", "sqlite:///jobs.db?key=***", "there is no option 'key', only"),
        ("redis://host?sesame", "redis://host?***", "an option is written name=value"),
        (
            "postgresql://host/jobs?password=open&sesame",
            "postgresql://host/jobs?password=***&***",
            "an option",
        ),
        ("redis://me:sesame/0", "redis://me:***/0", "behind the colon of a host stands its port"),
        ("redis://me:1234567/0", "redis://me:***/0", "behind the colon of a host stands its port"),
        ("redis://[::1]:sesame", "redis://[::1]:***", "behind the colon of a host stands its port"),
        (
            "postgresql://me:sesame/jobs",
            "postgresql://me:***/jobs",
            "behind the colon of a host stands its port",
        ),
        ("postgresql://one:1,two:sesame/a", "postgresql://one:1,two:***/a", "behind the colon of a host"),
        ("postgresql://sesame@host:54x2/a", "postgresql://***@host:***/a", "behind the colon of a host"),
        ("redis://sesame@host:63x9", "redis://***@host:***", "behind the colon of a host stands its port"),
        ("redis://sesame@host/jobs", "redis://***@host/jobs", "a database of Redis has a number"),
        ("me:sesame@host://", "me:***@host://", "it begins with no scheme and '://'"),
        (
            "postgresql://me:ses%zzame@host/a",
            "postgresql://me:***@host/a",
            'invalid percent-encoded token: "***"',
        ),
    ],
)
def test_where_a_password_was_put_by_mistake_it_is_not_told(url: str, safe: str, problem: str) -> None:
    with pytest.raises(InvalidURL) as refusal:
        open_storage(url)

    assert str(refusal.value).startswith(f"{safe!r} is no store URL: {problem}")
    assert "sesame" not in str(refusal.value)


@pytest.mark.parametrize(
    "scheme, kind", [("reddis", "redis"), ("valky", "valkey"), ("postgre", "postgresql")]
)
def test_the_example_is_of_the_store_that_was_meant(scheme: str, kind: str) -> None:
    with pytest.raises(InvalidURL, match=f"write for example '{kind}://"):
        open_storage(f"{scheme}://host")


@pytest.mark.parametrize(
    "hosts", ["host", "host:", "one:1,two:65535", "[::1]:5432,[::2]", "%2Ftmp%2Fx:5432", ""]
)
def test_hosts_with_ports(hosts: str) -> None:
    open_storage(f"postgresql://{hosts}/jobs").close()
    assert shown(f"postgresql://me@{hosts}/jobs") == f"postgresql://me@{hosts}/jobs"


def test_an_at_sign_elsewhere_is_no_password() -> None:
    open_storage("postgresql://[::1]/jobs?options=a@b").close()
    open_storage("postgresql://one:1,two:2/jobs?user=a@b").close()


@pytest.mark.parametrize(
    "url",
    [
        "redis://:77/sesame@host",
        "redis://app:77?sesame@host",
        "redis://:77#sesame@host",
        "redis://app:sesame\u2100@host/0",
        "postgresql://app:77/sesame@host/jobs",
        "postgresql://app:77?sesame@host/jobs",
        "postgresql://app:sesame%zz@host/jobs",
        "postgresql://app:sesame x@host/jobs",
        "postgresql://app:sesame\u2100@host/jobs",
        "postgresql://app:[sesame@host/jobs",
        "postgresql:/app:sesame@host/jobs",
        "app:sesame@host",
    ],
)
def test_what_cannot_be_read_of_a_url_is_not_told_with_its_password(url: str) -> None:
    with pytest.raises(InvalidURL) as refusal:
        open_storage(url)

    assert "sesame" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None
