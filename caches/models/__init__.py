"""What `cache` holds: opportunity zones, and where addresses lie."""

from caches.models.geocodes import Geocode, GeocodeLease
from caches.models.zones import (
    Activation,
    CoverageArea,
    Dataset,
    LookupChunk,
    LookupJob,
    Miss,
    Program,
    Run,
    SourcePage,
    Zone,
    ZonePart,
    version_name,
)

__all__ = [
    "Activation",
    "CoverageArea",
    "Dataset",
    "Geocode",
    "GeocodeLease",
    "LookupChunk",
    "LookupJob",
    "Miss",
    "Program",
    "Run",
    "SourcePage",
    "Zone",
    "ZonePart",
    "version_name",
]
