"""Everything that is kept of a person, as one JSON document, made while it is sent."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from pydantic.alias_generators import to_camel

from accounts import events
from accounts.leaving.registry import Holder, holders
from common.failures import is_unavailability
from databases.causality import use_primary
from databases.transactions import atomic_for

logger = logging.getLogger(__name__)


def exported_parts(*, user_id: UUID, at: datetime, client: str = "") -> Iterator[str]:
    """Return the pieces of the document; their rows are read when they are asked for.

    A part whose database is down is left out and named in `missing`: ask again later.

    :param at: now.
    """
    with atomic_for("accounts"):
        events.tell(events.EXPORTED, user_id=user_id, client=client)
    return _parts(user_id, at)


def file_name(*, at: datetime) -> str:
    """Return what the download is called."""
    return f"polystore-{at:%Y-%m-%d}.json"


def _parts(user_id: UUID, at: datetime) -> Iterator[str]:
    missing: list[str] = []
    yield f'{{"userId": {_json(user_id)}, "exportedAt": {_json(at)}'
    for holder in holders():
        yield f', "{to_camel(holder.app_label)}": {{'
        yield from _of_one(holder, user_id, missing)
        yield "}"
    yield f', "missing": {_json(missing)}}}\n'


def _of_one(holder: Holder, user_id: UUID, missing: list[str]) -> Iterator[str]:
    before = ""
    for name, rows in holder.sections.items():
        yield f'{before}"{name}": ['
        before = ", "
        yield from _rows(rows(user_id), f"{to_camel(holder.app_label)}.{name}", missing)
        yield "]"


def _rows(rows: Iterable[Mapping[str, Any]], name: str, missing: list[str]) -> Iterator[str]:
    separator = "\n  "
    found = iter(rows)
    while True:
        try:
            with use_primary():
                row = next(found)
        except StopIteration:
            return
        except Exception as error:
            if not is_unavailability(error):
                raise
            logger.warning("accounts.export.part_missing", extra={"part": name})
            missing.append(name)
            return
        yield separator + _json({to_camel(key): value for key, value in row.items()})
        separator = ",\n  "


def _json(value: Any) -> str:
    return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False)
