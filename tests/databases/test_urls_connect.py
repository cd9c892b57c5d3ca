"""Each shape of URL really connects, through the settings' own code, to a real server."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, urlsplit

import psycopg
import pytest
from django.db import OperationalError
from psycopg.sql import SQL, Identifier, Literal

from tests.running_site import free_port

NASTY = "p@ss:w/o?r#d %41&=+[]{}'\"\\$,;ü€"
"""Everything that means something in a URL, a conninfo, SQL or a shell."""


@dataclass(frozen=True)
class Address:
    """Where a fresh database of the embedded primary can be reached, in pieces."""

    sockets: str
    port: str
    name: str
    user: str
    password: str


@pytest.fixture
def address(empty) -> Iterator[Address]:
    """Yield a database with a role of its own, whose password is nasty."""
    url = urlsplit(empty.add("default"))
    query = parse_qs(url.query)
    name = empty.names["default"]
    role = f"rôle {secrets.token_hex(4)}"
    empty.sql(
        "default", SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(Identifier(role), Literal(NASTY))
    )
    yield Address(query["host"][0], query["port"][0], name, role, NASTY)
    empty.sql("default", SQL("DROP ROLE {}").format(Identifier(role)))


def escaped(text: str) -> str:
    return quote(text, safe="")


def who_and_where(wrapper) -> tuple[str, str]:
    with wrapper.cursor() as cursor:
        cursor.execute("SELECT current_user, current_database()")
        return tuple(cursor.fetchone())


class TestSockets:
    @pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
    @pytest.mark.parametrize(
        "shape",
        [
            "{scheme}://{user}@/{name}?host={sockets}&port={port}",
            "{scheme}://{user}@/{name}?host={escaped}&port={port}",
            "{scheme}://{user}@{escaped}:{port}/{name}",
            "{scheme}:///{name}?user={user}&host={sockets}&port={port}",
            "{scheme}:///?dbname={name}&user={user}&host={sockets}&port={port}",
        ],
    )
    def test_a_socket(self, connect, address, scheme, shape):
        url = shape.format(
            scheme=scheme,
            user=escaped(address.user),
            name=address.name,
            sockets=address.sockets,
            escaped=escaped(address.sockets),
            port=address.port,
        )

        assert who_and_where(connect({"DATABASE_URL": url})) == (address.user, address.name)


class TestTcp:
    def test_a_password_of_special_characters_escaped(self, connect, address):
        userinfo = f"{escaped(address.user)}:{escaped(address.password)}"
        url = f"postgresql://{userinfo}@127.0.0.1:{address.port}/{address.name}"

        assert who_and_where(connect({"DATABASE_URL": url})) == (address.user, address.name)

    def test_a_password_in_the_query(self, connect, address):
        query = f"user={escaped(address.user)}&password={escaped(address.password)}"
        url = f"postgresql://127.0.0.1:{address.port}/{address.name}?{query}"

        assert who_and_where(connect({"DATABASE_URL": url})) == (address.user, address.name)

    @pytest.mark.parametrize("password", ["p@ss/w0rd#1", "a:b@c,d", "50%off", "x?y"])
    def test_a_password_of_special_characters_as_people_paste_it(
        self, connect, address, empty, password
    ):
        empty.sql(
            "default",
            SQL("ALTER ROLE {} PASSWORD {}").format(Identifier(address.user), Literal(password)),
        )
        url = f"postgresql://{address.user}:{password}@127.0.0.1:{address.port}/{address.name}"

        assert who_and_where(connect({"DATABASE_URL": url})) == (address.user, address.name)

    def test_a_wrong_password_is_refused_and_not_repeated(self, connect, address):
        url = f"postgresql://{escaped(address.user)}:Wr0ng@127.0.0.1:{address.port}/{address.name}"

        with pytest.raises(OperationalError) as caught:
            who_and_where(connect({"DATABASE_URL": url}))
        assert "Wr0ng" not in str(caught.value)

    def test_without_a_database_name_it_is_the_users(self, connect, address, empty):
        role = empty.names["default"]
        empty.sql(
            "default",
            SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(Identifier(role), Literal(NASTY)),
        )
        try:
            for tail in ("", "/", "?sslmode=prefer", "/?sslmode=prefer"):
                url = f"postgres://{role}:{escaped(NASTY)}@127.0.0.1:{address.port}{tail}"

                assert who_and_where(connect({"DATABASE_URL": url})) == (role, role)
        finally:
            empty.sql("default", SQL("DROP ROLE {}").format(Identifier(role)))

    def test_a_database_name_of_special_characters(self, connect, address, empty):
        name = f"a/b c?{secrets.token_hex(4)}"
        empty.sql("default", SQL("CREATE DATABASE {}").format(Identifier(name)))
        try:
            url = f"postgresql://polystore@/{escaped(name)}?host={address.sockets}&port={address.port}"
            wrapper = connect({"DATABASE_URL": url})

            assert who_and_where(wrapper) == ("polystore", name)
            wrapper.close()
            wrapper.close_pool()
        finally:
            empty.sql("default", SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


class TestSeveralHosts:
    def test_the_first_that_answers_is_taken(self, connect, address):
        dead = free_port()
        userinfo = f"{escaped(address.user)}:{escaped(address.password)}"
        url = f"postgresql://{userinfo}@127.0.0.1:{dead},127.0.0.1:{address.port}/{address.name}"

        assert who_and_where(connect({"DATABASE_URL": url})) == (address.user, address.name)

    def test_the_one_that_takes_writes_is_taken(self, connect, address, empty):
        if "replica" not in empty.servers.servers:
            pytest.skip("this shape has no replica")
        empty.servers.wait_for_replica()
        replica = parse_qs(urlsplit(empty.replica_url()).query)
        hosts = f"{replica['host'][0]},{address.sockets}"
        ports = f"{replica['port'][0]},{address.port}"
        url = (
            f"postgresql://polystore@/{address.name}?host={hosts}&port={ports}"
            "&target_session_attrs=read-write"
        )
        with connect({"DATABASE_URL": url}).cursor() as cursor:
            cursor.execute("SELECT pg_is_in_recovery()")

            assert cursor.fetchone() == (False,)


class TestTls:
    @pytest.fixture
    def front(self, servers):
        with servers.tls("default") as (url, ca_file):
            yield url, ca_file

    @pytest.mark.parametrize("parameters", ["sslmode=require", "ssl=true"])
    def test_require_speaks_tls(self, connect, front, parameters):
        url, _ = front
        wrapper = connect({"DATABASE_URL": f"{url}?{parameters}"})
        who_and_where(wrapper)

        assert wrapper.connection.pgconn.ssl_in_use

    @pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
    def test_the_authority_is_verified(self, connect, front, mode):
        url, ca_file = front
        wrapper = connect(
            {"DATABASE_URL": f"{url}?sslmode={mode}&sslrootcert={escaped(str(ca_file))}"}
        )
        who_and_where(wrapper)

        assert wrapper.connection.pgconn.ssl_in_use

    def test_a_certificate_of_somebody_else_is_refused(self, connect, front, tmp_path):
        url, _ = front
        wrapper = connect(
            {"DATABASE_URL": f"{url}?sslmode=verify-full&sslrootcert={tmp_path}/no.pem"}
        )

        with pytest.raises(OperationalError):
            who_and_where(wrapper)

    def test_a_certificate_for_another_host_is_refused(self, connect, front):
        url, ca_file = front
        elsewhere = url.replace("@localhost:", "@other.localhost:") + (
            f"?sslmode=verify-full&hostaddr=127.0.0.1&sslrootcert={escaped(str(ca_file))}"
        )

        with pytest.raises(OperationalError):
            who_and_where(connect({"DATABASE_URL": elsewhere}))
        with pytest.raises(psycopg.OperationalError, match="certificate"):
            psycopg.connect(elsewhere)

    def test_a_server_without_tls_is_refused_where_it_is_required(self, connect, address):
        userinfo = f"{escaped(address.user)}:{escaped(address.password)}"
        url = f"postgresql://{userinfo}@127.0.0.1:{address.port}/{address.name}?sslmode=require"

        with pytest.raises(OperationalError):
            who_and_where(connect({"DATABASE_URL": url}))


class TestOtherUrls:
    def test_connection_limit_bounds_the_pool(self, connect, empty):
        url = f"{empty.add('default')}&connection_limit=2&pool_timeout=0.2"
        wrapper = connect({"DATABASE_URL": url})
        pool = wrapper.pool
        pool.open()
        with pool.connection(), pool.connection():
            assert pool.max_size == 2
            with pytest.raises(OperationalError):
                who_and_where(wrapper)
        assert who_and_where(wrapper)[1] == empty.names["default"]

    def test_a_direct_url_connects_without_a_pool(self, connect, empty):
        url = empty.add("default")
        environ = {
            "DATABASE_URL": "postgresql://u@/d?host=/nonexistent&pgbouncer=true",
            "DIRECT_DATABASE_URL": url,
        }
        wrapper = connect(environ, direct=True)

        assert who_and_where(wrapper)[1] == empty.names["default"]
        assert wrapper.pool is None

    def test_replicas_of_one_variable_connect_each(self, connect, empty):
        if "replica" not in empty.servers.servers:
            pytest.skip("this shape has no replica")
        environ = {"DATABASE_URL": empty.add("default")}
        empty.servers.wait_for_replica()
        environ["READ_REPLICA_DATABASE_URL"] = f"{empty.replica_url()},{empty.replica_url()}"
        for alias in ("replica", "replica_2"):
            with connect(environ, alias).cursor() as cursor:
                cursor.execute("SELECT pg_is_in_recovery(), current_database()")

                assert cursor.fetchone() == (True, empty.names["default"])

    def test_parameters_of_other_tools_do_not_stand_in_the_way(self, connect, empty):
        url = f"{empty.add('default')}&schema=public&sslaccept=strict&application_name=prisma"

        assert who_and_where(connect({"DATABASE_URL": url}))[1] == empty.names["default"]
