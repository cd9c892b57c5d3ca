"""Direct messages in PostgreSQL: all of them, behind MongoDB.

`mongo_pending` stands in a row until MongoDB has its state; an event of the outbox brings it there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db import connections

from databases.placement import alias_of
from databases.prepared import fetch_all
from databases.stores import mongo
from databases.transactions import atomic_for
from messaging.models import DirectMessage
from messaging.stores.states import Changed, State, words_of
from outbox.recording import record_event

APP: Final = "messaging"
AGGREGATE: Final = "direct_message"
_as_state: Final = partial(tuple.__new__, State)
"""`State._make` without its Python, which took a twentieth of a page: rows have its columns."""
_TABLE: Final = DirectMessage._meta.db_table
_COLUMNS: Final = (
    "id, conversation_id, member_id, author_id, content, file_url, deleted, created_at, updated_at,"
    " rank, request, fingerprint"
)
_INSERT: Final = f"""
INSERT INTO {_TABLE} AS known ({_COLUMNS}, mongo_pending, search)
SELECT {_COLUMNS}, %s, array_to_tsvector(string_to_array(words, ' ')) FROM unnest(
    %s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::boolean[],
    %s::timestamptz[], %s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::text[]
) AS given ({_COLUMNS}, words)
"""  # noqa: S608 - constants
_CREATE: Final = f"{_INSERT} ON CONFLICT (id) DO NOTHING"
_PUT: Final = f"""{_INSERT}
ON CONFLICT (id) DO UPDATE SET
    content = EXCLUDED.content, file_url = EXCLUDED.file_url, deleted = EXCLUDED.deleted,
    updated_at = EXCLUDED.updated_at, rank = EXCLUDED.rank, request = EXCLUDED.request,
    fingerprint = EXCLUDED.fingerprint,
    mongo_pending = EXCLUDED.mongo_pending, search = EXCLUDED.search
WHERE EXCLUDED.rank > known.rank
"""
_REPLACE: Final = _PUT.replace("EXCLUDED.rank > known.rank", "EXCLUDED.rank >= known.rank")
_MILLISECONDS: Final = "floor(extract(epoch FROM {column}) * 1000)::bigint"
_PRINT: Final = f"""
rank || md5(convert_to(concat_ws(E'\\x1f', conversation_id, member_id, author_id,
    CASE WHEN deleted THEN 't' ELSE 'f' END, {_MILLISECONDS.format(column="created_at")},
    {_MILLISECONDS.format(column="updated_at")}, file_url, content), 'UTF8'))
"""
"""`messaging.stores.states.print_of` is the same."""
_SELECT: Final = f"SELECT {_COLUMNS} FROM {_TABLE} WHERE"  # noqa: S608 - constants
_OF_ROOM: Final = f"{_SELECT} conversation_id = %s"
_NEWEST: Final = "ORDER BY id DESC LIMIT %s"
_NEXT: Final = "ORDER BY id LIMIT %s"
_KEY_TAKEN: Final = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
_CLEAR: Final = f"""
UPDATE {_TABLE} AS known SET mongo_pending = false
FROM unnest(%s::uuid[], %s::text[]) AS given (id, rank)
WHERE known.id = given.id AND known.rank = given.rank AND known.mongo_pending
"""  # noqa: S608 - constants


class PostgresMessages:
    """The store behind, and the one that serves while MongoDB is away."""

    name = "default"

    def older(self, room_id: UUID, *, than: UUID | None, limit: int) -> list[State]:
        """Return the newest messages of a room, or those older than an id, the newest first."""
        if than is None:
            rows = fetch_all(APP, f"{_OF_ROOM} {_NEWEST}", (room_id, limit))
        else:
            rows = fetch_all(APP, f"{_OF_ROOM} AND id < %s {_NEWEST}", (room_id, than, limit))
        return list(map(_as_state, rows))

    def later(self, room_id: UUID, *, than: UUID, limit: int) -> list[State]:
        """Return the messages of a room with higher ids, rising."""
        return _ask(f"{_OF_ROOM} AND id > %s {_NEXT}", room_id, than, limit)

    def changed(self, room_id: UUID, *, since: datetime, limit: int) -> list[State]:
        """Return the messages of a room that were written or changed since, by that time."""
        return _ask(
            f"{_OF_ROOM} AND updated_at >= %s ORDER BY updated_at LIMIT %s", room_id, since, limit
        )

    def get(self, message_id: UUID) -> State | None:
        """Return a message, deleted or not, or None where there is none."""
        return next(iter(_ask(f"{_SELECT} id = %s", message_id)), None)

    def of_request(self, request: str) -> State | None:
        """Return the message that an author's key made, or None."""
        found = _ask(f"{_SELECT} request = %s AND request <> '' {_NEXT}", request, 1)
        return next(iter(found), None)

    def create(self, state: State) -> State:
        """Keep a new message that MongoDB did not take, with an event that brings it there.

        Where its id or its key made one before, that one is returned instead.
        """
        with atomic_for(APP):
            if state.request:
                _run(_KEY_TAKEN, state.request)
                known = self.of_request(state.request)
                if known is not None:
                    return known
            made = _run(_CREATE, *_columns([state], pending=True))
            if made:
                _tell(state)
                return state
            known = self.get(state.id)
        assert known is not None  # noqa: S101 - rows are never deleted
        return known

    def change(self, state: State) -> State:
        """Keep this state if it is newer, with an event for MongoDB; return what is kept."""
        with atomic_for(APP):
            if _run(_PUT, *_columns([state], pending=True)):
                _tell(state)
                return state
            known = self.get(state.id)
        assert known is not None  # noqa: S101 - the statement met it
        return known

    def put(self, states: Sequence[State]) -> None:
        """Keep these states, which MongoDB has, where they are newer than what is there."""
        if states:
            # Always in one order, so that two of these cannot wait for each other.
            _run(_PUT, *_columns(sorted(states), pending=False))

    def replace(self, states: Sequence[State]) -> None:
        """Keep these states, which MongoDB has, unless what is there is newer.

        Also where the rank is the same: one of both is not what its writer wrote.
        """
        if states:
            _run(_REPLACE, *_columns(sorted(states), pending=False))

    def not_in_mongodb(
        self, room_id: UUID, *, above: UUID | None = None, below: UUID | None = None, limit: int
    ) -> list[State]:
        """Return messages of a room whose newest state MongoDB lacks.

        :param above: only ids above it, rising; without it the newest come first.
        """
        where = f"{_OF_ROOM} AND mongo_pending"
        if above is not None:
            return _ask(f"{where} AND id > %s {_NEXT}", room_id, above, limit)
        if below is not None:
            return _ask(f"{where} AND id < %s {_NEWEST}", room_id, below, limit)
        return _ask(f"{where} {_NEWEST}", room_id, limit)

    def arrived(self, states: Iterable[State]) -> None:
        """Take the mark away: MongoDB has these states, or newer ones."""
        pairs = [(state.id, state.rank) for state in states]
        if pairs:
            _run(_CLEAR, [one for one, _ in pairs], [rank for _, rank in pairs])

    def search(
        self, rooms: Collection[UUID], words: Sequence[str], *, below: UUID | None, limit: int
    ) -> list[State]:
        """Return messages of these rooms with words that begin so, the newest first."""
        where = f"{_SELECT} conversation_id = ANY(%s) AND search @@ %s::tsquery"
        if below is not None:
            return _ask(f"{where} AND id < %s {_NEWEST}", list(rooms), tsquery(words), below, limit)
        return _ask(f"{where} {_NEWEST}", list(rooms), tsquery(words), limit)

    def backlog(self, *, most: int) -> int:
        """Count the messages that MongoDB lacks, up to `most`."""
        limited = f"SELECT 1 FROM {_TABLE} WHERE mongo_pending LIMIT %s"  # noqa: S608 - constants
        return int(_rows(f"SELECT count(*) FROM ({limited}) AS waiting", most)[0][0])  # noqa: S608

    def prints(
        self, *, after: UUID | None, limit: int, room_id: UUID | None = None
    ) -> list[tuple[UUID, str]]:
        """Return (id, print) of the next messages by id: see `messaging.stores.states.print_of`."""
        where, parameters = ["true"], []
        for condition, value in (("id > %s", after), ("conversation_id = %s", room_id)):
            if value is not None:
                where.append(condition)
                parameters.append(value)
        sql = f"SELECT id, {_PRINT} FROM {_TABLE} WHERE {' AND '.join(where)} {_NEXT}"  # noqa: S608
        return [(row[0], row[1]) for row in _rows(sql, *parameters, limit)]

    def changed_ids(
        self, *, since: Changed, below: UUID, limit: int, room_id: UUID | None = None
    ) -> list[Changed]:
        """Return when, and which, of the messages below an id that were changed after `since`."""
        where, parameters = ["(updated_at, id) > (%s, %s)", "id < %s"], [*since, below]
        if room_id is not None:
            where.append("conversation_id = %s")
            parameters.append(room_id)
        sql = f"""
            SELECT updated_at, id FROM {_TABLE}
            WHERE updated_at > created_at AND {" AND ".join(where)}
            ORDER BY updated_at, id LIMIT %s
        """  # noqa: S608 - constants
        return [(row[0], row[1]) for row in _rows(sql, *parameters, limit)]

    def states_of(self, ids: Sequence[UUID]) -> dict[UUID, State]:
        """Return these messages by id; unknown ones are missing."""
        return {state.id: state for state in _ask(f"{_SELECT} id = ANY(%s)", list(ids))}


def tsquery(words: Sequence[str]) -> str:
    """Return the query for texts that have a word beginning as each of `words`.

    :param words: of `words_of`, so that nothing in them needs quoting but the quotes around.
    """
    return " & ".join(f"'{word}':*" for word in words)


def _tell(state: State) -> None:
    if not mongo.configured():
        return  # whoever configures it later has `reconcile_messages` bring all
    verb = "deleted" if state.deleted else "edited" if state.updated_at > state.created_at else ""
    record_event(
        aggregate_type=AGGREGATE,
        aggregate_id=state.id,
        event_type=f"{AGGREGATE}.{verb or 'created'}",
    )


def _columns(states: Sequence[State], *, pending: bool) -> list[Any]:
    words = [" ".join(words_of(state.content)) for state in states]
    return [pending, *(list(column) for column in zip(*states, strict=True)), words]


def _ask(sql: str, *parameters: Any) -> list[State]:
    return list(map(_as_state, _rows(sql, *parameters)))


def _rows(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connections[alias_of(APP)].cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _run(sql: str, *parameters: Any) -> int:
    with connections[alias_of(APP)].cursor() as cursor:
        cursor.execute(sql, parameters)
        return int(cursor.rowcount)
