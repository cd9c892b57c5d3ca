"""`manage.py ensure_development_admin`: who opens the admin on a developer's machine."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email

from accounts import services

VARIABLE = "DEVELOPMENT_ADMIN_PASSWORD"


class Command(BaseCommand):
    """Creates the development admin, or puts its password and rights right."""

    help = (
        "Make sure that an admin for development exists. The password comes from the variable "
        f"{VARIABLE} or, with --password-stdin, from the first line of standard input, so that "
        "no list of processes shows it. Refused where DEBUG is off."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--email", default="admin@example.com", help="Signs in with it.")
        parser.add_argument(
            "--password-stdin",
            action="store_true",
            help="Read the password from standard input.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Refuse, or do it and say what was done."""
        if not settings.DEBUG:
            raise CommandError(
                "DEBUG is off: this is no developer's machine. "
                "Use `manage.py createsuperuser` to make an admin here."
            )
        email = options["email"]
        try:
            validate_email(email)
        except ValidationError:
            raise CommandError("--email is not an e-mail address.") from None
        password = _password(from_stdin=options["password_stdin"])
        ensured = services.ensure_admin(email=email, password=password)
        done = "created" if ensured.created else "put right" if ensured.changed else "there already"
        self.stdout.write(f"Development admin {email}: {done}.")


def _password(*, from_stdin: bool) -> str:
    password = sys.stdin.readline().rstrip("\r\n") if from_stdin else os.environ.get(VARIABLE, "")
    if not password:
        where = "standard input" if from_stdin else VARIABLE
        raise CommandError(f"There is no password in {where}. Give one there.")
    return password
