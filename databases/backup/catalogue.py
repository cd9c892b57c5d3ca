"""What a PostgreSQL database holds: its tables with their rows, sequences and migrations."""

from __future__ import annotations

from typing import Any, LiteralString, TypeAlias

import psycopg
from psycopg.sql import SQL, Composable, Identifier, Literal

from databases.backup.manifest import DatabaseDump, SequenceState, TableCount

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

_OURS: LiteralString = """
    n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = '{catalogue}'::regclass
                    AND d.objid = {object}.oid AND d.deptype = 'e')
"""
_OURS_RELATIONS: LiteralString = _OURS.replace("{catalogue}", "pg_class").replace("{object}", "c")
_TABLES: LiteralString = (
    "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND " + _OURS_RELATIONS + " ORDER BY 1, 2"
)
_SEQUENCES: LiteralString = (
    "SELECT s.schemaname, s.sequencename, s.last_value FROM pg_sequences s"
    " JOIN pg_namespace n ON n.nspname = s.schemaname"
    " JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = s.sequencename"
    " WHERE s.increment_by > 0 AND NOT s.cycle AND s.last_value IS NOT NULL AND "
    + _OURS_RELATIONS
    + " ORDER BY 1, 2"
)
_NOT_EMPTY: LiteralString = (
    "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND " + _OURS_RELATIONS + ")"
)

CLEAR: LiteralString = (
    """
DO $$ DECLARE found record; BEGIN
  FOR found IN
    SELECT format('DROP %s IF EXISTS %I.%I CASCADE',
                  CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                       WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END,
                  n.nspname, c.relname) AS statement
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND c.relpersistence <> 't' AND """
    + _OURS_RELATIONS
    + """
    ORDER BY array_position(ARRAY['m', 'v', 'f', 'p', 'r', 'S'], c.relkind::text)
  LOOP EXECUTE found.statement; END LOOP;
  FOR found IN
    SELECT format('DROP ROUTINE IF EXISTS %s CASCADE', c.oid::regprocedure) AS statement
    FROM pg_proc c JOIN pg_namespace n ON n.oid = c.pronamespace
    WHERE """
    + _OURS.replace("{catalogue}", "pg_proc").replace("{object}", "c")
    + """
  LOOP EXECUTE found.statement; END LOOP;
  FOR found IN
    SELECT format('DROP TYPE IF EXISTS %I.%I CASCADE', n.nspname, c.typname) AS statement
    FROM pg_type c JOIN pg_namespace n ON n.oid = c.typnamespace
    LEFT JOIN pg_class r ON r.oid = c.typrelid
    WHERE c.typtype IN ('c', 'd', 'e', 'r') AND (c.typrelid = 0 OR r.relkind = 'c') AND """
    + _OURS.replace("{catalogue}", "pg_type").replace("{object}", "c")
    + """
  LOOP EXECUTE found.statement; END LOOP;
  FOR found IN
    SELECT format('DROP SCHEMA IF EXISTS %I CASCADE', n.nspname) AS statement FROM pg_namespace n
    WHERE n.nspname <> 'public' AND """
    + _OURS.replace("{catalogue}", "pg_namespace").replace("{object}", "n")
    + """
  LOOP EXECUTE found.statement; END LOOP;
  PERFORM lo_unlink(oid) FROM pg_largeobject_metadata;
END $$;
"""
)
"""Drops all that a dump may hold, and nothing that an extension owns."""


def count(connection: Connection) -> tuple[TableCount, ...]:
    """Return every table's rows, as the connection's transaction sees them."""
    found = connection.execute(_TABLES).fetchall()
    return tuple(
        TableCount(schema=schema, name=name, rows=_rows(connection, schema, name))
        for schema, name in found
    )


def sequences(connection: Connection) -> tuple[SequenceState, ...]:
    """Return every rising sequence that was used, as it stands now."""
    found = connection.execute(_SEQUENCES).fetchall()
    return tuple(SequenceState(schema=row[0], name=row[1], last=row[2]) for row in found)


def migrations(connection: Connection) -> dict[str, list[str]]:
    """Return the migrations that were applied, by app, in order."""
    known = connection.execute("SELECT to_regclass('django_migrations') IS NOT NULL").fetchone()
    applied: dict[str, list[str]] = {}
    if known and known[0]:
        for app, name in connection.execute("SELECT app, name FROM django_migrations ORDER BY id"):
            applied.setdefault(app, []).append(name)
    return applied


def is_empty(connection: Connection) -> bool:
    """Tell whether a database holds no table, view or sequence but those of extensions."""
    row = connection.execute(_NOT_EMPTY).fetchone()
    return row is None or not row[0]


def proof(dump: DatabaseDump) -> str:
    """Return SQL that fails unless the database holds what the manifest says: rows, sequences."""
    tests: list[Composable] = [
        _test(
            SQL("SELECT count(*) FROM ONLY {}").format(Identifier(table.schema, table.name)),
            SQL("<> {}").format(Literal(table.rows)),
            f"{table.schema}.{table.name} must have {table.rows} rows and has ",
        )
        for table in dump.tables
    ]
    tests += [
        _test(
            SQL("SELECT last_value FROM {}").format(Identifier(each.schema, each.name)),
            SQL("< {}").format(Literal(each.last)),
            f"{each.schema}.{each.name} must stand at {each.last} or more and stands at ",
        )
        for each in dump.sequences
    ]
    body = SQL("\n").join(tests)
    text = SQL("DECLARE found bigint; BEGIN\n{}\nEND").format(body).as_string(None)
    return SQL("DO {};\n").format(Literal(text)).as_string(None)


def _test(query: Composable, wrong: Composable, message: str) -> Composable:
    return SQL("{} INTO found; IF found {} THEN RAISE EXCEPTION '%', {} || found; END IF;").format(
        SQL("EXECUTE {}").format(Literal(query.as_string(None))), wrong, Literal(message)
    )


def _rows(connection: Connection, schema: str, name: str) -> int:
    query = SQL("SELECT count(*) FROM ONLY {}").format(Identifier(schema, name))
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
