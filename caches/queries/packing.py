"""How borders are stored: whole ten-millionths of a degree, as differences, byte by byte, deflated.

A ten-millionth of a degree is a centimetre. Neighbours share their corners and so stay neighbours:
equal coordinates are rounded to equal ones. Of 6,689 real tracts at full density (310 corners each)
WKB takes 33.4 MB, this 7.8 MB. Rows that hold WKB (of earlier versions) are still read.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import GeometryType
from shapely.geometry.base import BaseGeometry

STEPS: Final = 1e7
"""Steps per degree; 180 degrees of them fit into 31 bits."""
_HEAD: Final = struct.Struct("<BIII")
"""The mark, and how many corners, rings and polygons follow."""
_COUNT: Final = struct.Struct("<I")
_WKB_HEAD: Final = struct.Struct("<BII")
"""Of WKB: byte order, type, and how many parts follow."""
_SINGLE: Final = 0x50
_MULTI: Final = 0x4D
_SIZES: Final = np.dtype("<u4")
_WKB_MARKS: Final = frozenset({0, 1})
"""What WKB begins with."""


def on_grid(geometry: BaseGeometry) -> BaseGeometry:
    """Return `geometry` as it will come back from storage: valid, on the grid."""
    rounded: BaseGeometry = shapely.transform(geometry, lambda xy: np.rint(xy * STEPS) / STEPS)
    if rounded.is_valid:
        return rounded
    return shapely.set_precision(geometry, 1 / STEPS)


def pack(geometry: BaseGeometry) -> bytes:
    """Return the bytes of a polygon or multipolygon whose longitudes lie in -180 to 180."""
    kind, corners, offsets = shapely.to_ragged_array([geometry])
    steps = np.rint(corners * STEPS).astype("<i4")
    # Over the whole range a difference may not fit: both sides then wrap around alike.
    steps[1:] -= steps[:-1].copy()
    planes = steps.T.copy().view(np.uint8).reshape(2, -1, 4).transpose(0, 2, 1)
    rings = np.diff(offsets[0]).astype(_SIZES)
    multi = kind == GeometryType.MULTIPOLYGON
    polygons = np.diff(offsets[1]).astype(_SIZES)
    head = _HEAD.pack(_MULTI if multi else _SINGLE, len(steps), len(rings), len(polygons))
    sizes = rings.tobytes() + polygons.tobytes()
    return head + sizes + zlib.compress(planes.tobytes(), 6)


def unpack(data: bytes) -> BaseGeometry:
    """Return the geometry, made afresh."""
    return shapely.from_wkb(_wkb(data))


def unpack_many(rows: Sequence[bytes]) -> NDArray[Any]:
    """Return the geometries of many rows at once, in their order."""
    found: NDArray[Any] = shapely.from_wkb([_wkb(data) for data in rows])
    return found


def _wkb(data: bytes) -> bytes:
    if data[0] in _WKB_MARKS:
        return data
    mark, count, rings, polygons = _HEAD.unpack_from(data)
    if mark not in {_SINGLE, _MULTI}:
        raise ValueError("These bytes are no stored border.")
    sizes = struct.unpack_from(f"<{rings + polygons}I", data, _HEAD.size)
    deflated = memoryview(data)[_HEAD.size + 4 * len(sizes) :]
    planes = np.frombuffer(zlib.decompress(deflated), np.uint8).reshape(2, 4, count)
    steps = planes.transpose(0, 2, 1).copy().view("<i4")[..., 0]
    corners = (np.cumsum(steps, axis=1, dtype=np.int32).T / STEPS).astype("<f8").tobytes()
    parts = [_WKB_HEAD.pack(1, 6, polygons)] if mark == _MULTI else []
    ring = at = 0
    for number in sizes[rings:]:
        parts.append(_WKB_HEAD.pack(1, 3, number))
        for size in sizes[ring : ring + number]:
            parts += (_COUNT.pack(size), corners[at : at + 16 * size])
            at += 16 * size
        ring += number
    return b"".join(parts)
