"""`manage.py grant_sql`: the SQL that gives a PostgreSQL role what it needs, and no more."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from django.db.utils import Error

from databases.aliases import PRIMARY
from databases.grants import catalogue
from databases.grants.statements import Names, Role, statements

WHO = {
    Role.OWNER: "owns the tables: migrate_all, restore, move_app, place_app",
    Role.SITE: "reads and writes rows: web, worker and beat",
    Role.REPORTS: "reads what is no secret: reports and analysts",
}


class Command(BaseCommand):
    """Prints SQL; runs none of it."""

    help = (
        "Print the SQL that gives a PostgreSQL role its least privileges in each database: owner "
        "(migrations), site (read and write) or reports (read). It holds no password. For "
        "database administrators: pipe it into psql as superuser, owner first. "
        "Exit 1 when a database does not answer, 2 on bad use."
    )
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("role", choices=[role.value for role in Role])
        parser.add_argument("--alias", action="append", default=[], help="only this database")
        parser.add_argument("--name", default="", help="of the role; polystore_ROLE by default")
        parser.add_argument("--owner", default="", help="the owner's name, where it is another")
        parser.add_argument(
            "--login",
            action="append",
            default=[],
            help="a role that signs in as a member; several take turns when passwords change",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the statements of every database."""
        role = Role(options["role"])
        names = _names(role, options)
        found = [self._of(alias, role, names) for alias in self._chosen(options["alias"])]
        if options["json"]:
            document = {"role": role.value, "name": names.of(role), "databases": found}
            self.stdout.write(json.dumps(document))
            return
        self.stdout.write(f"-- {names.of(role)}: {WHO[role]}")
        for each in found:
            self._show(each)

    def _chosen(self, aliases: list[str]) -> list[str]:
        known = list(connections.settings)
        for alias in aliases:
            if alias not in known:
                raise CommandError(
                    f"{alias!r} is not in use. Databases in use: {', '.join(known)}.", returncode=2
                )
        chosen = aliases or known
        return sorted(chosen, key=lambda alias: (alias != PRIMARY, known.index(alias)))

    def _of(self, alias: str, role: Role, names: Names) -> dict[str, Any]:
        follows = catalogue.follows(alias)
        if follows is not None:
            return {"alias": alias, "follows": follows, "statements": []}
        if connections[alias].vendor != "postgresql":
            raise CommandError(f"{alias!r} is no PostgreSQL; its roles are another matter.")
        try:
            contents = catalogue.read(alias)
        except Error:
            raise CommandError(f"{alias!r} does not answer; see describe_databases.") from None
        return {
            "alias": alias,
            "follows": None,
            "database": contents.database,
            "schema": contents.schema,
            "statements": statements(role, contents, names),
        }

    def _show(self, each: dict[str, Any]) -> None:
        if each["follows"]:
            self.stdout.write(
                f"\n-- {each['alias']}: a copy of {each['follows']}, with its roles and privileges."
            )
            return
        quoted = each["database"].replace('"', '""')
        self.stdout.write(f'\n-- {each["alias"]}\n\\connect "{quoted}"\nBEGIN;')
        for statement in each["statements"]:
            self.stdout.write(f"{statement};")
        self.stdout.write("COMMIT;")


def _names(role: Role, options: dict[str, Any]) -> Names:
    given = {"owner": options["owner"], role.value: options["name"]}
    known = {name: value for name, value in given.items() if value}
    logins = tuple(dict.fromkeys(options["login"]))
    if role is Role.OWNER and logins:
        raise CommandError("The owner signs in itself: tables are made by it alone.", returncode=2)
    for name in (*known.values(), *logins):
        if not 0 < len(name.encode()) <= 63 or "\0" in name:
            raise CommandError("A role's name has 1 to 63 bytes.", returncode=2)
    return Names(**known, logins=logins)
