"""PostgreSQL refuses to change or delete audit records, whoever sends the statement."""

from __future__ import annotations

from typing import Any

from django.db import migrations

FUNCTION = """
CREATE FUNCTION compliance_refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'An audit record is never changed or deleted.'
        USING ERRCODE = 'integrity_constraint_violation',
              CONSTRAINT = 'compliance_audit_is_final',
              HINT = 'Record a further audit record that says what is right.';
END
$$
"""
# For each row: a statement that touches no row (the emptying of an empty table) does no harm.
# TRUNCATE stays with the table's owner, who could drop the trigger as well.
TRIGGER = """
CREATE TRIGGER compliance_audit_is_final
BEFORE UPDATE OR DELETE ON compliance_auditrecord
FOR EACH ROW EXECUTE FUNCTION compliance_refuse_audit_change()
"""


def forwards(apps: Any, schema_editor: Any) -> None:
    """Add the trigger; CockroachDB is left with the refusal of the model and its queryset."""
    if schema_editor.connection.vendor != "postgresql":
        return
    schema_editor.execute(FUNCTION)
    schema_editor.execute(TRIGGER)


def backwards(apps: Any, schema_editor: Any) -> None:
    """Remove it."""
    if schema_editor.connection.vendor != "postgresql":
        return
    schema_editor.execute("DROP TRIGGER compliance_audit_is_final ON compliance_auditrecord")
    schema_editor.execute("DROP FUNCTION compliance_refuse_audit_change()")


class Migration(migrations.Migration):
    dependencies = [("compliance", "0001_initial")]

    operations = [migrations.RunPython(forwards, backwards)]
