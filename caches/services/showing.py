"""Zones for maps: from memory, else from the database."""

from __future__ import annotations

import datetime as dt

from caches.queries import features
from caches.queries.features import Asked, Shape
from caches.services.answering import APP, ready, stand_in
from databases.fallback import falls_back_to


def zones_in(asked: Asked) -> list[Shape]:
    """Return the zones in a box, ordered by tract id, one more than the limit.

    :raises django.db.OperationalError: when neither memory nor database nor source answers.
    """
    held = ready()
    if held is not None:
        return features.shapes_in_memory(held.indexes, asked)
    return _from_database(asked)


def zone(geoid: str, day: dt.date, program: str | None) -> list[Shape]:
    """Return the zone with this tract id, once per program that is in force on the day.

    :raises django.db.OperationalError: when neither memory nor database nor source answers.
    """
    held = ready()
    if held is not None:
        return features.shape_in_memory(held.indexes, geoid, day, program)
    return _one_from_database(geoid, day, program)


def _without(asked: Asked) -> list[Shape]:
    return features.shapes_in_memory(stand_in().indexes, asked)


@falls_back_to(_without, app_label=APP)
def _from_database(asked: Asked) -> list[Shape]:
    return features.shapes_in_database(asked)


def _one_without(geoid: str, day: dt.date, program: str | None) -> list[Shape]:
    return features.shape_in_memory(stand_in().indexes, geoid, day, program)


@falls_back_to(_one_without, app_label=APP)
def _one_from_database(geoid: str, day: dt.date, program: str | None) -> list[Shape]:
    return features.shape_in_database(geoid, day, program)
