"""Who sets up an app for the second step, or takes it away, is told to the audit trail."""

from __future__ import annotations

from typing import Any

from django.db import migrations

# What stands in the row is nobody's business; uses of codes change it all the time.
FUNCTION = """
CREATE OR REPLACE FUNCTION accounts_audit_authenticator() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed mfa_authenticator := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
BEGIN
    PERFORM accounts_record_audit('account', changed.user_id::text,
        CASE TG_OP WHEN 'DELETE' THEN 'user.second_step_removed' ELSE 'user.second_step_added' END,
        jsonb_build_object('kind', changed.type));
    RETURN NULL;
END $$
"""
TRIGGER = """
CREATE TRIGGER accounts_authenticator_audit AFTER INSERT OR DELETE ON mfa_authenticator
FOR EACH ROW EXECUTE FUNCTION accounts_audit_authenticator()
"""


def forwards(_apps: Any, editor: Any) -> None:
    """Make function and trigger, where there are such triggers."""
    if editor.connection.vendor == "postgresql":
        editor.execute(FUNCTION)
        editor.execute(TRIGGER)


def backwards(_apps: Any, editor: Any) -> None:
    """Remove them."""
    if editor.connection.vendor == "postgresql":
        editor.execute("DROP TRIGGER IF EXISTS accounts_authenticator_audit ON mfa_authenticator")
        editor.execute("DROP FUNCTION IF EXISTS accounts_audit_authenticator()")


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0031_audited_changes"),
        ("mfa", "0003_authenticator_type_uniq"),
    ]

    operations = [migrations.RunPython(forwards, backwards)]
