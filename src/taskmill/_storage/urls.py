"""What the URLs of all stores share: how they are shown, in messages too, and how their options are refused."""

from __future__ import annotations

import re
from collections.abc import Iterable

from taskmill._core.wording import nearest
from taskmill.errors import InvalidURL

_HAS_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_PASSWORD = re.compile(r"(?<=://)([^:]*):.*@", re.DOTALL)
_WITHOUT_SLASHES = re.compile(r":.*@", re.DOTALL)
_AUTHORITY = re.compile(r"(?<=://)[^/?#]*")
_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(?::(.*))?", re.DOTALL)
_HIGHEST_PORT = 65_535

# What may be seen of any URL: the values of all other options may be secrets, those of mistyped ones most of all.
_PUBLIC = frozenset(
    {
        "timeout",
        "durability",
        "connections",
        "listen",
        "name",
        "ca_certs",
        "host",
        "hostaddr",
        "port",
        "dbname",
        "user",
        "sslmode",
        "sslnegotiation",
        "sslrootcert",
        "sslcert",
        "sslkey",
        "ssl",
        "connect_timeout",
        "application_name",
        "target_session_attrs",
        "keepalives",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_count",
        "tcp_user_timeout",
        "channel_binding",
        "gssencmode",
        "options",
    }
)


def shown(url: str) -> str:
    """The URL without what may be a password: of one that is mistyped, too, so rather too much is hidden."""
    if url.lower().startswith("sqlite:///"):
        place, mark, query = url.partition("?")
    elif _HAS_SCHEME.match(url):
        masked = _PASSWORD.sub(r"\1:***@", url)
        is_redis = url.lower().startswith(("redis", "valkey"))
        masked = _AUTHORITY.sub(lambda found: _shown_authority(found[0], is_redis=is_redis), masked, count=1)
        place, mark, query = masked.partition("?")
    else:
        place, mark, query = _WITHOUT_SLASHES.sub(":***@", url).partition("?")
    return place + mark + "&".join(_shown_option(option) for option in query.split("&"))


def has_ports(authority: str) -> bool:
    """Whether what stands behind the colons of its hosts can be ports."""
    return all(_is_host(host) for host in authority.rpartition("@")[2].split(","))


def check_options(shown: str, query: str, known: Iterable[str], told: str) -> None:
    """InvalidURL if *query* has an option that is not *known*; *told*: which there are, in words."""
    known = list(known)
    for option in filter(None, query.split("&")):
        name, separator, _ = option.partition("=")
        if not separator:
            raise InvalidURL(shown, "an option is written name=value, and & ? # in a value as %26 %3F %23")
        if name not in known:
            raise InvalidURL(shown, f"there is no option {name!r}{nearest(name, known)}, only {told}")


def _is_host(text: str) -> bool:
    found = _HOST.fullmatch(text)
    if found is None:
        return False
    port = found[2] or "0"
    return port.isascii() and port.isdecimal() and int(port) <= _HIGHEST_PORT


def _shown_authority(authority: str, *, is_redis: bool) -> str:
    user, at, hosts = authority.rpartition("@")
    is_odd = not has_ports(hosts)
    if is_odd:
        hosts = ",".join(
            host if _is_host(host) else re.sub(r"^(\[[^\]]*\]|[^:]*):?.*", r"\1:***", host, flags=re.DOTALL)
            for host in hosts.split(",")
        )
    # Whom Redis knows by a name, it asks for a password, too: what stands there alone was meant as one.
    if at and (is_odd or (is_redis and ":" not in user)):
        user = "***"
    return user + at + hosts


def _shown_option(option: str) -> str:
    name, separator, _ = option.partition("=")
    if not option or (separator and name in _PUBLIC):
        return option
    return f"{name}=***" if separator else "***"
