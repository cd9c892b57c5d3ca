"""What is kept of addresses, for how long, and how it goes again."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from django.db import router, transaction
from django.db.models import QuerySet

from caches.models import Geocode, GeocodeLease
from caches.services.geocoding.replies import Place, Quality, Reply, Verdict
from caches.services.geocoding.terms import longest_stored

DAY: Final = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long an outcome holds."""

    fresh: dt.timedelta
    stale: dt.timedelta
    """Beyond that: served at once, while somebody asks again."""


TIMES: Final[Mapping[str, Times]] = {
    Quality.ROOFTOP: Times(fresh=90 * DAY, stale=90 * DAY),
    Quality.INTERPOLATED: Times(fresh=90 * DAY, stale=90 * DAY),
    Quality.STREET: Times(fresh=30 * DAY, stale=30 * DAY),
    Quality.AREA: Times(fresh=7 * DAY, stale=7 * DAY),
    Verdict.NO_MATCH: Times(fresh=DAY, stale=DAY),
}
"""By the quality of a match. A no holds twice as long each time that it is confirmed."""
MOST_DOUBLINGS: Final = 3
"""A no is fresh for eight days at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is kept of an address."""

    reply: Reply
    fresh: bool
    stored_at: dt.datetime


def find(keys: Iterable[str], *, at: dt.datetime) -> Mapping[str, Kept]:
    """Return what is kept of these addresses and may still be served.

    :raises django.db.OperationalError: when the database does not answer.
    """
    rows = _rows().filter(key__in=list(keys), stale_until__gt=at)
    return {
        row.key: Kept(reply=_reply(row), fresh=at < row.fresh_until, stored_at=row.stored_at)
        for row in rows
    }


def store(key: str, token: uuid.UUID, reply: Reply, *, at: dt.datetime) -> bool:
    """Keep a reply and end its lease; False, and nothing kept, where the lease is somebody else's.

    What may not be kept ends the lease alone: see `may_keep`.
    """
    using = router.db_for_write(Geocode)
    with transaction.atomic(using=using):
        lease = GeocodeLease.objects.using(using).select_for_update().filter(key=key, token=token)
        if lease.first() is None:
            return False
        _rows().update_or_create(key=key, defaults=_values(key, reply, at))
        lease.delete()
    return True


def may_keep(reply: Reply) -> bool:
    """Tell whether a reply is one to keep: a match or a definite no, and the terms allow it."""
    if reply.verdict is Verdict.AMBIGUOUS or not reply.definite:
        return False
    return longest_stored(reply.provider) > dt.timedelta(0)


def forget(*, key: str) -> int:
    """Delete what is kept of an address; whoever is asking for it now may not store it."""
    using = router.db_for_write(Geocode)
    with transaction.atomic(using=using):
        GeocodeLease.objects.using(using).filter(key=key).delete()
        return _rows().filter(key=key).delete()[0]


def forget_older(*, than: dt.datetime | None) -> int:
    """Delete what was stored before then; None deletes everything."""
    if than is not None:
        return _rows().filter(stored_at__lt=than).delete()[0]
    using = router.db_for_write(Geocode)
    with transaction.atomic(using=using):
        GeocodeLease.objects.using(using).all().delete()
        return _rows().all().delete()[0]


def prune(*, at: dt.datetime) -> int:
    """Delete what may not be served any more."""
    return _rows().filter(stale_until__lte=at).delete()[0]


def _values(key: str, reply: Reply, at: dt.datetime) -> Mapping[str, object]:
    times, confirmed = _times(key, reply)
    allowed = longest_stored(reply.provider)
    fresh = min(times.fresh, allowed)
    return {
        "status": reply.verdict.value,
        "latitude": reply.place.lat if reply.place else None,
        "longitude": reply.place.lon if reply.place else None,
        "quality": reply.place.quality.value if reply.place else "",
        "provider": reply.provider,
        "times": confirmed,
        "stored_at": at,
        "fresh_until": at + fresh,
        "stale_until": at + min(fresh + times.stale, allowed),
    }


def _times(key: str, reply: Reply) -> tuple[Times, int]:
    if reply.place is not None:
        return TIMES[reply.place.quality], 1
    before = _rows().filter(key=key, status=Geocode.Status.NO_MATCH).first()
    confirmed = min(before.times + 1, 100) if before else 1
    usual = TIMES[Verdict.NO_MATCH]
    doubled = usual.fresh * 2 ** min(confirmed - 1, MOST_DOUBLINGS)
    return Times(fresh=doubled, stale=usual.stale), confirmed


def _reply(row: Geocode) -> Reply:
    place = None
    if row.latitude is not None and row.longitude is not None:
        place = Place(lat=row.latitude, lon=row.longitude, quality=Quality(row.quality))
    return Reply(verdict=Verdict(row.status), provider=row.provider, place=place)


def _rows() -> QuerySet[Geocode]:
    return Geocode.objects.using(router.db_for_write(Geocode))
