"""Read a PostgreSQL URL in every shape in which managed services hand them out. Pure.

The grammar is libpq's (PostgreSQL manual, 34.1.1.2 "Connection URIs"), read leniently where
services and people are: passwords with unescaped characters, parameters of other tools.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

SCHEMES = {"postgres": False, "postgresql": False, "cockroachdb": True, "cockroach": True}
LIBPQ_PARAMETERS = frozenset(
    {
        "channel_binding",
        "client_encoding",
        "connect_timeout",
        "gssdelegation",
        "gssencmode",
        "gsslib",
        "hostaddr",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "krbsrvname",
        "load_balance_hosts",
        "options",
        "passfile",
        "require_auth",
        "requirepeer",
        "ssl_max_protocol_version",
        "ssl_min_protocol_version",
        "sslcert",
        "sslcertmode",
        "sslcrl",
        "sslcrldir",
        "sslkey",
        "sslmode",
        "sslnegotiation",
        "sslpassword",
        "sslrootcert",
        "sslsni",
        "target_session_attrs",
        "tcp_user_timeout",
    }
)
SSL_MODES = frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"})
OUR_FIGURES = {
    "pool_max": "pool_max",
    "connection_limit": "pool_max",
    "pool_timeout": "pool_timeout",
    "statement_timeout": "statement_timeout",
}
COCKROACH_PORT = "26257"
_PARAMETER_NAME = re.compile(r"[A-Za-z_][\w.-]{0,62}", re.ASCII)
_USER_AND_PASSWORD = re.compile(r"^[^/?#@:]+:(?!\d*(?:$|[/?#,]))")


class UrlRefused(ValueError):
    """The URL cannot be read; the message follows the variable's name and shows no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseUrl:
    """One URL, taken apart. `host` and `port` may hold several, comma separated (libpq)."""

    cockroach: bool
    user: str
    password: str = field(repr=False)
    host: str
    port: str
    name: str
    options: dict[str, Any] = field(repr=False)
    """Connection parameters that libpq knows."""
    figures: dict[str, str]
    """Our own parameters: pool_max, pool_timeout, statement_timeout, as text."""
    pooler: bool
    """True behind a transaction pooler (`pgbouncer=true`)."""
    dropped: frozenset[str]
    """Names of parameters that belong to other tools."""


def parse(text: str) -> DatabaseUrl:
    """Take `text` apart.

    :raises UrlRefused: with a sentence that begins with a verb, for "<VARIABLE> <sentence>".
    """
    scheme, separator, rest = text.strip().partition("://")
    if not separator or scheme.lower() not in SCHEMES:
        raise UrlRefused(
            "must be a URL such as postgresql://user:password@host:5432/name "
            "(postgres://, postgresql:// or cockroachdb://)."
        )
    userinfo, rest = _userinfo(rest)
    authority, slash, tail = _cut(rest, "/")
    if not slash:
        authority, _, query = authority.partition("?")
        path = ""
    else:
        path, _, query = tail.partition("?")
    user, _, password = userinfo.partition(":")
    parameters = _parameters(query)
    host, port = _hosts(authority)
    cockroach = SCHEMES[scheme.lower()]
    host = parameters.pop("host", "") or host
    port = parameters.pop("port", "") or port or (COCKROACH_PORT if cockroach else "")
    _require_ports(port, hosts=host)
    user = parameters.pop("user", "") or _decoded(user)
    name = parameters.pop("dbname", "") or _decoded(path.partition("#")[0].strip("/"))
    if not name and not user:
        raise UrlRefused("names neither a database nor a user.")
    return _built(
        cockroach=cockroach,
        user=user,
        password=parameters.pop("password", "") or _decoded(password),
        host=host,
        port=port,
        name=name or user,
        parameters=parameters,
    )


def _built(*, parameters: dict[str, str], **known: Any) -> DatabaseUrl:
    """Sort the query's parameters into libpq's, ours, and those of other tools."""
    pooler = _yes(parameters.pop("pgbouncer", ""), "pgbouncer")
    figures: dict[str, str] = {}
    for name, figure in OUR_FIGURES.items():
        if name in parameters:
            figures.setdefault(figure, parameters.pop(name))
    if _yes(parameters.pop("ssl", ""), "ssl"):  # JDBC's word, which libpq takes, too
        parameters.setdefault("sslmode", "require")
    options: dict[str, Any] = {k: v for k, v in parameters.items() if k in LIBPQ_PARAMETERS}
    if options.get("sslmode", "prefer") not in SSL_MODES:
        raise UrlRefused(f"has an unknown sslmode; use one of {', '.join(sorted(SSL_MODES))}.")
    if "connect_timeout" in options:
        options["connect_timeout"] = _seconds(options["connect_timeout"], "connect_timeout")
    return DatabaseUrl(
        options=options,
        figures=figures,
        pooler=pooler,
        dropped=frozenset(parameters) - LIBPQ_PARAMETERS - {"application_name"},
        **known,
    )


def _userinfo(rest: str) -> tuple[str, str]:
    """Split off `user:password@`, also where the password holds `/`, `?`, `#` or `@`."""
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    before = rest[:end].rfind("@")
    unescaped = _USER_AND_PASSWORD.match(rest) or (
        ":" in rest[:end] and "@" in rest.partition("?")[0]
    )
    if unescaped and "@" in rest:
        # The last @ that a host can follow: nothing behind it but a host, a path and a query.
        before = max(rest.rfind("@", 0, _query_start(rest)), before)
    if before < 0:
        return "", rest
    return rest[:before], rest[before + 1 :]


def _query_start(rest: str) -> int:
    """Return where `?name=value` begins: behind the last @, if one stands before any `?`."""
    match = re.search(r"@[^@/?#]*(?:/[^@?#/]*)?\?[A-Za-z_][\w.-]*=", rest)
    return match.start() + 1 if match else len(rest)


def _cut(text: str, mark: str) -> tuple[str, str, str]:
    """Partition at `mark` where it stands before any `?`."""
    head, _, _ = text.partition("?")
    at = head.find(mark)
    return (text, "", "") if at < 0 else (text[:at], mark, text[at + 1 :])


def _hosts(authority: str) -> tuple[str, str]:
    """Return comma separated hosts and ports; IPv6 literals stand in brackets."""
    hosts: list[str] = []
    ports: list[str] = []
    for part in authority.partition("#")[0].split(","):
        match = re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*)(?::([^:]*))?", part)
        if match is None:
            raise UrlRefused("has a host or port that cannot be read.")
        hosts.append(_decoded(match[1].strip("[]")))
        ports.append(match[2] or "")
    same_everywhere = ports if any(ports) else []
    return ",".join(hosts), ",".join(port or "5432" for port in same_everywhere)


def _require_ports(ports: str, *, hosts: str) -> None:
    for port in filter(None, ports.split(",")):
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise UrlRefused("has a port that is not a number from 1 to 65535.")
    if ports.count(",") not in {0, hosts.count(",")}:
        raise UrlRefused("has another number of ports than of hosts.")


def _parameters(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in filter(None, query.partition("#")[0].split("&")):
        name, equals, value = pair.partition("=")
        # What does not look like a name may be a part of a password, so it is not repeated.
        if not equals or not _PARAMETER_NAME.fullmatch(name):
            raise UrlRefused(
                "has parameters that cannot be read. Behind the ? stands name=value&name=value; a "
                "? in a password is written %3F."
            )
        # A plus stays a plus, as libpq reads it, except in `options`, where tools encode blanks.
        found[name] = _decoded(value.replace("+", " ") if name == "options" else value)
    return found


def _decoded(text: str) -> str:
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise UrlRefused("has an escape (such as %FF) that is no UTF-8.") from None
    if "\0" in decoded:
        raise UrlRefused("has the escape %00, which PostgreSQL cannot take.")
    return decoded


def _yes(text: str, name: str) -> bool:
    if text.lower() in {"", "false", "0", "no", "off"}:
        return False
    if text.lower() in {"true", "1", "yes", "on"}:
        return True
    raise UrlRefused(f"has {name} that is neither true nor false.")


def _seconds(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise UrlRefused(f"has {name} that is not a whole number of seconds.")
    return int(text)
