"""Zones as GeoJSON, for maps."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Path, Query, Router

from caches.api.sending import PUBLIC, as_json, etag_of, not_changed, sent
from caches.queries.features import Asked, checked_box, drawn
from caches.schemas import FeatureAnswer, FeaturesAnswer, ZoneQuery, ZonesQuery
from caches.services import answering, holding, showing
from common.access import public
from common.failures import NotFound
from common.pagination import Cursor, CursorInvalid, decode_cursor, encode_cursor
from common.schemas import AnswerSchema

router = Router()
GEOJSON = "application/geo+json"


def _documented(schema: type[AnswerSchema]) -> dict[str, Any]:
    """Return what the document says of an answer in GeoJSON's own media type."""
    ref = {"schema": {"$ref": f"#/components/schemas/{schema.__name__}"}}
    return {"responses": {200: {"content": {GEOJSON: ref}}}}


@router.get(
    "/zones",
    response=FeaturesAnswer,
    summary="The zones in a box, as GeoJSON",
    openapi_extra=_documented(FeaturesAnswer),
)
@public
def zones(request: HttpRequest, asked: Query[ZonesQuery]) -> HttpResponse:
    """Return the zones whose boxes touch `bbox`, with as many corners as `zoom` shows.

    `next` is null on the last page.
    """
    boxes = checked_box(asked.bbox)
    day = asked.as_of or timezone.localdate()
    held = answering.ready()
    etag = (
        etag_of(held.tag, boxes, asked.zoom, day, asked.program, asked.cursor, asked.limit)
        if (held)
        else ""
    )
    same = not_changed(request, etag) if etag else None
    if same is not None:
        return same
    found = showing.zones_in(
        Asked(
            boxes=boxes,
            as_of=day,
            program=asked.program,
            after=_after(asked.cursor),
            limit=asked.limit,
        )
    )
    shown = found[: asked.limit]
    onward = encode_cursor(Cursor(key=shown[-1].key)) if len(found) > len(shown) else None
    features = ",\n".join(drawn(shown, zoom=asked.zoom))
    body = f'{{"type":"FeatureCollection","next":{as_json(onward)},"features":[\n{features}\n]}}'
    kept = held is holding.current()
    return sent(request, body, cache=PUBLIC, etag=etag if kept else "", content_type=GEOJSON)


@router.get(
    "/zones/{geoid}",
    response=FeatureAnswer,
    summary="One zone, with its whole border",
    openapi_extra=_documented(FeatureAnswer),
)
@public
def zone(
    request: HttpRequest,
    geoid: Annotated[str, Path(description="Census tract id, eleven digits.", max_length=11)],
    asked: Query[ZoneQuery],
) -> HttpResponse:
    """Return a zone; its geometry is null where its border is not known."""
    day = asked.as_of or timezone.localdate()
    found = showing.zone(geoid, day, asked.program)
    if not found:
        raise NotFound("No zone of that tract id is in force on that day.")
    (feature,) = drawn(found[:1], zoom=None)
    shape = found[0]
    etag = etag_of(shape.version.name, shape.version.generation, geoid, day)
    return not_changed(request, etag) or sent(
        request, feature, cache=PUBLIC, etag=etag, content_type=GEOJSON
    )


def _after(cursor: str | None) -> tuple[str, str]:
    if not cursor:
        return "", ""
    geoid, program = decode_cursor(cursor, length=2).key
    if not (isinstance(geoid, str) and isinstance(program, str)) or "\0" in geoid + program:
        raise CursorInvalid("The cursor belongs to another list.")
    return geoid, program
