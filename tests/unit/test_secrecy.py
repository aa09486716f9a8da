"""What is taken out of texts before they are stored, and what stays."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmill._core.secrecy import HIDDEN, Secrecy

USUAL = Secrecy()

SECRET = "hunter2hunter2"
HIDES = [
    f"postgresql://ann:{SECRET}@db/app",
    f"could not connect to redis://:{SECRET}@cache:6379/0",
    f"https://ann:pa@{SECRET}@example.org/x?y=1",
    f"password={SECRET}",
    f"password = '{SECRET}'",
    f'{{"user": "ann", "Password": "{SECRET}"}}',
    f"{{'db_password': '{SECRET}', 'user': 'ann'}}",
    f"call(api_key=b'{SECRET}')",
    f'connect(password="{SECRET} with \\" spaces {SECRET}")',
    f"GET /orders?page=1&access_token={SECRET}&x=2",
    f"Authorization: Bearer {SECRET}",
    f"authorization: basic {SECRET}==",
    f"the header was 'Bearer {SECRET}'",
    f"Cookie: a=1; session={SECRET}; b=2",
    f"Set-Cookie: id={SECRET}; Path=/",
    f"X-API-Key: {SECRET}",
    f"eyJhbGciOiJIUzI1NiJ9.{SECRET}.{SECRET}",
    f"ghp_{SECRET}{SECRET}",
    f"sk_live_{SECRET}",
    f"xoxb-{SECRET}",
    f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n{SECRET}\n-----END RSA PRIVATE KEY-----",
    f"-----BEGIN PRIVATE KEY-----\n{SECRET}",
    f"password='{SECRET} [... 5 characters left out]",
    f"DATABASE_PASSWORD={SECRET}\nnext line",
    f"error='password={SECRET}' x",
    f"url=a=b=token={SECRET}",
    f'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    login(password="{SECRET}")\nValueError: no',
]


@pytest.mark.parametrize("text", HIDES)
def test_a_secret_is_taken_out(text: str) -> None:
    scrubbed = USUAL.scrubbed(text)

    assert SECRET not in scrubbed
    assert HIDDEN in scrubbed
    assert USUAL.scrubbed(scrubbed) == scrubbed


STAYS = [
    "",
    "division by zero",
    "KeyError: 'token'",
    "no such file: /etc/passwd",
    "https://example.org/a:b@c",
    "ann@example.org: no such user",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "the author: ann, page=3",
    "unexpected token '<' at line 3",
    "a basic set",
    'File "/srv/token.py", line 3, in token',
    'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    token = request.token\nKeyError: 7',
    'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    connect(password=settings.password)\nOSError',
]


@pytest.mark.parametrize("text", STAYS)
def test_what_is_no_secret_stays(text: str) -> None:
    assert USUAL.scrubbed(text) == text


def test_what_is_around_a_secret_stays() -> None:
    told = f"cannot log in to postgresql://ann:{SECRET}@db:5432/app with {{'password': '{SECRET}', 'port': 1}} now"

    assert USUAL.scrubbed(told) == (
        f"cannot log in to postgresql://ann:{HIDDEN}@db:5432/app with {{'password': '{HIDDEN}', 'port': 1}} now"
    )


def test_values_are_taken_out_wherever_they_stand() -> None:
    values = USUAL.values_of_call(
        '[["ann", "hunter2", {"deep": [{"api_key": "k3yk3y", "port": "8080"}]}], {"credentials": ["user1", "abc"]}]',
        ["user", "password"],
    )

    assert values == {"hunter2", "k3yk3y", "user1"}
    assert USUAL.scrubbed("ann/hunter2 on 8080 with k3yk3y, abc", values) == (
        f"ann/{HIDDEN} on 8080 with {HIDDEN}, abc"
    )


@pytest.mark.parametrize("secret", ["line\nbreak", "back\\slash", "both \" and '", "ünïcode"])
def test_they_are_taken_out_as_repr_and_json_write_them_too(secret: str) -> None:
    values = USUAL.values_in({"password": secret})
    written = [secret, repr(secret), json.dumps([secret]), json.dumps([secret], ensure_ascii=False)]

    scrubbed = [USUAL.scrubbed(f"x {text} x", values) for text in written]

    assert scrubbed == [f"x {text} x" for text in (HIDDEN, f"'{HIDDEN}'", *[f'["{HIDDEN}"]'] * 2)]


def test_of_two_values_the_longer_one_is_taken_out_whole() -> None:
    assert USUAL.scrubbed("is hunter2hunter2", ["hunter2", "hunter2hunter2"]) == f"is {HIDDEN}"


@pytest.mark.parametrize("text", ["", "no json", "[" * 100_000, "7", "[[], 7]", '[{"password": "hunter2"}]'])
def test_of_what_is_no_call_there_are_no_values(text: str) -> None:
    assert USUAL.values_of_call(text, ["password"]) == set()


def test_a_program_has_words_of_its_own() -> None:
    own = Secrecy(["iban", "a.b"])

    assert own.is_secret("customer_IBAN")
    assert own.is_secret("password")
    assert not own.is_secret("axb")
    assert own.scrubbed("iban=DE123") == f"iban={HIDDEN}"


def test_where_nothing_is_secret_nothing_is_hidden() -> None:
    nothing = Secrecy(None)

    assert not nothing.is_secret("password")
    assert [nothing.scrubbed(text, ["hunter2"]) for text in HIDES] == HIDES
    assert nothing.values_in({"password": "hunter2"}) == set()


NAMES = st.sampled_from(["password", "api_key", "DB_TOKEN", "X-Secret", "cookie"])
# Of what a program may take a value to be made of, if not the quotes around it.
VALUES = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="'\"\\"), min_size=4
)
AROUND = st.text(st.sampled_from(" \n:='\",;{}()[]@/abc-_&?\\"), max_size=20)


@given(NAMES, VALUES, AROUND, AROUND)
def test_a_named_literal_never_comes_through(name: str, value: str, before: str, after: str) -> None:
    literal = f"{before}\n{{'{name}': '{value}'}}{after}"

    assert f"'{value}'" not in USUAL.scrubbed(literal)


@given(VALUES, st.lists(AROUND, min_size=1))
def test_a_value_that_is_known_never_comes_through(value: str, parts: list[str]) -> None:
    assert value not in USUAL.scrubbed(value.join(["", *parts, ""]), [value]) or value in HIDDEN


@given(st.text(st.sampled_from("ab:/@='\" \n.-_eyJBearerBEGINtoken"), max_size=300))
def test_scrubbing_ends_and_is_done_after_once(text: str) -> None:
    once = USUAL.scrubbed(text)

    assert USUAL.scrubbed(once) == once
    assert once.count("\n") <= text.count("\n")


# Each was, or would be with a careless pattern, one that is read again from each of its characters.
LONG = [
    "a",
    "a-",
    "eyJ",
    "eyJ-",
    "a://",
    "a://:",
    "x='",
    'x="\\',
    "token=",
    "token: '",
    "Bearer ",
    "-----BEGIN ",
    "@",
    "\\",
]


@pytest.mark.parametrize("part", LONG, ids=re.escape)
def test_a_long_text_is_read_once(part: str) -> None:
    USUAL.scrubbed(part * (400_000 // len(part)))
