"""Rows that are accepted while their database is down: kept in the primary, delivered later.

For append-only models. Their app declares them in `AppConfig.ready()`, and the service that adds
such a row hands it over::

    spool.declare(ActivityEvent, PerformanceMetric)

    def record_activity(*, name: str, …) -> ActivityEvent:
        return spool.add(ActivityEvent(name=name, …))

Nothing else is accepted: any other write raises `AliasUnavailable` while its database is down.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from typing import Any, Final, TypeVar

from django.db import connections
from django.db.models import Field, JSONField, Model
from django.db.models.expressions import DatabaseDefault, Value
from django.db.models.functions import Now
from django.db.models.sql import InsertQuery
from django.db.utils import DataError, IntegrityError, InterfaceError, OperationalError
from django.utils import timezone

from common.errors import PolystoreError
from common.ids import uuid7
from databases import breaker, causality
from databases.aliases import PRIMARY, declared_home
from databases.fallback import is_outage
from databases.placement import alias_of
from databases.transactions import atomic_for, open_transactions, require_no_transaction
from outbox.events import Event, NewEvent, shard_of
from outbox.loose_keys import apply_to_late
from outbox.recording import APP, record
from outbox.registry import Consumer, Undeliverable, subscribe

logger = logging.getLogger("outbox.spool")

AGGREGATE: Final = "spooled_row"
"""All rows of an app are one aggregate, of one shard, so they are delivered in order."""
OUTAGE: Final = "outage"
ORDER: Final = "order"
TRANSACTION: Final = "transaction"
"""Why a row was not written directly."""

# Is an earlier row waiting? One that was tried and refused (attempts) holds nobody up. Does what
# waits tell of an outage, and not of a moment?
_WAITING: Final = """
SELECT payload ->> 'because' = 'outage' OR created_at < clock_timestamp() - interval '1 second'
FROM outbox_outboxevent
WHERE sink = %s AND shard = %s AND aggregate_type = %s AND attempts = 0
ORDER BY id LIMIT 1
"""

AnyModel = TypeVar("AnyModel", bound=Model)
_models: dict[str, type[Model]] = {}


class NotSpoolable(PolystoreError):
    """A row or a model cannot be accepted for later."""

    code = "outbox.not_spoolable"
    status = 500
    title = "Not spoolable"
    remedy = "Declare append-only models whose id is a UUIDv7, and give rows plain values."


class RowRefused(Undeliverable):
    """The database of a row that was accepted refuses it."""

    code = "outbox.row_refused"
    title = "The database refuses the row"
    remedy = "Mend what it names, then replay the dead letter; or forget it."


def declare(*models: type[Model]) -> None:
    """Have rows of these models accepted while their database is down.

    :raises NotSpoolable: for a model that would come out otherwise than by a direct write.
    """
    for model in models:
        _refuse_what_would_differ(model)
        app_label = model._meta.app_label
        _models[model._meta.label_lower] = model
        subscribe(
            Consumer(
                name=f"{app_label}.spool",
                app_label=app_label,
                aggregate_types=frozenset({AGGREGATE}),
                handle=partial(_deliver, app_label),
            )
        )


def add(row: AnyModel) -> AnyModel:
    """Write a new row, or accept it for later; return it with all its values.

    - Inside a transaction of the primary it goes with that one: accepted when it commits, gone
      when it is rolled back.
    - Inside a transaction of the row's own database it is written there.
    - Otherwise it is written at once, unless its database is down or earlier rows of the app still
      wait: then it is accepted behind them, and the answer says so in `X-Degraded`.

    :raises NotSpoolable: for a model that was not declared, or a value that is an expression.
    :raises databases.transactions.TransactionHeldOpen: inside a transaction of a third database.
    :raises outbox.recording.EventRefused: for values that the primary cannot keep.
    :raises databases.breaker.AliasUnavailable: when the primary is needed and down as well.
    :raises django.db.IntegrityError: when it is written at once and refused.
    """
    if type(row)._meta.label_lower not in _models:
        raise NotSpoolable(f"Rows of {type(row)._meta.label} are not accepted for later.")
    _complete(row)
    app_label = row._meta.app_label
    home = alias_of(app_label)
    held = {wrapper.alias for wrapper in open_transactions()}
    if alias_of(APP) in held:
        _accept(row, home, because=TRANSACTION, degraded=_is_open(home))
    elif home in held:
        _insert([row], home)
    else:
        require_no_transaction(before=f"a row of {app_label} is written")
        _write_or_accept(row, home)
    row._state.adding = False
    row._state.db = home
    return row


def _write_or_accept(row: Model, home: str) -> None:
    waiting = _rows_wait(row._meta.app_label)
    if waiting is not None:
        _accept_now(row, home, because=ORDER, degraded=waiting or _is_open(home))
        return
    try:
        _insert([row], home)
    except (OperationalError, InterfaceError) as error:
        if not is_outage(error) or home == alias_of(APP):
            raise
        _leave(home)
        logger.warning(
            "outbox.spool.began",
            extra={"model": row._meta.label, "alias": home, "reason": type(error).__name__},
        )
        # It may have been written, and only the answer lost: its id keeps it from being doubled.
        _accept_now(row, home, because=OUTAGE, degraded=True)


def _rows_wait(app_label: str) -> bool | None:
    """Return None where no earlier row waits, else whether an outage is the reason.

    With the primary down nobody knows, and nothing can be accepted: the row is written directly.
    """
    shard = shard_of(AGGREGATE, app_label)
    primary = connections[alias_of(APP)]
    try:
        with primary.cursor() as cursor:
            cursor.execute(_WAITING, [app_label, shard, AGGREGATE])
            found = cursor.fetchone()
    except (OperationalError, InterfaceError) as error:
        if not is_outage(error):
            raise
        _leave(primary.alias)
        return None
    return None if found is None else bool(found[0])


def _accept_now(row: Model, home: str, *, because: str, degraded: bool) -> None:
    with atomic_for(APP):
        _accept(row, home, because=because, degraded=degraded)


def _accept(row: Model, home: str, *, because: str, degraded: bool) -> None:
    """Record the row in the open transaction of the primary."""
    app_label, label = row._meta.app_label, row._meta.label_lower
    record(
        NewEvent(
            aggregate_type=AGGREGATE,
            aggregate_id=app_label,
            type=f"{row._meta.model_name}.accepted",
            payload={"model": label, "because": because, "row": _values_of(row)},
        ),
        only=app_label,
    )
    state = causality.current()
    if degraded and state is not None:
        state.degraded.add(home)


def _is_open(alias: str) -> bool:
    known = breaker.get(alias)
    return known is not None and known.is_open


def _leave(alias: str) -> None:
    """Have the next statement connect anew, unless a test's transaction needs the connection."""
    if not connections[alias].in_atomic_block:
        connections[alias].close()


# Rows as JSON -----------------------------------------------------------------------------------


def _complete(row: Model) -> None:
    """Give a row what its database would have given it: its defaults, and the time.

    :raises NotSpoolable: for a value that only its database could compute.
    """
    at = timezone.now()
    for field in _columns(type(row)):
        field.pre_save(row, add=True)
        value = getattr(row, field.attname)
        if isinstance(value, DatabaseDefault):
            value = _by_default(field, at)
            setattr(row, field.attname, value)
        if hasattr(value, "resolve_expression"):
            raise NotSpoolable(f"{field} is an expression.")


def _by_default(field: Any, at: Any) -> Any:
    default = field.db_default
    if isinstance(default, Now):
        return at
    return default.value if isinstance(default, Value) else default


def _refuse_what_would_differ(model: type[Model]) -> None:
    name = model._meta.label
    if declared_home(model._meta.app_label) is PRIMARY:
        raise NotSpoolable(f"{name} lives in the primary, where the spool is.")
    if model._meta.parents:
        raise NotSpoolable(f"{name} has rows in two tables.")
    if model._meta.pk.default is not uuid7:
        raise NotSpoolable(f"The id of {name} is not made by common.ids.uuid7.")
    for field in _columns(model):
        default: Any = field.db_default
        if hasattr(default, "resolve_expression") and not isinstance(default, Now | Value):
            raise NotSpoolable(f"Only the database knows the default of {field}.")


def _columns(model: type[Model]) -> list[Field[Any, Any]]:
    return [field for field in model._meta.local_concrete_fields if not field.generated]


def _values_of(row: Model) -> dict[str, Any]:
    return {field.attname: _as_json(field, row) for field in _columns(type(row))}


def _as_json(field: Any, row: Model) -> Any:
    value = getattr(row, field.attname)
    if value is None:
        return None
    if isinstance(field, JSONField):
        # By the field's own encoder, so that what a direct write refuses is refused here.
        return json.loads(json.dumps(value, cls=field.encoder))
    return field.value_to_string(row)


def _row_of(model: type[Model], values: dict[str, Any]) -> Model:
    """Return the row again. Columns that came since then have their defaults.

    :raises RowRefused: when a column is gone that the row has a value for.
    """
    fields = {field.attname: field for field in _columns(model)}
    if gone := sorted(set(values) - set(fields)):
        raise RowRefused(f"{model._meta.label} has no column {', '.join(gone)} any more.")
    return model(
        **{
            name: value
            if value is None or isinstance(fields[name], JSONField)
            else fields[name].to_python(value)
            for name, value in values.items()
        }
    )


# Delivery ---------------------------------------------------------------------------------------


def _deliver(app_label: str, events: Sequence[Event]) -> None:
    """Write rows in order, each once, in one transaction.

    :raises RowRefused: when the database refuses one of them; then none is written.
    """
    delivered: list[Model] = []
    with atomic_for(app_label):
        for label, some in groupby(events, key=_label_of):
            model = _models.get(label)
            if model is None:
                raise RowRefused(f"There is no spoolable model {label!r} any more.")
            rows = [_row_of(model, (event.payload or {})["row"]) for event in some]
            try:
                _insert(rows, alias_of(app_label))
            except (IntegrityError, DataError) as error:
                raise RowRefused(_reason_of(error)) from error
            delivered += rows
    # A parent may have gone while they waited, and its deletion been applied without them. One that
    # goes after this look has its deletion delivered after these rows.
    apply_to_late(delivered)


def _label_of(event: Event) -> str:
    return str((event.payload or {})["model"])


def _reason_of(error: Exception) -> str:
    """Return which rule was broken; the database's own words would hold the row's values."""
    cause: Any = error.__cause__
    diagnosis = getattr(cause, "diag", None)
    broken = diagnosis and (diagnosis.constraint_name or diagnosis.column_name)
    kind = type(cause).__name__ if cause is not None else type(error).__name__
    return f"{kind}: {broken}" if broken else kind


def _insert(rows: Sequence[Model], alias: str) -> None:
    """Insert rows of one model; those that are there already stay as they are."""
    model = type(rows[0])
    query = InsertQuery(model)
    # Raw: what was completed when the row was accepted is not made anew when it is written.
    query.insert_values(_columns(model), list(rows), raw=True)
    connection = connections[alias]
    key = connection.ops.quote_name(str(model._meta.pk.column))
    with connection.cursor() as cursor:
        for sql, parameters in query.get_compiler(using=alias).as_sql():
            # By id alone: any other constraint must be heard.
            cursor.execute(f"{sql} ON CONFLICT ({key}) DO NOTHING", parameters)
