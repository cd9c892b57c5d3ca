"""What counts as a write: whoever made one reads from the primary, and nobody else does."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from django.apps import apps
from django.contrib.postgres.aggregates import ArrayAgg, BoolOr, JSONBAgg, StringAgg
from django.contrib.postgres.search import SearchQuery, SearchRank, SearchVector
from django.db import DatabaseError, connection, transaction
from django.db.models import (
    Avg,
    Case,
    CharField,
    Count,
    DateField,
    Exists,
    F,
    Func,
    IntegerField,
    JSONField,
    Max,
    Min,
    OuterRef,
    Q,
    StdDev,
    Subquery,
    Sum,
    Value,
    Variance,
    When,
    Window,
    functions,
)
from django.utils import timezone
from psycopg import sql

from accounts.models import User
from customers.models import BusinessEntity
from databases.backend.functions import HARMLESS_FUNCTIONS, KEYWORDS_BEFORE_PARENTHESES
from databases.backend.statements import changes_rows
from databases.causality import causal_scope
from tests.homes import databases_of, home_of

OWNER = uuid.UUID(int=11)

READS = {
    "a lookup": 'SELECT "a"."id" FROM "a" WHERE "a"."id" = %s LIMIT 21',
    "IN": 'SELECT 1 FROM "a" WHERE "a"."id" IN (%s, %s) AND NOT ("a"."b" IN (SELECT 1))',
    "VALUES": "SELECT * FROM (VALUES (1, 2), (3, 4)) AS v(a, b)",
    "a bare VALUES": "VALUES (1), (2)",
    "a quoted column before a parenthesis": 'SELECT ("a"."delete") FROM "a" AS "x" ("delete")',
    "a column named update": 'SELECT "update", "insert into" FROM "delete from"',
    "a join with a subquery": "SELECT 1 FROM a JOIN (SELECT 1 AS id) b ON (a.id = b.id)",
    "USING": "SELECT 1 FROM a JOIN b USING (id)",
    "unions": "(SELECT 1) UNION ALL (SELECT 2) UNION (SELECT 3) EXCEPT (SELECT 4)",
    "a lock": "SELECT 1 FROM a WHERE (id = 1) FOR UPDATE",
    "a weaker lock": "SELECT 1 FROM a WHERE (id = 1) FOR NO KEY UPDATE OF a SKIP LOCKED",
    "a WITH query": "WITH x(a, b) AS (SELECT 1, 2), y (c) AS NOT MATERIALIZED (SELECT 3) TABLE x",
    "a recursive WITH query": (
        "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 9) "
        "SELECT sum(n) FROM t"
    ),
    "a string": "SELECT 'writer(1); DELETE FROM a' FROM a WHERE b = 'it''s (UPDATE a SET b = 1)'",
    "an escape string": r"SELECT E'it\'s writer(1)' FROM a",
    "a dollar-quoted string": "SELECT $x$ writer(1); DELETE FROM a $x$",
    "comments": "/* writer(1) */ SELECT 1 -- ; DELETE FROM a\n FROM a",
    "a semicolon at the end": "SELECT 1;  ",
    "two reads": "SELECT 1; SELECT now()",
    "types with a length": "SELECT a::varchar(10), CAST(b AS numeric(9, 2)), c::time(3) FROM t",
    "windows": "SELECT rank() OVER (PARTITION BY (a)), sum(b) FILTER (WHERE (c)) FROM t",
    "grouping": "SELECT 1 FROM a GROUP BY ROLLUP (b), CUBE (c), GROUPING SETS ((d), ())",
    "any": "SELECT 1 FROM a WHERE b = ANY (%s) AND c = ALL (%s) AND d LIKE SOME (%s)",
    "lateral": "SELECT 1 FROM a, LATERAL (SELECT 1) x, LATERAL generate_series(1, 3) AS g(i)",
    "a sample": "SELECT 1 FROM a TABLESAMPLE system (1)",
    "distinct on": "SELECT DISTINCT ON (a) a, b FROM t",
    "a qualified built-in": 'SELECT pg_catalog.now(), pg_catalog . lower (%s), "lower"(%s)',
    "named parameters": "SELECT %(insert)s, %(delete)s::text",
    "arrays": "SELECT ARRAY[1, 2], ARRAY(SELECT 1), (ARRAY[3])[1]",
}

WRITES_THAT_SAY_SELECT = {
    "a function": "SELECT writer(1)",
    "a function in upper case": "SELECT WRITER (1)",
    "a quoted function": 'SELECT "writer"(1)',
    "a qualified function": "SELECT public.writer(1)",
    "a quoted, qualified function": 'SELECT "public"."writer" (1)',
    "a built-in's name in another schema": "SELECT mine.lower('A')",
    "a function among rows": "SELECT * FROM writer(1) AS w(a)",
    "a function that returns records": "SELECT * FROM writer(1) AS (a int, b int)",
    "a function behind DISTINCT ON": "SELECT DISTINCT ON (a) writer(a) FROM t",
    "a function behind a string": "SELECT 'x', writer(1)",
    "a function behind a comment": "SELECT -- nothing\n writer(1)",
    "a function behind a nasty string": r"SELECT 'back\', writer(1), 'slash'",
    "a sequence": "SELECT nextval('s')",
    "a sequence set": "SELECT setval('s', 7)",
    "a function that runs SQL": "SELECT query_to_xml('DELETE FROM a RETURNING 1', true, true, '')",
    "a large object": "SELECT lo_create(0)",
    "INSERT in WITH": "WITH x AS (INSERT INTO a VALUES (1) RETURNING id) SELECT * FROM x",
    "UPDATE in WITH without RETURNING": "WITH x AS (UPDATE a SET b = 1) SELECT 1",
    "DELETE in a nested WITH": (
        "WITH x AS (WITH y AS (SELECT 1) DELETE FROM a USING y RETURNING 1) SELECT 1 FROM x"
    ),
    "MERGE in WITH": "WITH x AS (MERGE INTO a USING b ON true WHEN MATCHED THEN DELETE) SELECT 1",
    "SELECT INTO": "SELECT * INTO copy_of_a FROM a",
    "SELECT INTO out of WITH": "WITH x AS (SELECT 1) SELECT * INTO copy_of_x FROM x",
    "CREATE TABLE AS": "CREATE TABLE b AS SELECT 1",
    "a prepared statement": "EXECUTE p(1)",
    "a read and a write": "SELECT 1; UPDATE a SET b = 1",
    "a read and a call": "SELECT 1; CALL p()",
}


@pytest.mark.parametrize("query", READS.values(), ids=READS.keys())
def test_a_read_is_no_write(query):
    assert not changes_rows(query, "SELECT 3")


@pytest.mark.parametrize(
    "query", WRITES_THAT_SAY_SELECT.values(), ids=WRITES_THAT_SAY_SELECT.keys()
)
def test_a_write_whose_tag_says_select_is_a_write(query):
    assert changes_rows(query, "SELECT 0")


@pytest.mark.parametrize(
    ("query", "tag"),
    [
        ("INSERT INTO a VALUES (1)", "INSERT 0 1"),
        ("UPDATE a SET b = 1", "UPDATE 12"),
        ("DELETE FROM a", "DELETE 10"),
        ("MERGE INTO a USING b ON true WHEN MATCHED THEN DELETE", "MERGE 1"),
        ("COPY a FROM STDIN", "COPY 3"),
        ('COPY "a" ("b") FROM STDIN', "COPY 3"),
        ("TRUNCATE a", "TRUNCATE TABLE"),
        ("CALL p()", "CALL"),
        ("DO $$ BEGIN DELETE FROM a; END $$", "DO"),
        ("CREATE TABLE a (b int)", "CREATE TABLE"),
        ("REFRESH MATERIALIZED VIEW v", "REFRESH MATERIALIZED VIEW"),
        ("EXPLAIN ANALYZE DELETE FROM a", "EXPLAIN"),
        ("EXPLAIN (ANALYZE, BUFFERS) SELECT writer(1)", "EXPLAIN"),
        ("DECLARE c CURSOR FOR SELECT writer(1)", "DECLARE CURSOR"),
        ("BEGIN; INSERT INTO a VALUES (1); COMMIT", "BEGIN"),
        ("UPDATE a SET b = 1 WHERE false; UPDATE a SET b = 2", "UPDATE 0"),
        ("WITH x AS (INSERT INTO a VALUES (1)) UPDATE b SET c = 1 WHERE false", "UPDATE 0"),
        ("UPDATE a SET b = (SELECT writer(1)) WHERE false", "UPDATE 0"),
        ("INSERT INTO a SELECT writer(1) ON CONFLICT DO NOTHING", "INSERT 0 0"),
        ("COPY (DELETE FROM a RETURNING 1) TO STDOUT", "COPY 3"),
    ],
)
def test_a_statement_that_changed_rows_is_a_write(query, tag):
    assert changes_rows(query, tag)


@pytest.mark.parametrize(
    ("query", "tag"),
    [
        ('UPDATE "a" SET "b" = %s WHERE "a"."id" IN (%s)', "UPDATE 0"),
        ('DELETE FROM "a" WHERE "a"."id" IN (%s)', "DELETE 0"),
        ('INSERT INTO "a" ("b", "c") VALUES (%s, %s) ON CONFLICT ("b") DO NOTHING', "INSERT 0 0"),
        ("WITH x AS (SELECT 1) UPDATE a SET b = 1 FROM x WHERE false", "UPDATE 0"),
        ("WITH x AS (SELECT 1) INSERT INTO a (b) SELECT 1 FROM x WHERE false", "INSERT 0 0"),
        ("MERGE INTO a USING b ON a.i = b.i WHEN MATCHED THEN DELETE", "MERGE 0"),
        ("COPY a FROM STDIN", "COPY 0"),
        ("COPY a (b) TO STDOUT", "COPY 7"),
        ("COPY (SELECT lower(b) FROM a) TO STDOUT", "COPY 7"),
        ("EXPLAIN DELETE FROM a", "EXPLAIN"),
        ("EXPLAIN (ANALYZE) SELECT lower(b) FROM a", "EXPLAIN"),
        ("PREPARE p AS DELETE FROM a", "PREPARE"),
        ("SET search_path = a", "SET"),
        ("SHOW server_version", "SHOW"),
        ("SAVEPOINT a", "SAVEPOINT"),
        ("FETCH 10 FROM c", "FETCH 10"),
        ("", ""),
        ("-- nothing", ""),
    ],
)
def test_a_statement_that_changed_nothing_is_no_write(query, tag):
    assert not changes_rows(query, tag)


def test_a_long_statement_is_judged_like_a_short_one():
    many = ", ".join(["%s"] * 5_000)

    assert not changes_rows(f"SELECT 1 FROM a WHERE b IN ({many})", "SELECT 0")
    assert changes_rows(f"SELECT writer(1) FROM a WHERE b IN ({many})", "SELECT 0")


@pytest.fixture
def entity():
    User.objects.create(pk=OWNER, email="owner@example.org")
    return BusinessEntity.objects.create(legal_name="Acme", owner_id=OWNER)


@pytest.fixture
def writer():
    """Create a table, a sequence, and a function and a procedure that write."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE noted (id serial, text text)")
        cursor.execute(
            "CREATE FUNCTION note(words text) RETURNS SETOF int LANGUAGE sql AS "
            "$$ INSERT INTO noted (text) VALUES (words) RETURNING id $$"
        )
        cursor.execute(
            "CREATE PROCEDURE note_it(words text) LANGUAGE sql AS "
            "$$ INSERT INTO noted (text) VALUES (words) $$"
        )
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP PROCEDURE note_it; DROP FUNCTION note; DROP TABLE noted")


def noted() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM noted")
        return int(cursor.fetchone()[0])


def an_entity(name: str, **values: object) -> BusinessEntity:
    return BusinessEntity(legal_name=name, owner_id=OWNER, **values)


def fail_after(step: Callable[[], object]) -> None:
    step()
    raise ZeroDivisionError


@pytest.mark.django_db(transaction=True, databases=databases_of("customers"))
class TestTheOrm:
    @pytest.mark.parametrize(
        "write",
        [
            lambda: an_entity("B").save(),
            lambda: BusinessEntity.objects.bulk_create([an_entity("B"), an_entity("C")]),
            lambda: BusinessEntity.objects.update(legal_name="B"),
            lambda: BusinessEntity.objects.using("default").update(legal_name="B"),
            lambda: BusinessEntity.objects.get_or_create(legal_name="New", owner_id=OWNER),
            lambda: BusinessEntity.objects.update_or_create(
                legal_name="Acme", defaults={"status": "active"}
            ),
            lambda: BusinessEntity.objects.using("default").get().delete(),
            lambda: BusinessEntity.objects.all().delete(),
            lambda: BusinessEntity.objects.all()._raw_delete("default"),
        ],
    )
    def test_a_write_counts(self, entity, write):
        with causal_scope() as state:
            write()

        assert state.wrote == {"default"}

    @pytest.mark.parametrize(
        "call",
        [
            lambda: BusinessEntity.objects.get_or_create(legal_name="Acme", owner_id=OWNER),
            lambda: BusinessEntity.objects.filter(legal_name="Nobody").update(status="active"),
            lambda: BusinessEntity.objects.filter(legal_name="Nobody").delete(),
            lambda: BusinessEntity.objects.bulk_create([]),
            lambda: list(BusinessEntity.objects.select_for_update(of=("self",))),
            lambda: BusinessEntity.objects.explain(analyze=True),
            lambda: list(BusinessEntity.objects.iterator()),
        ],
    )
    def test_what_changes_nothing_does_not_count(self, entity, call):
        with causal_scope() as state, transaction.atomic():
            call()

        assert state.wrote == set()

    def test_bulk_create_that_only_meets_conflicts_does_not_count(self, entity):
        with causal_scope() as state:
            BusinessEntity.objects.bulk_create([entity], ignore_conflicts=True)

        assert state.wrote == set()


@pytest.mark.django_db(transaction=True, databases=databases_of("customers"))
class TestTransactions:
    def test_a_write_counts_when_it_is_committed_and_not_before(self, entity):
        with causal_scope() as state:
            with transaction.atomic():
                an_entity("B").save()
                assert state.wrote == set()

            assert state.wrote == {"default"}

    def test_a_rolled_back_write_is_forgotten(self, entity):
        with causal_scope() as state:
            with pytest.raises(ZeroDivisionError), transaction.atomic():
                fail_after(an_entity("B").save)
            with transaction.atomic():
                BusinessEntity.objects.count()

        assert state.wrote == set()

    def test_a_write_before_a_savepoint_that_is_rolled_back_counts(self, entity):
        with causal_scope() as state, transaction.atomic():
            an_entity("B").save()
            with pytest.raises(ZeroDivisionError), transaction.atomic():
                fail_after(an_entity("C").save)

        assert state.wrote == {"default"}

    def test_a_write_in_a_savepoint_counts(self, entity):
        with causal_scope() as state, transaction.atomic(), transaction.atomic():
            an_entity("B").save()

        assert state.wrote == {"default"}

    def test_a_failed_write_does_not_count(self, entity):
        with causal_scope() as state, pytest.raises(DatabaseError):
            an_entity("B", country="not a country").save()

        assert state.wrote == set()

    def test_a_write_without_autocommit_counts_at_the_commit(self, entity):
        with causal_scope() as state:
            transaction.set_autocommit(False)
            try:
                an_entity("B").save()
                assert state.wrote == set()
                transaction.commit()
            finally:
                transaction.set_autocommit(True)

        assert state.wrote == {"default"}

    def test_what_another_scope_wrote_does_not_count(self, entity):
        with causal_scope() as other:
            an_entity("B").save()
        with causal_scope() as state:
            BusinessEntity.objects.count()

        assert other.wrote == {"default"}
        assert state.wrote == set()


@pytest.mark.django_db(transaction=True, databases=databases_of("customers"))
@pytest.mark.usefixtures("writer")
class TestRawCursors:
    @pytest.mark.parametrize(
        "statement",
        [
            "INSERT INTO noted (text) VALUES ('a')",
            b"INSERT INTO noted (text) VALUES ('a')",
            sql.SQL("INSERT INTO {} (text) VALUES ('a')").format(sql.Identifier("noted")),
            "WITH x AS (INSERT INTO noted (text) VALUES ('a')) SELECT 1",
            "WITH x AS (INSERT INTO noted (text) VALUES ('a')) DELETE FROM noted WHERE id = -1",
            "SELECT note('a')",
            'SELECT * FROM "public"."note"(\'a\')',
            sql.SQL("SELECT {}({})").format(sql.Identifier("note"), sql.Literal("a")),
            "CALL note_it('a')",
            "DO $$ BEGIN PERFORM note('a'); END $$",
            "SELECT 1; INSERT INTO noted (text) VALUES ('a')",
            "BEGIN; INSERT INTO noted (text) VALUES ('a'); COMMIT",
            "EXPLAIN ANALYZE INSERT INTO noted (text) VALUES ('a')",
        ],
    )
    def test_a_statement_that_writes_counts(self, statement):
        with causal_scope() as state, connection.cursor() as cursor:
            cursor.execute(statement)

        assert noted() == 1
        assert state.wrote == {"default"}

    def test_a_stored_function_that_is_called_by_name_counts(self):
        with causal_scope() as state, connection.cursor() as cursor:
            cursor.callproc("note", ["a"])

        assert state.wrote == {"default"}

    def test_a_sequence_counts(self):
        with causal_scope() as state, connection.cursor() as cursor:
            cursor.execute("SELECT nextval('noted_id_seq')")

        assert state.wrote == {"default"}

    @pytest.mark.parametrize(
        "statement",
        [
            "SELECT * FROM noted",
            b"SELECT upper(text) FROM noted",
            sql.SQL("SELECT lower(text) FROM {}").format(sql.Identifier("noted")),
            "UPDATE noted SET text = 'b' WHERE id = -1",
            "SELECT 'note(1)' AS \"note(1)\" -- note(1)",
            "SHOW server_version",
        ],
    )
    def test_a_statement_that_changes_nothing_does_not_count(self, statement):
        with causal_scope() as state, connection.cursor() as cursor:
            cursor.execute(statement)

        assert state.wrote == set()

    def test_executemany_counts_also_when_the_last_parameters_met_no_row(self):
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO noted (text) VALUES (%s)", [["a"], ["b"]])
            with causal_scope() as state:
                cursor.executemany("UPDATE noted SET text = 'c' WHERE text = %s", [["a"], ["x"]])

        assert state.wrote == {"default"}

    def test_executemany_that_met_no_row_does_not_count(self):
        with causal_scope() as state, connection.cursor() as cursor:
            cursor.executemany("UPDATE noted SET text = 'c' WHERE text = %s", [["y"], ["x"]])

        assert state.wrote == set()

    def test_executemany_that_fails_leaves_nothing_behind_unnoticed(self):
        with causal_scope() as state, connection.cursor() as cursor, pytest.raises(DatabaseError):
            cursor.executemany("INSERT INTO noted (id) VALUES (%s)", [["1"], ["no number"]])

        assert noted() == 0 or state.wrote == {"default"}

    def test_copying_in_counts(self):
        with causal_scope() as state, connection.cursor() as cursor:
            with cursor.copy("COPY noted (text) FROM STDIN") as copy:
                copy.write_row(["a"])
                assert state.wrote == set()

            assert state.wrote == {"default"}
        assert noted() == 1

    def test_copying_out_does_not_count(self):
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO noted (text) VALUES ('a')")
            with causal_scope() as state, cursor.copy("COPY noted TO STDOUT") as copy:
                rows = list(copy.rows())

        assert len(rows) == 1
        assert state.wrote == set()


AGGREGATES = [
    Count("id"),
    Count("id", distinct=True, filter=Q(status="active")),
    Avg("number"),
    Sum("number", default=0),
    StdDev("number"),
    Variance("number", sample=True),
    Max("created_at"),
    Min("created_at"),
    ArrayAgg("status", distinct=True),
    BoolOr(Q(status="active")),
    JSONBAgg("status"),
    StringAgg("status", ", "),
]
ANNOTATIONS = [
    Case(When(status="active", then=Value(1)), default=Value(0), output_field=IntegerField()),
    functions.Concat("legal_name", Value(" ("), "status", Value(")")),
    functions.Cast("legal_name", CharField(max_length=10)),
    functions.Cast("created_at", DateField()),
    functions.Coalesce("trading_name", "legal_name"),
    functions.TruncMonth("created_at"),
    functions.ExtractIsoWeekDay("created_at"),
    functions.JSONObject(name="legal_name", at="created_at"),
    functions.Substr("legal_name", 1, 3),
    functions.StrIndex("legal_name", Value("(")),
    functions.Collate("legal_name", "C"),
    functions.Random(),
    Exists(User.objects.filter(pk=OuterRef("owner_id"))),
    Subquery(User.objects.filter(pk=OuterRef("owner_id")).values("email")[:1]),
    Window(functions.RowNumber(), partition_by="status", order_by="-created_at"),
    Window(functions.Lag("legal_name"), order_by="id"),
    SearchVector("legal_name", config="english"),
    SearchRank(SearchVector("legal_name"), SearchQuery("acme", search_type="websearch")),
]


@pytest.mark.django_db(transaction=True, databases=databases_of("customers"))
class TestTheSqlOfTheOrm:
    @pytest.mark.parametrize("aggregate", AGGREGATES, ids=str)
    def test_an_aggregate_is_a_read(self, entity, aggregate):
        numbered = BusinessEntity.objects.annotate(number=functions.Length("legal_name"))
        with causal_scope() as state:
            list(numbered.values("country").annotate(found=aggregate).order_by("country"))
            numbered.aggregate(found=aggregate)

        assert state.wrote == set()

    @pytest.mark.parametrize("annotation", ANNOTATIONS, ids=str)
    def test_an_annotation_is_a_read(self, entity, annotation):
        with causal_scope() as state:
            list(BusinessEntity.objects.annotate(found=annotation).values_list("found"))

        assert state.wrote == set()

    def test_subqueries_unions_and_filters_are_reads(self, entity):
        every = BusinessEntity.objects.all()
        active, named = every.filter(status="active"), every.filter(legal_name__iregex=r"^a\(")
        with causal_scope() as state:
            list(active.union(named, all=True).order_by("legal_name"))
            list(active.intersection(named))
            list(active.difference(named))
            list(every.filter(pk__in=active.values("pk")).exclude(pk__in=named))
            list(every.filter(created_at__date=timezone.now().date(), created_at__hour=3))
            list(every.order_by(F("status").desc(nulls_last=True)).distinct("status"))
            list(every.select_related("owner").prefetch_related("owner__groups"))
            every.in_bulk([OWNER])
            every.filter(legal_name__icontains="Delete from (").exists()
            every.dates("created_at", "month")
            every.count()

        assert state.wrote == set()

    def test_json_is_read(self, entity):
        rows = BusinessEntity.objects.annotate(
            document=functions.Cast(Value('{"a": {"b": [1]}}'), JSONField())
        )
        with causal_scope() as state:
            list(rows.filter(document__a__b__0=1, document__has_key="a"))
            list(rows.filter(document__has_any_keys=["a"]).exclude(document__a__icontains="x"))

        assert state.wrote == set()

    def test_every_row_of_every_model_is_read_as_a_read(self):
        models = [model for model in apps.get_models() if home_of(model) == connection.alias]
        with causal_scope() as state:
            for model in models:
                list(model._base_manager.order_by("pk")[:1])
                model._base_manager.filter(pk=None).delete()

        assert models
        assert state.wrote == set()


def functions_of_the_orm() -> set[str]:
    """Return the name of every database function that Django can write."""

    def below(kind: type[Func]) -> set[type[Func]]:
        return {kind}.union(*(below(child) for child in kind.__subclasses__()))

    names = {str(kind.function).lower() for kind in below(Func) if kind.function}
    # MySQL and SQLite have these; on PostgreSQL Django writes other functions.
    return names - {"instr", "sha1", "json_array"}


def test_every_function_of_the_orm_is_harmless():
    assert functions_of_the_orm() - HARMLESS_FUNCTIONS - KEYWORDS_BEFORE_PARENTHESES == set()


VOLATILE_AND_HARMLESS = (
    *("array_sample", "array_shuffle", "clock_timestamp", "current_query", "currval", "lastval"),
    *("gen_random_uuid", "random", "random_normal", "setseed", "timeofday", "uuidv4", "uuidv7"),
    *("set_config", "pg_notify", "pg_export_snapshot", "pg_control_checkpoint"),
)
"""They change no table: chance, the clock, the session. The families below take locks, wait,
measure, or signal another session."""
FAMILIES = ("pg_advisory_", "pg_try_advisory_", "pg_sleep", "pg_current_wal_", "pg_last_", "pg_is_")
MEASURES = ("_size", "_blocking_pids", "_backend")


@pytest.mark.django_db
def test_no_harmless_function_can_write_as_the_server_itself_says():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT proname FROM pg_proc WHERE provolatile = 'v'"
            " AND pronamespace = 'pg_catalog'::regnamespace"
        )
        volatile = {name for (name,) in cursor.fetchall()}

    suspicious = {
        name
        for name in volatile & (HARMLESS_FUNCTIONS | KEYWORDS_BEFORE_PARENTHESES)
        if not name.startswith(FAMILIES) and not name.endswith(MEASURES)
    }

    assert suspicious <= set(VOLATILE_AND_HARMLESS)
    assert not {"nextval", "setval", "lo_put", "query_to_xml", "ts_stat"} & HARMLESS_FUNCTIONS
