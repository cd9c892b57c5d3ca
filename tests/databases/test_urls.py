"""Database URLs: every shape in which services hand them out is read, all others are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from databases.dsn import DatabaseUrl, UrlRefused, parse
from databases.pools import ConfigurationRefused, read_environment

SECRET = "S3cr3t-gEheim"


def shape(text: str) -> tuple[str, str, str, str, str]:
    url = parse(text)
    return url.user, url.password, url.host, url.port, url.name


class TestShapes:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("postgresql://u:p@h:6000/d", ("u", "p", "h", "6000", "d")),
            ("postgres://u:p@h:6000/d", ("u", "p", "h", "6000", "d")),
            ("POSTGRES://u:p@h/d", ("u", "p", "h", "", "d")),
            ("  postgresql://u:p@h/d\n", ("u", "p", "h", "", "d")),
            ("postgresql://u@h/d", ("u", "", "h", "", "d")),
            ("postgresql://h/d", ("", "", "h", "", "d")),
            ("postgresql://h:6000/d", ("", "", "h", "6000", "d")),
            ("postgresql:///d", ("", "", "", "", "d")),
            ("postgresql://u:p@h/d/", ("u", "p", "h", "", "d")),
            ("postgresql://u:p@h/d#fragment", ("u", "p", "h", "", "d")),
            ("postgresql://u:p@h/a%2Fb%20c", ("u", "p", "h", "", "a/b c")),
            ("postgresql://u:p@[2001:db8::1]:6000/d", ("u", "p", "2001:db8::1", "6000", "d")),
            ("postgresql://u:p@[::1]/d", ("u", "p", "::1", "", "d")),
        ],
    )
    def test_a_url_is_taken_apart(self, text, expected):
        assert shape(text) == expected

    @pytest.mark.parametrize(
        "text", ["postgresql://u:p@h", "postgresql://u:p@h/", "postgres://u:p@h"]
    )
    def test_without_a_database_name_it_is_the_users(self, text):
        assert parse(text).name == "u"

    @pytest.mark.parametrize(
        "text", ["postgresql://h", "postgresql://", "postgresql:///?sslmode=prefer"]
    )
    def test_without_a_name_and_a_user_it_is_refused(self, text):
        with pytest.raises(UrlRefused, match="neither a database nor a user"):
            parse(text)

    @pytest.mark.parametrize(
        "text",
        [
            "postgresql://u@/d?host=/run/sockets&port=6000",
            "postgresql://u@/d?host=%2Frun%2Fsockets&port=6000",
            "postgresql://u@%2Frun%2Fsockets:6000/d",
            "postgresql:///d?user=u&host=/run/sockets&port=6000",
            "postgresql://?user=u&host=/run/sockets&port=6000&dbname=d",
        ],
    )
    def test_a_unix_socket_is_given_in_the_query_or_as_an_escaped_host(self, text):
        assert shape(text) == ("u", "", "/run/sockets", "6000", "d")

    def test_several_hosts_keep_their_ports(self):
        assert shape("postgresql://u:p@a:1,b,[::1]:3/d") == ("u", "p", "a,b,::1", "1,5432,3", "d")
        assert shape("postgresql://u:p@a,b/d") == ("u", "p", "a,b", "", "d")

    def test_cockroach_has_its_own_backend_and_port(self):
        url = parse("cockroachdb://u:p@h/d")

        assert url.cockroach
        assert url.port == "26257"
        assert parse("cockroach://u:p@h:1/d").port == "1"
        assert not parse("postgresql://u:p@h/d").cockroach

    def test_parameters_of_libpq_are_kept(self):
        url = parse(
            "postgresql://u:p@h/d?sslmode=verify-full&sslrootcert=/etc/ca.pem&connect_timeout=7"
            "&target_session_attrs=read-write&options=-c+search_path%3Da&channel_binding=require"
        )

        assert url.options == {
            "sslmode": "verify-full",
            "sslrootcert": "/etc/ca.pem",
            "connect_timeout": 7,
            "target_session_attrs": "read-write",
            "options": "-c search_path=a",
            "channel_binding": "require",
        }
        assert not url.dropped

    def test_ssl_true_is_jdbcs_word_for_sslmode_require(self):
        assert parse("postgresql://u:p@h/d?ssl=true").options == {"sslmode": "require"}
        assert parse("postgresql://u:p@h/d?ssl=true&sslmode=verify-ca").options == {
            "sslmode": "verify-ca"
        }
        assert parse("postgresql://u:p@h/d?ssl=false").options == {}

    def test_a_plus_is_a_plus_except_in_options(self):
        url = parse("postgresql://u:p@h/d?password=a+b&options=-c+a%3Db")

        assert url.password == "a+b"
        assert url.options == {"options": "-c a=b"}

    def test_parameters_of_other_tools_are_dropped_and_named(self):
        url = parse("postgresql://u:p@h/d?schema=public&sslaccept=strict&application_name=x")

        assert url.dropped == {"schema", "sslaccept"}
        assert url.options == {}

    @pytest.mark.parametrize("word", ["true", "TRUE", "1", "yes", "on"])
    def test_pgbouncer_true_names_a_pooler(self, word):
        assert parse(f"postgresql://u:p@h/d?pgbouncer={word}").pooler
        assert not parse("postgresql://u:p@h/d?pgbouncer=false").pooler

    def test_figures_are_ours_or_prismas(self):
        given = "pool_max=7&pool_timeout=1.5&statement_timeout=9"

        assert parse(f"postgresql://u:p@h/d?{given}").figures == {
            "pool_max": "7",
            "pool_timeout": "1.5",
            "statement_timeout": "9",
        }
        assert parse("postgresql://u:p@h/d?connection_limit=3").figures == {"pool_max": "3"}
        assert parse("postgresql://u:p@h/d?connection_limit=3&pool_max=4").figures == {
            "pool_max": "4"
        }

    def test_the_repr_shows_no_password(self):
        url = parse(f"postgresql://u:{SECRET}@h/d?sslpassword={SECRET}")

        assert SECRET not in repr(url)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
RAW = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_characters="%\x7f\xa0\x85"),
    min_size=1,
)
HOSTS = st.sampled_from(["db.example.org", "127.0.0.1", "[::1]", "%2Fvar%2Frun", "a,b", "a:1,b:2"])
TAILS = st.sampled_from(["/d", "/d?sslmode=require", "/d?pgbouncer=true&connection_limit=3"])


def escaped(text: str) -> str:
    return quote(text, safe="")


class TestPasswords:
    @given(user=TEXT, password=TEXT, name=TEXT.filter(lambda name: name.strip("/")))
    def test_an_escaped_one_comes_back(self, user, password, name):
        text = f"postgresql://{escaped(user)}:{escaped(password)}@h:6000/{escaped(name)}?sslmode=require"
        url = parse(text)

        assert (url.user, url.password, url.host, url.port) == (user, password, "h", "6000")
        assert url.name == name
        assert url.options == {"sslmode": "require"}

    @given(password=RAW, host=HOSTS, tail=TAILS)
    @example(password="p@ss/w0rd#1", host="h", tail="/d")
    @example(password="5432/x", host="h", tail="/d")
    @example(password="a:b@c,d?e", host="a:1,b:2", tail="/d?sslmode=require")
    @example(password="?#[]@!$&'()*+,;", host="h", tail="/d")
    @example(password="@@@", host="h:99", tail="/d")
    def test_an_unescaped_one_comes_back(self, password, host, tail):
        # What would be a URL by the letter is read by the letter: an @host/name?a=b inside.
        assume("=" not in password)
        assume(not password.rstrip("0123456789,").endswith(":") or "@" not in password)
        assume(not _reads_as_host_and_port(password))
        plain = parse(f"postgresql://user:x@{host}{tail}")

        url = parse(f"postgresql://user:{password}@{host}{tail}")

        assert url.password == password
        assert url.user == "user"
        assert (url.host, url.port, url.name) == (plain.host, plain.port, plain.name)
        assert url.options == plain.options

    @pytest.mark.parametrize("text", ["%", "%%", "100%", "a%zz", "%2", "50%off"])
    def test_a_percent_sign_that_escapes_nothing_stays(self, text):
        assert parse(f"postgresql://u:{text}@h/d").password == text

    def test_one_in_the_query_wins(self):
        assert parse("postgresql://u:a@h/d?password=b%26c").password == "b&c"


def _reads_as_host_and_port(password: str) -> bool:
    """Tell whether `user:PASSWORD…` begins like `host:port?…` or `host:port`."""
    digits = password.lstrip("0123456789")
    return digits.startswith("?") or digits == ""


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("", "must be a URL"),
            ("h/d", "must be a URL"),
            (f"u:{SECRET}@h/d", "must be a URL"),
            (f"mysql://u:{SECRET}@h/d", "must be a URL"),
            (f"postgresql+psycopg://u:{SECRET}@h/d", "must be a URL"),
            (f'"postgresql://u:{SECRET}@h/d"', "must be a URL"),
            (f"postgresql:/u:{SECRET}@h/d", "must be a URL"),
            (f"postgresql://u:{SECRET}@h:0/d", "port that is not a number"),
            (f"postgresql://u:{SECRET}@h:65536/d", "port that is not a number"),
            (f"postgresql://u:{SECRET}@h:port/d", "port that is not a number"),
            (f"postgresql://u:{SECRET}@h:٣/d", "port that is not a number"),
            (f"postgresql://u:{SECRET}@h/d?port=-1", "port that is not a number"),
            (f"postgresql://u:{SECRET}@/d?host=a,b,c&port=1,2", "another number of ports"),
            (f"postgresql://u:{SECRET}@h:1:2/d", "host or port that cannot be read"),
            (f"postgresql://u:{SECRET}@[::1/d", "host or port that cannot be read"),
            (f"postgresql://u:{SECRET}@h/d?sslmode=no-verify", "unknown sslmode"),
            (f"postgresql://u:{SECRET}@h/d?pgbouncer=maybe", "pgbouncer that is neither"),
            (f"postgresql://u:{SECRET}@h/d?ssl=maybe", "ssl that is neither"),
            (f"postgresql://u:{SECRET}@h/d?connect_timeout=soon", "connect_timeout that is not"),
            (f"postgresql://u:{SECRET}@h/d?connect_timeout=-1", "connect_timeout that is not"),
            (f"postgresql://u:5432?{SECRET}@h/d", "parameters that cannot be read"),
            (f"postgresql://u:5432?{SECRET}%3D@h/d?a=b", "parameters that cannot be read"),
            (f"postgresql://u:{SECRET}%FF@h/d", "no UTF-8"),
            (f"postgresql://u:{SECRET}%00@h/d", "%00"),
        ],
    )
    def test_a_malformed_one_is_refused_by_name_and_without_its_password(self, text, sentence):
        with pytest.raises(UrlRefused, match=sentence):
            parse(text)
        if not text:
            return
        with pytest.raises(ConfigurationRefused, match=sentence) as caught:
            read_environment({"DOCUMENTS_DATABASE_URL": text})

        assert str(caught.value).startswith("DOCUMENTS_DATABASE_URL ")
        assert SECRET not in str(caught.value)
        assert caught.value.__cause__ is None

    @given(st.text(max_size=60), st.sampled_from(["postgresql://", "cockroachdb://", ""]))
    @example("u:p@h/d?a=b=c&&", "postgresql://")
    @example("@", "postgresql://")
    @example(":@:/?#", "postgresql://")
    def test_any_text_is_read_or_refused(self, text, scheme):
        refusal, url = attempt(lambda: parse(scheme + text))

        assert refusal.endswith((".", ").")) or isinstance(url, DatabaseUrl)
        assert refusal or url.name

    @given(password=RAW.filter(lambda text: len(text) > 3), tail=st.text(max_size=20))
    @example(password="5432?s3cret&x", tail="")
    @example(password="a?s3cret/x", tail="?sslmode=wrong")
    def test_no_refusal_and_no_warning_holds_a_password(self, password, tail):
        secret = f"{password}{SECRET}"
        refusal, found = attempt(
            lambda: read_environment({"DATABASE_URL": f"postgresql://u:{secret}@h/d{tail}"})
        )

        assert SECRET not in refusal
        assert refusal.startswith("DATABASE_URL ") or not any(
            SECRET in warning for warning in found.warnings
        )


def attempt(call: Callable[[], Any]) -> tuple[str, Any]:
    """Return (refusal, nothing) or ("", result); any other error is the test's failure."""
    try:
        return "", call()
    except (UrlRefused, ConfigurationRefused) as refused:
        return str(refused), None
