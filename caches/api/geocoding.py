"""Where does this address lie?"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from ninja import Router

from caches.api.caller import allow_addresses
from caches.api.sending import PRIVATE, as_json, sent
from caches.schemas import AddressBody, GeocodeAnswer
from caches.services.geocoding.addresses import address_of
from caches.services.geocoding.answering import geocode as geocoded
from caches.services.geocoding.telling import wire
from common.access import signed_in

router = Router(tags=["opportunity zones"])


@router.post("", response=GeocodeAnswer, summary="Where does this address lie?")
@signed_in("zones:read")
def geocode(request: HttpRequest, asked: AddressBody) -> HttpResponse:
    """Return the point of an address of the United States, from the cache or from a geocoder.

    Only for users, and only so many; the address is not kept, nor written down anywhere.
    """
    address = address_of(asked.address)
    allow_addresses(request)
    return sent(request, as_json(wire(geocoded(address))), cache=PRIVATE)
