"""`manage.py role`: who may do what at work."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import User
from accounts.roles import asking, giving
from accounts.roles.definitions import ROLES
from common.errors import PolystoreError
from databases.tables import rendered


class Command(BaseCommand):
    """Lists roles, and gives or takes one."""

    help = (
        "List the roles, or those of a user; give and take one. For whoever has a shell on the "
        "site's machine. Exit 2 on bad use."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("what", nargs="?", default="list", choices=["list", "give", "take"])
        parser.add_argument("email", nargs="?", default="", help="whose")
        parser.add_argument("role", nargs="?", default="", help=", ".join(ROLES))
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        """List, give or take."""
        email, name = options["email"], options["role"]
        if options["what"] == "list" and not email:
            self._list(as_json=options["json"])
            return
        user = User.objects.with_email(email).first() if email else None
        if user is None:
            raise CommandError("There is no user with this address.", returncode=2)
        try:
            changed = self._change(options["what"], user, name)
        except PolystoreError as refused:
            raise CommandError(f"{refused.detail} {refused.remedy}", returncode=2) from None
        held = sorted(asking.roles_of(user))
        if options["json"]:
            self.stdout.write(json.dumps({"user": str(user.pk), "roles": held, "changed": changed}))
            return
        self.stdout.write(f"{email}: {', '.join(held) or 'no role'}.")

    def _change(self, what: str, user: User, name: str) -> bool:
        if what == "list":
            return False
        return (giving.give_role if what == "give" else giving.take_role)(user=user, name=name)

    def _list(self, *, as_json: bool) -> None:
        if as_json:
            document = [
                {"role": role.name, "purpose": role.purpose, "scopes": sorted(role.scopes)}
                for role in ROLES.values()
            ]
            self.stdout.write(json.dumps({"roles": document}))
            return
        self.stdout.write(
            rendered(("role", "is for"), [(role.name, role.purpose) for role in ROLES.values()])
        )
