"""A set of servers: up, its addresses, failures on purpose, down."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import psycopg
import pymongo
import pytest
import redis

from devservers.errors import SetInUse, UnknownServer
from devservers.places import CHECKOUT
from devservers.processes import Identity, identity_of, is_paused
from devservers.sets import ServerSet
from devservers.state import read_state, write_state
from tests.waiting import eventually

POSTGRES = ("primary", "others", "replica")


def is_refused(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return True
    return False


@pytest.fixture(scope="module")
def whole(checkout):
    with ServerSet("whole", checkout=checkout, throwaway=True) as servers:
        yield servers


class TestAWholeSet:
    def test_every_variable_leads_to_a_server_that_serves(self, whole):
        environment = whole.environment()

        assert set(environment) == {
            *("DATABASE_URL", "CACHE_DATABASE_URL", "ANALYTICS_DATABASE_URL"),
            *("DOCUMENTS_DATABASE_URL", "COMPLIANCE_DATABASE_URL", "DATA_DATABASE_URL"),
            *("READ_REPLICA_DATABASE_URL", "MONGO_URL", "REDIS_URL", "POSTGRES_BIN_DIR"),
        }
        assert (Path(environment["POSTGRES_BIN_DIR"]) / "pg_dump").is_file()
        for name, url in environment.items():
            if name.endswith("DATABASE_URL"):
                with psycopg.connect(url) as connection:
                    assert connection.execute("SHOW server_version_num").fetchone()[0] >= "180000"
        with pymongo.MongoClient(environment["MONGO_URL"]) as client:
            with client.start_session() as session, session.start_transaction():
                client.polystore.proof.insert_one({"in": "a transaction"}, session=session)
            assert client.polystore.proof.count_documents({}) == 1
        with redis.Redis.from_url(environment["REDIS_URL"]) as client:
            assert client.ping()

    def test_the_replica_shows_what_the_primary_committed_and_takes_no_writes(self, whole):
        whole.sql("default", "CREATE TABLE IF NOT EXISTS followed (id int)")
        whole.sql("default", "INSERT INTO followed VALUES (1)")

        whole.wait_for_replica()

        assert whole.sql("replica", "SELECT count(*) > 0 FROM followed") == [(True,)]
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            whole.sql("replica", "INSERT INTO followed VALUES (2)")

    def test_the_replica_shows_nothing_new_while_its_replay_is_paused(self, whole):
        whole.sql("default", "CREATE TABLE paused (id int)")
        whole.wait_for_replica()
        with whole.healed():
            whole.pause_replay()
            whole.sql("default", "INSERT INTO paused VALUES (1)")
            with pytest.raises(Exception, match="did not reach"):
                whole.wait_for_replica(timeout=0.3)

            assert whole.sql("replica", "SELECT count(*) FROM paused") == [(0,)]

        whole.wait_for_replica()
        assert whole.sql("replica", "SELECT count(*) FROM paused") == [(1,)]

    def test_strangers_get_in_neither_by_the_network_nor_by_the_socket(self, whole):
        state = read_state(whole.folder)
        tcp = whole.url_of("default", tcp=True)

        assert Path(state.sockets).stat().st_mode & 0o077 == 0
        assert (whole.folder / "state.json").stat().st_mode & 0o077 == 0
        psycopg.connect(tcp).close()
        assert is_refused(tcp.replace(state.password, "wrong"))
        with (
            redis.Redis.from_url(whole.url_of("redis").replace(state.password, "wrong")) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()
        for server in whole.servers:
            port = state.servers[server].port
            with socket.socket() as elsewhere:  # Nobody listens beyond 127.0.0.1.
                elsewhere.bind(("127.0.0.2", port))

    def test_sockets_have_paths_that_every_client_can_use(self, whole):
        folder = Path(read_state(whole.folder).sockets)

        sockets = [path for path in folder.iterdir() if path.is_socket()]
        assert len(sockets) >= len(POSTGRES)
        assert all(len(str(path).encode()) <= 107 for path in sockets)

    @pytest.mark.parametrize("server", [*POSTGRES, "redis", "mongodb"])
    def test_a_server_that_was_killed_starts_again_at_its_address(self, whole, server):
        before, url = whole.pid(server), whole.url_of(server)

        whole.kill(server)
        assert whole.status()[server] == "stopped"
        assert whole.pid(server) is None
        whole.start(server)

        assert whole.status()[server] == "up"
        assert whole.pid(server) != before
        assert whole.url_of(server) == url

    @pytest.mark.parametrize("server", [*POSTGRES, "redis", "mongodb"])
    def test_a_paused_server_answers_nothing_until_it_is_resumed(self, whole, server):
        with whole.healed():
            whole.pause(server)

            assert whole.status()[server] == "paused"
            processes = whole._servers[server].processes.pids()
            assert all(is_paused(pid) for pid in processes)
            assert len(processes) > 3 if server in POSTGRES else len(processes) == 1
            whole.resume(server)
            eventually(lambda: whole.status()[server] == "up")

    def test_whatever_a_test_broke_is_mended(self, whole):
        with whole.healed():
            whole.stop("others")
            whole.kill("redis")
            whole.pause("mongodb")
            whole.sql("replica", "SELECT pg_promote()")

        assert set(whole.status().values()) == {"up"}
        assert whole.sql("replica", "SELECT pg_is_in_recovery()") == [(True,)]

    def test_a_replica_that_lost_its_place_is_made_anew(self, whole):
        with whole.healed():
            whole.stop("replica")
            whole.sql("default", "SELECT pg_drop_replication_slot('replica')")
            whole.sql("default", "CREATE TABLE IF NOT EXISTS since (id int)")

        whole.wait_for_replica()
        assert whole.sql("replica", "SELECT count(*) FROM since") == [(0,)]

    def test_one_alias_can_have_a_server_of_its_own(self, whole):
        assert whole.server_of("cache") == "others"

        name = whole.add_postgres("cache-alone", databases=["cache"])

        assert whole.server_of("cache") == name
        assert whole.environment()["CACHE_DATABASE_URL"] == whole.url_of_database(name, "cache")
        whole.stop(name)
        assert is_refused(whole.url_of("cache"))
        assert not is_refused(whole.url_of("analytics"))
        whole.start(name)

    def test_tls_is_spoken_before_a_server_and_its_authority_is_checked(self, whole):
        with whole.tls("default") as (url, authority):
            with psycopg.connect(f"{url}?sslmode=verify-full&sslrootcert={authority}") as client:
                assert client.pgconn.ssl_in_use
                big = client.execute("SELECT repeat('x', 1000000)").fetchone()[0]
                assert len(big) == 1_000_000
            assert is_refused(f"{url}?sslmode=disable")
            other = CHECKOUT / "requirements" / "dev.txt"
            assert is_refused(f"{url}?sslmode=verify-full&sslrootcert={other}")

    def test_a_name_that_it_does_not_have_is_refused(self, whole):
        with pytest.raises(UnknownServer, match="nothing named nobody"):
            whole.stop("nobody")


class TestItsLife:
    def test_a_throw_away_set_leaves_nothing(self, make_set):
        servers = make_set().up(("primary", "redis"))
        folder, sockets = servers.folder, Path(read_state(servers.folder).sockets)

        servers.down()

        assert not folder.exists()
        assert not sockets.exists()

    def test_another_set_keeps_data_and_addresses(self, make_set):
        servers = make_set(throwaway=False).up()
        servers.sql("documents", "CREATE TABLE kept (id int)")
        servers.sql("default", "CREATE TABLE kept (id int)")
        with redis.Redis.from_url(servers.url_of("redis")) as client:
            client.set("kept", "1")
        with pymongo.MongoClient(servers.url_of("mongodb")) as client:
            client.polystore.kept.insert_one({})
        environment = servers.environment()

        servers.down()
        begun = time.monotonic()
        servers.up()
        seconds = time.monotonic() - begun

        assert servers.environment() == environment
        servers.sql("documents", "SELECT * FROM kept")
        servers.sql("replica", "SELECT * FROM kept")
        with redis.Redis.from_url(servers.url_of("redis")) as client:
            assert client.get("kept") == b"1"
        with pymongo.MongoClient(servers.url_of("mongodb")) as client:
            assert client.polystore.kept.count_documents({}) == 1
        assert seconds < 20  # Two or three, on a machine that does nothing else.

    def test_a_port_that_was_taken_meanwhile_costs_the_address_and_no_data(self, make_set):
        servers = make_set(throwaway=False).up()
        servers.sql("default", "CREATE TABLE kept (id int)")
        with pymongo.MongoClient(servers.url_of("mongodb")) as client:
            client.polystore.kept.insert_one({})
        ports = {name: each.port for name, each in read_state(servers.folder).servers.items()}
        servers.down()
        squatters = [socket.create_server(("127.0.0.1", port)) for port in ports.values()]
        try:
            servers.up()

            now = {name: each.port for name, each in read_state(servers.folder).servers.items()}
            assert not set(now.values()) & set(ports.values())
            servers.sql("default", "INSERT INTO kept VALUES (1)")
            servers.wait_for_replica()
            assert servers.sql("replica", "SELECT count(*) FROM kept") == [(1,)]
            with pymongo.MongoClient(servers.url_of("mongodb")) as client:
                assert client.polystore.kept.count_documents({}) == 1
        finally:
            for squatter in squatters:
                squatter.close()

    def test_several_sets_run_side_by_side(self, make_set):
        one, two = make_set("one").up(("primary",)), make_set("two").up(("primary",))

        one.sql("default", "CREATE TABLE only_here (id int)")

        with pytest.raises(psycopg.errors.UndefinedTable):
            two.sql("default", "SELECT * FROM only_here")
        one.down()
        assert two.status() == {"primary": "up"}

    def test_what_the_user_has_is_not_started(self, make_set):
        given = {"DATABASE_URL": "postgresql://elsewhere/db", "MONGO_URL": "mongodb://elsewhere"}

        servers = make_set(given=given).up(("primary", "replica", "redis", "mongodb"))

        assert servers.servers == ("redis",)
        assert set(servers.environment()) == {"REDIS_URL"}

    def test_servers_run_in_sessions_of_their_own(self, make_set):
        servers = make_set().up(("primary", "redis"))

        for name in servers.servers:
            fields = Path(f"/proc/{servers.pid(name)}/stat").read_text().rpartition(")")[2].split()
            assert int(fields[3]) == servers.pid(name)  # The leader: no terminal's Ctrl-C.

    def test_a_set_of_a_living_process_is_refused_to_others(self, make_set, python):
        servers = make_set().up(("redis",))
        code = (
            "import sys; from pathlib import Path; from devservers.sets import ServerSet\n"
            "from devservers.errors import SetInUse\n"
            "try: ServerSet(sys.argv[1], checkout=Path(sys.argv[2])).up(('redis',))\n"
            "except SetInUse as refused: print(refused)"
        )

        said, _ = python(code, servers.name, str(servers.checkout)).communicate(timeout=60)

        assert "belong to process" in said
        assert SetInUse.remedy in said
        assert servers.status() == {"redis": "up"}

    def test_an_owner_whose_number_another_program_has_now_is_no_owner(self, make_set, python):
        servers = make_set(throwaway=False).up(("redis",), owned=False)
        stranger = python("input()")
        state = read_state(servers.folder)
        assert state is not None
        started = identity_of(stranger.pid).started
        state.owner = Identity(pid=stranger.pid, started=started - 1)
        write_state(servers.folder, state)

        make_set(throwaway=False).up(("redis",))

        assert stranger.poll() is None
        stranger.communicate("\n")
