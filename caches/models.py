"""Opportunity zones: data set versions, the zones in them, and the pointer to those that answer.

A version is written completely before the pointer moves to it, so that there is no moment without
zones. Plain PostgreSQL: geometry is WKB (EPSG:4326) and boxes are indexed by GiST (migration 0001).
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from caches.querysets import DatasetQuerySet, ZoneQuerySet
from common.ids import uuid7


class Program(models.TextChoices):
    """The law that designates; two are in force at once in 2027 and 2028."""

    OZ1 = "oz1", "Opportunity Zones 1.0 (2010 tracts, to the end of 2028)"
    OZ2 = "oz2", "Opportunity Zones 2.0 (2020 tracts, from 2027)"


class Miss(models.TextChoices):
    """What it means that no polygon holds a point."""

    NO = "no", "no: every zone there has a polygon"
    UNKNOWN = "unknown", "unknown: a zone without a polygon may be there"


class Dataset(models.Model):
    """One complete version of the zones of one program."""

    class State(models.TextChoices):
        """Where the version stands: building, then active (or ready), then retired."""

        BUILDING = "building"
        READY = "ready"
        ACTIVE = "active"
        RETIRED = "retired"
        FAILED = "failed"

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    program = models.CharField(max_length=8, choices=Program.choices)
    source = models.CharField(max_length=500, help_text="File names or host, never credentials.")
    vintage = models.PositiveSmallIntegerField(help_text="Census year of the tract ids.")
    resolution = models.CharField(max_length=16, help_text="full, 500k or sample.")
    effective_from = models.DateField()
    effective_to = models.DateField()
    is_sample = models.BooleanField(default=False)

    miss = models.CharField(
        max_length=8,
        choices=Miss.choices,
        default=Miss.UNKNOWN,
        help_text="What a miss means outside the coverage areas.",
    )

    state = models.CharField(max_length=8, choices=State.choices, default=State.BUILDING)
    expected_count = models.PositiveIntegerField(help_text="Zones that are designated by law.")
    zone_count = models.PositiveIntegerField(default=0)
    polygon_count = models.PositiveIntegerField(default=0)
    missing_by_state = models.JSONField(
        default=dict, blank=True, help_text="State FIPS code → designated zones without a polygon."
    )
    source_sha256 = models.CharField(max_length=64, help_text="Of the source's bytes.")
    content_sha256 = models.CharField(max_length=64, help_text="Of what was made of them.")

    created_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    built_at = models.DateTimeField(null=True, blank=True)
    verified_at = models.DateTimeField(
        null=True, blank=True, help_text="When the source was last seen to say the same."
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True, default="")

    objects = DatasetQuerySet.as_manager()

    class Meta:
        verbose_name = "data set version"
        constraints = [
            models.UniqueConstraint(
                fields=["program"], condition=Q(state="active"), name="caches_dataset_one_active"
            ),
            models.CheckConstraint(
                condition=Q(effective_from__lte=models.F("effective_to")),
                name="caches_dataset_effective_range",
            ),
            models.CheckConstraint(
                condition=Q(polygon_count__lte=models.F("zone_count")),
                name="caches_dataset_polygons_within_zones",
            ),
        ]

    def __str__(self) -> str:
        return self.version

    @property
    def version(self) -> str:
        """The name that answers carry: program, vintage and the content's fingerprint."""
        return version_name(
            program=self.program, vintage=self.vintage, content_sha256=self.content_sha256
        )

    @property
    def is_complete(self) -> bool:
        """Whether every designated zone is here with a polygon."""
        return self.polygon_count >= self.expected_count


class Zone(models.Model):
    """A designated census tract; `geom` is NULL where its border is not known."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="zones")
    geoid = models.CharField(max_length=11, help_text="Census tract id: state, county, tract.")
    state_fips = models.CharField(max_length=2)
    state = models.CharField(max_length=64)
    county = models.CharField(max_length=100)
    tract_type = models.CharField(max_length=40)
    geom = models.BinaryField(null=True, blank=True, help_text="WKB, longitude before latitude.")
    content_hash = models.CharField(max_length=32)

    objects = ZoneQuerySet.as_manager()

    class Meta:
        verbose_name = "opportunity zone"
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "geoid"], name="caches_zone_once_in_a_dataset"
            ),
        ]
        indexes = [models.Index(fields=["geoid"], name="caches_zone_geoid")]

    def __str__(self) -> str:
        return f"{self.geoid} ({self.county}, {self.state})"


class Boxed(models.Model):
    """A row found by its bounding box; on PostgreSQL a GiST index over the four sides serves."""

    min_lon = models.FloatField()
    min_lat = models.FloatField()
    max_lon = models.FloatField()
    max_lat = models.FloatField()

    class Meta:
        abstract = True


class ZonePart(Boxed):
    """What look-ups search: a zone, or each half of one that crosses the antimeridian."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="parts")
    zone = models.ForeignKey(Zone, on_delete=models.CASCADE, related_name="parts")
    part = models.PositiveSmallIntegerField(default=0)
    geom = models.BinaryField(null=True, help_text="WKB of this half; NULL: the zone's own.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["zone", "part"], name="caches_zonepart_once"),
        ]

    def __str__(self) -> str:
        return f"part {self.part} of zone {self.zone_id}"


class CoverageArea(Boxed):
    """An area of a version where a miss means something else than in the rest of it."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="coverage")
    miss = models.CharField(max_length=8, choices=Miss.choices)
    state_fips = models.CharField(max_length=2, blank=True, default="")
    basis = models.CharField(max_length=20, help_text="What the area was derived from.")
    geom = models.BinaryField(help_text="WKB, longitude before latitude.")

    def __str__(self) -> str:
        return f"{self.miss} in {self.state_fips or 'an area'} of {self.dataset_id}"


class Activation(models.Model):
    """The pointer: which version answers for a program. Moving it is one row's update."""

    program = models.CharField(primary_key=True, max_length=8, choices=Program.choices)
    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="activations")
    generation = models.PositiveBigIntegerField(help_text="Rises with every activation.")
    activated_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.program} generation {self.generation}"


def version_name(*, program: str, vintage: int, content_sha256: str) -> str:
    """Return a version's name, such as `oz1-2010-1f0c2e5a9b3d`."""
    return f"{program}-{vintage}-{content_sha256[:12]}"
