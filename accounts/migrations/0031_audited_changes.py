"""Changes of passwords, rights and roles reach the audit trail, whoever makes them.

Each is an event for the sink `compliance`, in the transaction that makes the change. What the code
says of who acts (accounts/audit/acting.py) goes along; otherwise the PostgreSQL role stands there.
"""

from __future__ import annotations

from typing import Any

from django.db import migrations

RECORD = """
CREATE OR REPLACE FUNCTION accounts_record_audit(aggregate text, id text, event text, detail jsonb)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    acting jsonb := coalesce(nullif(current_setting('polystore.acting', true), ''), '{}')::jsonb;
BEGIN
    IF acting = '{}' THEN
        detail := detail || jsonb_build_object('database_role', session_user);
    END IF;
    INSERT INTO outbox_outboxevent
        (sink, shard, aggregate_type, aggregate_id, event_type, payload, headers)
    VALUES (
        'compliance', ('x' || substr(md5(aggregate || ':' || id), 1, 1))::bit(4)::int,
        aggregate, id, event,
        detail || (acting - 'request_id'),
        CASE WHEN acting ? 'request_id'
             THEN jsonb_build_object('request_id', acting -> 'request_id') END
    );
END $$
"""
# No hash, no address and no name is in any of these.
USERS = """
CREATE OR REPLACE FUNCTION accounts_audit_user() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was_staff boolean := false;
    was_superuser boolean := false;
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM accounts_record_audit('account', OLD.id::text, 'user.row_deleted', '{}');
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        was_staff := OLD.is_staff;
        was_superuser := OLD.is_superuser;
        IF OLD.password <> NEW.password
           AND coalesce(current_setting('polystore.rehashed', true), '') <> 'on' THEN
            PERFORM accounts_record_audit('account', NEW.id::text, 'user.password_written',
                jsonb_build_object('usable', left(NEW.password, 1) <> '!'));
        END IF;
        IF OLD.email <> NEW.email THEN
            PERFORM accounts_record_audit('account', NEW.id::text, 'user.email_written', '{}');
        END IF;
        IF OLD.is_active <> NEW.is_active THEN
            PERFORM accounts_record_audit('account', NEW.id::text, 'user.active_written',
                jsonb_build_object('active', NEW.is_active));
        END IF;
    END IF;
    IF was_staff <> NEW.is_staff OR was_superuser <> NEW.is_superuser THEN
        PERFORM accounts_record_audit('account', NEW.id::text, 'user.rights_written',
            jsonb_build_object('staff', NEW.is_staff, 'superuser', NEW.is_superuser));
    END IF;
    RETURN NULL;
END $$
"""
# Everybody is a member: that says nothing. What goes with a deleted user needs no telling either.
ROLES = """
CREATE OR REPLACE FUNCTION accounts_audit_user_group() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    link accounts_user_groups := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    role text := (SELECT name FROM auth_group WHERE id = link.group_id);
BEGIN
    IF role IS DISTINCT FROM 'member' THEN
        PERFORM accounts_record_audit('account', link.user_id::text,
            CASE TG_OP WHEN 'DELETE' THEN 'user.role_taken' ELSE 'user.role_given' END,
            jsonb_build_object('role', role));
    END IF;
    RETURN NULL;
END $$
"""
PERMISSION = """
CREATE OR REPLACE FUNCTION accounts_permission(wanted int) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT t.app_label || '.' || p.codename
    FROM auth_permission AS p JOIN django_content_type AS t ON t.id = p.content_type_id
    WHERE p.id = wanted
$$
"""
PERMISSIONS = """
CREATE OR REPLACE FUNCTION accounts_audit_user_permission() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    link accounts_user_user_permissions := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
BEGIN
    PERFORM accounts_record_audit('account', link.user_id::text,
        CASE TG_OP WHEN 'DELETE' THEN 'user.permission_taken' ELSE 'user.permission_given' END,
        jsonb_build_object('permission', accounts_permission(link.permission_id)));
    RETURN NULL;
END $$
"""
# What the code itself defines (accounts/roles/groups.py says so) is no change of anybody's.
GROUPS = """
CREATE OR REPLACE FUNCTION accounts_audit_group() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    verb text := CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'UPDATE' THEN 'renamed'
                            ELSE 'deleted' END;
BEGIN
    IF coalesce(current_setting('polystore.defined', true), '') <> 'on' THEN
        PERFORM accounts_record_audit('role',
            CASE WHEN TG_OP = 'DELETE' THEN OLD.id ELSE NEW.id END::text, 'role.' || verb,
            jsonb_build_object('role', CASE WHEN TG_OP = 'DELETE' THEN OLD.name ELSE NEW.name END));
    END IF;
    RETURN NULL;
END $$
"""
GROUP_PERMISSIONS = """
CREATE OR REPLACE FUNCTION accounts_audit_group_permission() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    link auth_group_permissions := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
BEGIN
    IF coalesce(current_setting('polystore.defined', true), '') <> 'on' THEN
        PERFORM accounts_record_audit('role', link.group_id::text,
            CASE TG_OP WHEN 'DELETE' THEN 'role.permission_taken' ELSE 'role.permission_given' END,
            jsonb_build_object(
                'role', (SELECT name FROM auth_group WHERE id = link.group_id),
                'permission', accounts_permission(link.permission_id)));
    END IF;
    RETURN NULL;
END $$
"""
FUNCTIONS = (RECORD, USERS, ROLES, PERMISSION, PERMISSIONS, GROUPS, GROUP_PERMISSIONS)
NAMES = (
    "accounts_audit_group_permission()", "accounts_audit_group()",
    "accounts_audit_user_permission()", "accounts_permission(int)", "accounts_audit_user_group()",
    "accounts_audit_user()", "accounts_record_audit(text, text, text, jsonb)",
)
_CHANGED = (
    "ROW(OLD.password, OLD.email, OLD.is_active, OLD.is_staff, OLD.is_superuser) IS DISTINCT FROM "
    "ROW(NEW.password, NEW.email, NEW.is_active, NEW.is_staff, NEW.is_superuser)"
)
# Name: table, when, condition, function.
TRIGGERS = {
    "accounts_user_audit_insert":
        ("accounts_user", "INSERT", "WHEN (NEW.is_staff OR NEW.is_superuser)", "accounts_audit_user"),
    "accounts_user_audit_update":
        ("accounts_user", "UPDATE", f"WHEN ({_CHANGED})", "accounts_audit_user"),
    "accounts_user_audit_delete": ("accounts_user", "DELETE", "", "accounts_audit_user"),
    "accounts_user_groups_audit":
        ("accounts_user_groups", "INSERT OR DELETE", "", "accounts_audit_user_group"),
    "accounts_user_permissions_audit":
        ("accounts_user_user_permissions", "INSERT OR DELETE", "", "accounts_audit_user_permission"),
    "accounts_group_audit":
        ("auth_group", "INSERT OR UPDATE OF name OR DELETE", "", "accounts_audit_group"),
    "accounts_group_permissions_audit":
        ("auth_group_permissions", "INSERT OR DELETE", "", "accounts_audit_group_permission"),
}


def forwards(_apps: Any, editor: Any) -> None:
    """Make functions and triggers; CockroachDB has no such triggers, and services tell alone."""
    if editor.connection.vendor != "postgresql":
        return
    for function in FUNCTIONS:
        editor.execute(function)
    for name, (table, when, condition, function) in TRIGGERS.items():
        editor.execute(
            f"CREATE TRIGGER {name} AFTER {when} ON {table} FOR EACH ROW {condition} "
            f"EXECUTE FUNCTION {function}()"
        )


def backwards(_apps: Any, editor: Any) -> None:
    """Remove them."""
    if editor.connection.vendor != "postgresql":
        return
    for name, (table, _, _, _) in TRIGGERS.items():
        editor.execute(f"DROP TRIGGER IF EXISTS {name} ON {table}")
    for name in NAMES:
        editor.execute(f"DROP FUNCTION IF EXISTS {name}")


class Migration(migrations.Migration):
    dependencies = [("accounts", "0030_roles"), ("outbox", "0001_initial")]

    operations = [migrations.RunPython(forwards, backwards)]
