"""Group messages: PostgreSQL alone has them; MongoDB shows them to searches."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, connections
from django.db.models import Func, Value

from databases.placement import alias_of
from databases.stores import mongo
from databases.transactions import atomic_for
from messaging.models import GroupMessage
from messaging.stores.mongodb import searched
from messaging.stores.postgres import APP, tsquery
from messaging.stores.states import State, words_of
from outbox.recording import record_event

AGGREGATE: Final = "message"
_FIELDS: Final = (
    "id", "channel_id", "member_id", "author_id", "content", "file_url", "deleted", "created_at",
    "updated_at", "rank", "request", "fingerprint",
)  # fmt: skip

_FOUND: Final = (
    f"SELECT {', '.join(_FIELDS)} FROM {GroupMessage._meta.db_table}"  # noqa: S608 - constants
    " WHERE channel_id = ANY(%s) AND search @@ %s::tsquery"
)
_SEARCH: Final = f"{_FOUND} ORDER BY id DESC LIMIT %s"
_SEARCH_BELOW: Final = f"{_FOUND} AND id < %s ORDER BY id DESC LIMIT %s"


class GroupMessages:
    """The store of group messages; the same questions as for direct ones."""

    name = "default"

    def older(self, room_id: UUID, *, than: UUID | None, limit: int) -> list[State]:
        """Return the newest messages of a room, or those older than an id, the newest first."""
        rows = _rows().filter(channel_id=room_id)
        if than is not None:
            rows = rows.filter(id__lt=than)
        return _states(rows.order_by("-id")[:limit])

    def later(self, room_id: UUID, *, than: UUID, limit: int) -> list[State]:
        """Return the messages of a room with higher ids, rising."""
        return _states(_rows().filter(channel_id=room_id, id__gt=than).order_by("id")[:limit])

    def changed(self, room_id: UUID, *, since: datetime, limit: int) -> list[State]:
        """Return the messages of a room that were written or changed since, by that time."""
        rows = _rows().filter(channel_id=room_id, updated_at__gte=since)
        return _states(rows.order_by("updated_at")[:limit])

    def get(self, message_id: UUID) -> State | None:
        """Return a message, deleted or not, or None where there is none."""
        return next(iter(_states(_rows().filter(id=message_id))), None)

    def states_of(self, ids: Sequence[UUID]) -> dict[UUID, State]:
        """Return these messages by id; unknown ones are missing."""
        return {state.id: state for state in _states(_rows().filter(id__in=list(ids)))}

    def create(self, state: State) -> State:
        """Keep a new message; return it, or the one that its key made before."""
        try:
            with atomic_for(APP):
                GroupMessage.objects.create(
                    **dict(zip(_FIELDS, state, strict=True)), search=_search(state)
                )
                record_event(
                    aggregate_type=AGGREGATE, aggregate_id=state.id, event_type="message.created"
                )
        except IntegrityError:
            known = _states(_rows().filter(request=state.request).exclude(request=""))
            if not known:
                raise
            return known[0]
        return state

    def change(self, state: State) -> State:
        """Keep this state if it is newer; return what is kept."""
        verb = "deleted" if state.deleted else "edited"
        with atomic_for(APP):
            changed = _rows().filter(id=state.id, rank__lt=state.rank)
            if changed.update(
                content=state.content,
                file_url=state.file_url,
                deleted=state.deleted,
                updated_at=state.updated_at,
                rank=state.rank,
                request=state.request,
                fingerprint=state.fingerprint,
                search=_search(state),
            ):
                record_event(
                    aggregate_type=AGGREGATE, aggregate_id=state.id, event_type=f"message.{verb}"
                )
                return state
        return self.get(state.id) or state

    def search(
        self, rooms: Collection[UUID], words: Sequence[str], *, below: UUID | None, limit: int
    ) -> list[State]:
        """Return messages of these rooms with words that begin so, the newest first."""
        parameters: list[Any] = [
            list(rooms),
            tsquery(words),
            *([] if below is None else [below]),
            limit,
        ]
        with connections[alias_of(APP)].cursor() as cursor:
            cursor.execute(_SEARCH_BELOW if below is not None else _SEARCH, parameters)
            return [State(*row) for row in cursor.fetchall()]


def search_in_mongodb(
    rooms: Collection[UUID], words: Sequence[str], *, below: UUID | None, limit: int
) -> list[State]:
    """Return the same from MongoDB's copies."""
    where = searched(
        "channel_id", [str(room) for room in rooms], words, str(below) if below else None
    )
    with mongo.database() as database:
        found = database["messages"].find({"_live": True, **where}).sort("_id", -1).limit(limit)
        return [_shown(row) for row in found]


def _shown(row: dict[str, Any]) -> State:
    return State(
        UUID(row["_id"]),
        UUID(row["channel_id"]),
        UUID(row["member_id"]),
        UUID(row["author_id"]),
        *(row[name] for name in _FIELDS[4:10]),
    )


def _search(state: State) -> Func:
    return Func(
        Func(Value(" ".join(words_of(state.content))), Value(" "), function="string_to_array"),
        function="array_to_tsvector",
        output_field=GroupMessage._meta.get_field("search"),
    )


def _rows() -> Any:
    return GroupMessage.objects.using(alias_of(APP))


def _states(rows: Any) -> list[State]:
    return [State(*row) for row in rows.values_list(*_FIELDS)]
