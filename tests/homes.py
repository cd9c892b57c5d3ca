"""Which databases a test may touch, in both shapes: all aliases, or one database for all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.conf import settings
from django.db import IntegrityError, router, transaction
from django.db.models import Model

from databases.aliases import declared_home, primary_of


def databases_of(*app_labels: str) -> list[str]:
    """Return the aliases to list for tests of these apps: their homes, the primary, its copies."""
    homes = {"default", *(str(declared_home(label)) for label in app_labels)}
    return [alias for alias in settings.DATABASES if primary_of(alias) in homes]


def every_database() -> list[str]:
    """Return all aliases: for tests of what reaches every app, as the leaving of a person does."""
    return list(settings.DATABASES)


def home_of(model: type[Model]) -> str:
    """Return the alias where the rows of the model are written."""
    return router.db_for_write(model)


@contextmanager
def refused_by_the_database(model: type[Model], constraint: str) -> Iterator[None]:
    """Expect that what follows violates the constraint; the test's own transaction lives on."""
    with (
        pytest.raises(IntegrityError, match=constraint),
        transaction.atomic(using=home_of(model)),
    ):
        yield
