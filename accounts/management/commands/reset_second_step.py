"""`manage.py reset_second_step`: for who lost phone and recovery codes, and has no operator."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import User
from accounts.second_step.resetting import reset_second_steps


class Command(BaseCommand):
    """Removes somebody's app and recovery codes."""

    help = (
        "Remove a user's second step and end their sessions; they sign in with the password alone. "
        "Make sure first that it is them who asks. Exit 2 on bad use."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("email", help="whose")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        """Reset it."""
        user = User.objects.with_email(options["email"]).first()
        if user is None:
            raise CommandError("There is no user with this address.", returncode=2)
        reset = bool(reset_second_steps(user_ids=[user.pk]))
        if options["json"]:
            self.stdout.write(json.dumps({"user": str(user.pk), "reset": reset}))
        elif reset:
            self.stdout.write(f"{user.email} signs in without a second step now.")
        else:
            self.stdout.write(f"{user.email} had no second step.")
