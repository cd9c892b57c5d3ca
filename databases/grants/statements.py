"""The statements that give one PostgreSQL role what it needs in one database.

They can be repeated: privileges are taken back first, in the same transaction, so that nobody who
works meanwhile is without them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from psycopg.sql import SQL, Composable, Identifier, Literal

from databases.grants import declaring
from databases.grants.catalogue import Contents


class Role(StrEnum):
    """Whom the site is to PostgreSQL."""

    OWNER = "owner"
    SITE = "site"
    REPORTS = "reports"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """How the roles are called in PostgreSQL."""

    owner: str = "polystore_owner"
    site: str = "polystore_site"
    reports: str = "polystore_reports"
    logins: Sequence[str] = ()
    """Roles that sign in as members of the one that is granted; without any it signs in itself."""

    def of(self, role: Role) -> str:
        """Return the name of a role."""
        return str(getattr(self, role.value))


def statements(role: Role, contents: Contents, names: Names) -> list[str]:
    """Return what to run in this database, in order, each without a semicolon.

    For a superuser, or for the database's owner who is a member of the role `owner`.
    """
    name = names.of(role)
    made = [
        *_existence(name, names.logins),
        *_entry(contents, name),
        *_BUILDERS[role](contents, names),
    ]
    return [statement.as_string(None) for statement in made]


def _existence(name: str, logins: Sequence[str]) -> Iterator[Composable]:
    """Make the roles that are missing, without a password: `\\password` sets one."""
    yield _made(name, may_log_in=not logins)
    for login in logins:
        yield _made(login, may_log_in=True)
        yield SQL("GRANT {} TO {}").format(Identifier(name), Identifier(login))


def _made(name: str, *, may_log_in: bool) -> Composable:
    rights = "LOGIN" if may_log_in else "NOLOGIN"
    create = SQL("CREATE ROLE {} ").format(Identifier(name)) + SQL(
        f"{rights} INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
    )
    body = SQL("BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {}) THEN {}; END IF; END")
    # A literal, whatever stands in the names: dollar quotes could be closed by one.
    return SQL("DO {}").format(Literal(body.format(Literal(name), create).as_string(None)))


def _entry(contents: Contents, name: str) -> Iterator[Composable]:
    """Let the role in, and let strangers make nothing."""
    database, schema = Identifier(contents.database), Identifier(contents.schema)
    yield SQL("REVOKE CREATE, TEMPORARY ON DATABASE {} FROM PUBLIC").format(database)
    yield SQL("REVOKE CREATE ON SCHEMA {} FROM PUBLIC").format(schema)
    yield SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, Identifier(name))
    yield SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, Identifier(name))


def _owner(contents: Contents, names: Names) -> Iterator[Composable]:
    """Own everything that is there, and make more."""
    owner, schema = Identifier(names.owner), Identifier(contents.schema)
    yield SQL("GRANT CREATE ON SCHEMA {} TO {}").format(schema, owner)
    for table in contents.tables:
        yield SQL("ALTER TABLE {} OWNER TO {}").format(_in(contents, table), owner)
    for sequence, belongs in contents.sequences.items():
        if not belongs:
            yield SQL("ALTER SEQUENCE {} OWNER TO {}").format(_in(contents, sequence), owner)
    for function in contents.functions:
        yield SQL("ALTER FUNCTION {} OWNER TO {}").format(
            _signature(contents, function.name, function.arguments), owner
        )


def _site(contents: Contents, names: Names) -> Iterator[Composable]:
    """Read and write rows; make, change and empty no table."""
    site = Identifier(names.site)
    yield from _nothing(contents, names.site)
    by_privileges: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for table in contents.tables:
        by_privileges[declaring.privileges_of_site(table)].append(table)
    for privileges, tables in sorted(by_privileges.items()):
        yield SQL("GRANT {} ON TABLE {} TO {}").format(
            SQL(", ").join(map(SQL, privileges)), _all(contents, tables), site
        )
    if contents.sequences:
        yield SQL("GRANT USAGE, SELECT ON SEQUENCE {} TO {}").format(
            _all(contents, contents.sequences), site
        )
    for function in contents.functions:
        if not function.is_trigger:  # those run with their table, whoever writes
            yield SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(
                _signature(contents, function.name, function.arguments), site
            )
    # What the next migration makes works at once; run this again for what is declared of it.
    defaults = SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA {} GRANT {} TO {}")
    owner, schema = Identifier(names.owner), Identifier(contents.schema)
    for what in ("SELECT, INSERT, UPDATE, DELETE ON TABLES", "USAGE, SELECT ON SEQUENCES"):
        yield defaults.format(owner, schema, SQL(what), site)


def _reports(contents: Contents, names: Names) -> Iterator[Composable]:
    """Read what is no secret; write nothing."""
    reports = Identifier(names.reports)
    yield from _nothing(contents, names.reports)
    whole: list[str] = []
    for table, columns in contents.tables.items():
        readable = declaring.readable_columns(table, columns)
        if readable == columns:
            whole.append(table)
        elif readable:
            yield SQL("GRANT SELECT ({}) ON TABLE {} TO {}").format(
                SQL(", ").join(map(Identifier, readable)), _in(contents, table), reports
            )
    if whole:
        yield SQL("GRANT SELECT ON TABLE {} TO {}").format(_all(contents, whole), reports)
    for login in names.logins or (names.reports,):
        for setting, value in (("default_transaction_read_only", "on"),
                               ("statement_timeout", "300000")):  # fmt: skip
            yield SQL("ALTER ROLE {} IN DATABASE {} SET {} = {}").format(
                Identifier(login), Identifier(contents.database), SQL(setting), Literal(value)
            )


def _nothing(contents: Contents, name: str) -> Iterator[Composable]:
    """Take back what an earlier run gave."""
    schema, role = Identifier(contents.schema), Identifier(name)
    for what in ("TABLES", "SEQUENCES"):
        yield SQL("REVOKE ALL ON ALL {} IN SCHEMA {} FROM {}").format(SQL(what), schema, role)


def _in(contents: Contents, name: str) -> Composable:
    return Identifier(contents.schema, name)


def _all(contents: Contents, names: Iterable[str]) -> Composable:
    return SQL(", ").join(_in(contents, name) for name in names)


def _signature(contents: Contents, name: str, arguments: str) -> Composable:
    # The arguments are PostgreSQL's own words, quoted by itself.
    return _in(contents, name) + SQL("(") + SQL(arguments) + SQL(")")


_BUILDERS: Final[dict[Role, Callable[[Contents, Names], Iterator[Composable]]]] = {
    Role.OWNER: _owner,
    Role.SITE: _site,
    Role.REPORTS: _reports,
}
