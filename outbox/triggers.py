"""Triggers that record an event whoever changes a row: services, the admin, `update()`, raw SQL.

For the migrations of apps whose rows others show::

    operations = [
        record_changes(
            table="accounts_user", aggregate_type="user", sinks=[MONGODB], of=["first_name"]
        ),
        record_changes(table="tracker_todo", aggregate_type="todo", sinks=[MONGODB], on="DELETE"),
    ]

The trigger runs after the row is written, so under its lock: the ids of its events rise in the
order of the commits. A row that is shown as a part of another one (`part_of`) locks that one, too:
two parts may change at the same time, and their events are of one aggregate. CockroachDB has no
such triggers: there the operation does nothing, and `verify_sync` finds what nobody recorded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from django.db import migrations

FUNCTION: Final = """
CREATE OR REPLACE FUNCTION outbox_record_change() RETURNS trigger LANGUAGE plpgsql AS $$
-- Arguments: aggregate type, column of its id, sinks separated by commas; and the aggregate's table
-- where it is another one.
DECLARE
    id text := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ->> TG_ARGV[1]
                    ELSE to_jsonb(NEW) ->> TG_ARGV[1] END;
    verb text := CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'UPDATE' THEN 'updated'
                            ELSE 'deleted' END;
BEGIN
    IF TG_NARGS > 3 THEN
        EXECUTE 'SELECT FROM ' || quote_ident(TG_ARGV[3]) || ' WHERE id = ' || quote_literal(id)
            || ' FOR NO KEY UPDATE';
    END IF;
    INSERT INTO outbox_outboxevent (sink, shard, aggregate_type, aggregate_id, event_type)
    SELECT sink, ('x' || substr(md5(TG_ARGV[0] || ':' || id), 1, 1))::bit(4)::int,
           TG_ARGV[0], id, TG_ARGV[0] || '.' || verb
    FROM unnest(string_to_array(TG_ARGV[2], ',')) AS sink;
    RETURN NULL;
END $$
"""
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def tell_children(*, table: str, apps: Sequence[str], column: str = "id") -> migrations.RunPython:
    """Return the operation that tells `apps` of every deleted row of `table`.

    For the migrations of parents of loose keys (`outbox.loose_keys`); a later one with more apps
    replaces the trigger.

    :param apps: labels of the apps that have a loose key to it.
    """
    return record_changes(
        table=table,
        aggregate_type=table,
        sinks=apps,
        on="DELETE",
        column=column,
        name=f"{table}_loose_keys",
    )


def record_changes(
    *,
    table: str,
    aggregate_type: str,
    sinks: Sequence[str],
    on: str = "INSERT OR UPDATE OR DELETE",
    of: Sequence[str] = (),
    column: str = "id",
    part_of: str = "",
    name: str = "",
) -> migrations.RunPython:
    """Return the operation that records an event for every changed row of `table`.

    :param on: which changes: "INSERT", "UPDATE", "DELETE", joined by " OR ".
    :param of: columns that are shown: an update that changes none of them records nothing. By
        default every update does.
    :param column: holds the aggregate's id.
    :param part_of: the table whose `id` that is, where it is not this one.
    :param name: of the trigger, where a table has several.
    """
    _require_names(table, aggregate_type, column, *sinks, *of, *filter(None, [part_of]))
    if not re.fullmatch(r"(INSERT|UPDATE|DELETE)( OR (INSERT|UPDATE|DELETE))*", on):
        raise ValueError(f"{on!r} names no changes.")
    arguments = [aggregate_type, column, ",".join(sinks), *filter(None, [part_of])]
    listed = ", ".join(f"'{argument}'" for argument in arguments)
    calls = f"outbox_record_change({listed})"
    triggers = _triggers(name or f"{table}_to_outbox", on, of)

    def forwards(_apps: Any, editor: Any) -> None:
        if editor.connection.vendor == "postgresql":
            for trigger, changes, condition in triggers:
                editor.execute(
                    f'CREATE OR REPLACE TRIGGER "{trigger}" AFTER {changes} ON "{table}" '
                    f"FOR EACH ROW {condition} EXECUTE FUNCTION {calls}"
                )

    def backwards(_apps: Any, editor: Any) -> None:
        if editor.connection.vendor == "postgresql":
            for trigger, _, _ in triggers:
                editor.execute(f'DROP TRIGGER IF EXISTS "{trigger}" ON "{table}"')

    return migrations.RunPython(forwards, backwards)


def _require_names(*words: str) -> None:
    for word in words:
        if not _NAME.fullmatch(word):
            raise ValueError(f"{word!r} is no name.")


def _triggers(name: str, on: str, of: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return (name, changes, condition) of each trigger: a condition looks at updates alone."""
    changes = on.split(" OR ")
    if not of or "UPDATE" not in changes:
        return [(name, on, "")]
    old, new = (", ".join(f'{row}."{word}"' for word in of) for row in ("OLD", "NEW"))
    condition = f"WHEN (ROW({old}) IS DISTINCT FROM ROW({new}))"
    triggers = [(f"{name}_update", "UPDATE", condition)]
    if others := " OR ".join(change for change in changes if change != "UPDATE"):
        triggers.append((name, others, ""))
    return triggers
