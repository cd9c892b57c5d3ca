"""Roles are groups, and new users become members, whoever makes them."""

from __future__ import annotations

from typing import Any

from django.db import migrations

from accounts.roles.groups import write_roles

# Of many rows at once: a million users are one statement.
JOIN = """
CREATE OR REPLACE FUNCTION accounts_become_members() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO accounts_user_groups (user_id, group_id)
    SELECT made.id, auth_group.id FROM made, auth_group WHERE auth_group.name = 'member'
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$
"""
# Memberships hold a user's row by a foreign key: they go with it, whoever deletes it.
LEAVE = """
CREATE OR REPLACE FUNCTION accounts_leave_roles() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM accounts_user_groups USING gone WHERE user_id = gone.id;
    RETURN NULL;
END $$
"""
TRIGGERS = (
    "CREATE TRIGGER accounts_user_become_members AFTER INSERT ON accounts_user "
    "REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION accounts_become_members()",
    "CREATE TRIGGER accounts_user_leave_roles AFTER DELETE ON accounts_user "
    "REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION accounts_leave_roles()",
)
ALL_OF_TODAY = """
INSERT INTO accounts_user_groups (user_id, group_id)
SELECT accounts_user.id, auth_group.id FROM accounts_user, auth_group
WHERE auth_group.name = 'member' ON CONFLICT DO NOTHING
"""


def forwards(apps: Any, editor: Any) -> None:
    """Make the groups, the triggers, and members of everybody who is there.

    Permissions come later: see Note [When permissions exist] in accounts/roles/groups.py.
    """
    write_roles(using=editor.connection.alias, apps=apps)
    editor.execute(ALL_OF_TODAY)
    if editor.connection.vendor == "postgresql":
        editor.execute(JOIN)
        editor.execute(LEAVE)
        for trigger in TRIGGERS:
            editor.execute(trigger)


def backwards(_apps: Any, editor: Any) -> None:
    """Remove the triggers; groups may hold what operators put there."""
    if editor.connection.vendor == "postgresql":
        for name in ("accounts_user_become_members", "accounts_user_leave_roles"):
            editor.execute(f"DROP TRIGGER IF EXISTS {name} ON accounts_user")
        editor.execute("DROP FUNCTION IF EXISTS accounts_become_members()")
        editor.execute("DROP FUNCTION IF EXISTS accounts_leave_roles()")


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0020_oauth"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [migrations.RunPython(forwards, backwards)]
