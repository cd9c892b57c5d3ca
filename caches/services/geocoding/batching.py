"""Zones of points and addresses mixed, in their order."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from caches.queries.answers import wire as answer_wire
from caches.queries.points import Point
from caches.services import answering
from caches.services.geocoding.addresses import Address
from caches.services.geocoding.many import geocode_many
from caches.services.geocoding.telling import point_of, unknown, wire

Asked = Point | Address


def check_mixed(
    asked: Sequence[Asked], as_of: dt.date, program: str | None, *, deadline: float | None = None
) -> list[dict[str, object]]:
    """Return the answers as they go over the wire; an address's has the member `geocode`.

    :param deadline: of the monotonic clock, for all addresses together.
    :raises django.db.OperationalError: when neither memory nor database nor source answers.
    """
    addresses = [one for one in asked if isinstance(one, Address)]
    found = iter(geocode_many(addresses, deadline=deadline) if addresses else [])
    places = [next(found) if isinstance(one, Address) else None for one in asked]
    points = [
        point_of(place) if isinstance(one, Address) else one
        for one, place in zip(asked, places, strict=True)
    ]
    answers = iter(
        answering.check_many([point for point in points if point is not None], as_of, program)
    )
    items: list[dict[str, object]] = []
    for one, place, point in zip(asked, places, points, strict=True):
        answer = unknown(as_of) if point is None else next(answers)
        item: dict[str, object] = {
            "lat": point.lat if point else None,
            "lon": point.lon if point else None,
            **answer_wire(answer),
        }
        if isinstance(one, Address):
            item["geocode"] = wire(place)
        items.append(item)
    return items
