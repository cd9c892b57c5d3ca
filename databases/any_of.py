"""The lookup `any_of`: `id = ANY('{…}'::uuid[])` with one array, where `in` has many placeholders.

For queries that ask for hundreds of keys at once: with 500 of them `in` costs 13 µs a key in Django
and the driver, this 4.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import Field, ForeignObject, Lookup


class AnyOf(Lookup[Any]):
    """One of these values: the field's own, or texts of them, which the server reads."""

    lookup_name = "any_of"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        """Return `column = ANY(%s::type[])`.

        :raises EmptyResultSet: without values, as `in` does: nothing is asked.
        """
        left, parameters = self.process_lhs(compiler, connection)
        if not self.rhs:
            raise EmptyResultSet
        kind = self.lhs.output_field.db_type(connection)
        return f"{left} = ANY(%s::{kind}[])", (*parameters, list(self.rhs))


def connect() -> None:
    """Let every field have it; safe to call twice."""
    Field.register_lookup(AnyOf)
    ForeignObject.register_lookup(AnyOf)  # which leaves out what it would inherit
