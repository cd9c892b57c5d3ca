"""Record that something changed, in the transaction that changes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder

from common import tracing
from common.errors import PolystoreError
from databases import causality
from databases.deferred import Target
from databases.transactions import insert_at_commit
from outbox import wake
from outbox.events import NewEvent, shard_of
from outbox.registry import sinks_of

APP: Final = "outbox"
LARGEST_PAYLOAD: Final = 8 * 1024 * 1024
"""Bytes of JSON: half of what a MongoDB document may hold."""
_EVENTS: Final = Target(
    "outbox_outboxevent",
    ("sink", "shard", "aggregate_type", "aggregate_id", "event_type", "schema", "payload",
     "headers"),
)  # fmt: skip


class EventRefused(PolystoreError):
    """An event cannot be recorded as it is."""

    code = "outbox.event_refused"
    title = "Event refused"
    remedy = "Record JSON values of at most 8 MB, or no payload: then the row is read at delivery."


def record_event(
    *,
    aggregate_type: str,
    aggregate_id: UUID | str,
    event_type: str,
    payload: Mapping[str, Any] | None = None,
    schema: int = 1,
) -> None:
    """Write an event for everyone who subscribed, in the open transaction of the primary.

    Call it after the aggregate's row was locked (saved, updated, `select_for_update`): then the
    events of one aggregate have ids that rise in the order of the commits. It is inserted together
    with the COMMIT, so it cannot be read before; nothing is published from this thread.

    :param aggregate_type: what a projection or consumer subscribed to: `todo`.
    :param event_type: `aggregate.verb_in_past`: `todo.completed`.
    :param payload: what Django's JSON encoder takes; None has the subscriber read the row when the
        event is delivered.
    :param schema: version of the payload's shape.
    :raises NoTransaction: outside a transaction of the primary.
    :raises NobodySubscribed: when no projection or consumer is told of this aggregate type.
    :raises EventRefused: when the payload is no JSON, or too large.
    """
    record(
        NewEvent(
            aggregate_type=aggregate_type,
            aggregate_id=str(aggregate_id),
            type=event_type,
            payload=payload,
            schema=schema,
        )
    )


def record(event: NewEvent, *, only: str | None = None) -> None:
    """Write `event`; the parts of `record_event`.

    :param only: one sink that it is for; by default everyone who subscribed.
    """
    sinks = (only,) if only is not None else sinks_of(event.aggregate_type)
    payload = None if event.payload is None else _checked(event)
    headers = _headers()
    for sink in sinks:
        insert_at_commit(
            APP,
            _EVENTS,
            (
                sink,
                shard_of(event.aggregate_type, event.aggregate_id),
                event.aggregate_type,
                event.aggregate_id,
                event.type,
                event.schema,
                payload,
                headers,
            ),
            afterwards=wake.hint_of(sink),
        )


def _checked(event: NewEvent) -> str:
    try:
        text = _dumps(event.payload)
    except (TypeError, ValueError) as error:
        raise EventRefused(f"The payload of {event.type} is no JSON: {error}") from None
    if len(text) > LARGEST_PAYLOAD:
        raise EventRefused(f"The payload of {event.type} is larger than 8 MB.")
    if "\\u0000" in text:
        raise EventRefused(f"The payload of {event.type} holds a NUL character.")
    return text


def _dumps(value: Any) -> str:
    return json.dumps(value, cls=DjangoJSONEncoder, allow_nan=False, separators=(",", ":"))


def _headers() -> str | None:
    trace = tracing.current()
    if trace is None:
        return None
    headers = {"traceparent": trace.traceparent, "request_id": trace.request_id}
    state = causality.current()
    token = state.token() if state is not None else ""
    return _dumps(headers | ({"causal": token} if token else {}))
