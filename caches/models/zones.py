"""Opportunity zones: data set versions, the zones in them, and the pointer to those that answer.

The versions of a program count up. A zone is written once and lies in all versions from `since` to
before `until`, so that a version costs only what changed. It is whole before the pointer moves to
it: there is no moment without zones. Plain PostgreSQL: geometry is packed (`queries.packing`,
EPSG:4326) and boxes are indexed by GiST (migration 0001).
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from caches.querysets import DatasetQuerySet, RangedQuerySet, ZoneQuerySet
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
    sequence = models.PositiveIntegerField(help_text="Counts the versions of the program.")
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
            models.UniqueConstraint(
                fields=["program", "sequence"], name="caches_dataset_counts_up"
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


class Ranged(models.Model):
    """A row that lies in the versions of a program from `since` to before `until`."""

    program = models.CharField(max_length=8, choices=Program.choices)
    since = models.PositiveIntegerField(help_text="The first version that holds it.")
    until = models.PositiveIntegerField(
        null=True, blank=True, help_text="The first version that does not; NULL: the newest does."
    )

    class Meta:
        abstract = True


class Zone(Ranged):
    """A designated census tract; `geom` is NULL where its border is not known."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    geoid = models.CharField(max_length=11, help_text="Census tract id: state, county, tract.")
    state_fips = models.CharField(max_length=2)
    state = models.CharField(max_length=64)
    county = models.CharField(max_length=100)
    tract_type = models.CharField(max_length=40)
    geom = models.BinaryField(null=True, blank=True, help_text="Packed, see queries.packing.")
    area_km2 = models.FloatField(null=True, blank=True)
    content_hash = models.CharField(max_length=32)

    objects = ZoneQuerySet.as_manager()

    class Meta:
        verbose_name = "opportunity zone"
        constraints = [
            models.UniqueConstraint(
                fields=["program", "since", "geoid"], name="caches_zone_once_in_a_version"
            ),
        ]
        indexes = [
            models.Index(fields=["geoid"], name="caches_zone_geoid"),
            models.Index(fields=["program", "until"], name="caches_zone_until"),
        ]

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
    zone = models.ForeignKey(Zone, on_delete=models.CASCADE, related_name="parts")
    part = models.PositiveSmallIntegerField(default=0)
    geom = models.BinaryField(null=True, help_text="Packed, of this half; NULL: the zone's own.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["zone", "part"], name="caches_zonepart_once"),
        ]

    def __str__(self) -> str:
        return f"part {self.part} of zone {self.zone_id}"


class CoverageArea(Boxed, Ranged):
    """An area where a miss means something else than in the rest of it."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    miss = models.CharField(max_length=8, choices=Miss.choices)
    state_fips = models.CharField(max_length=2, blank=True, default="")
    basis = models.CharField(max_length=20, help_text="What the area was derived from.")
    geom = models.BinaryField(help_text="Packed, see queries.packing.")
    content_hash = models.CharField(max_length=32, default="")

    objects = RangedQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.miss} in {self.state_fips or 'an area'} of {self.program}"


class Activation(models.Model):
    """The pointer: which version answers for a program. Moving it is one row's update."""

    program = models.CharField(primary_key=True, max_length=8, choices=Program.choices)
    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="activations")
    generation = models.PositiveBigIntegerField(help_text="Rises with every activation.")
    activated_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.program} generation {self.generation}"


class Run(models.Model):
    """One seeding or refresh: asked for, carried out by one process, and what became of it."""

    class State(models.TextChoices):
        """Where it stands; the first two are under way."""

        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        UNCHANGED = "unchanged"
        FAILED = "failed"

    class Origin(models.TextChoices):
        """Who asked for it."""

        API = "api"
        ADMIN = "admin"
        COMMAND = "command"
        START = "start", "start: there were no zones"
        SCHEDULE = "schedule", "schedule: before the zones expire"

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    program = models.CharField(max_length=8, choices=Program.choices)
    origin = models.CharField(max_length=8, choices=Origin.choices)
    state = models.CharField(max_length=9, choices=State.choices, default=State.QUEUED)
    slot = models.PositiveSmallIntegerField(
        null=True, default=1, editable=False, help_text="1 while it is under way."
    )
    force = models.BooleanField(default=False)
    source = models.CharField(
        max_length=500, blank=True, default="", help_text="File names or host, never credentials."
    )
    stage = models.CharField(max_length=60, blank=True, default="")
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    states = models.JSONField(
        default=dict,
        blank=True,
        help_text="State FIPS code → [zones stored, of how many].",
    )
    rows_written = models.PositiveIntegerField(default=0)
    requested_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True, default="")

    class Meta:
        verbose_name = "seeding run"
        constraints = [
            # Over the nullable column, so that it holds on CockroachDB, too.
            models.UniqueConstraint(fields=["program", "slot"], name="caches_run_one_under_way"),
        ]

    def __str__(self) -> str:
        return f"{self.program} {self.state} {self.requested_at:%Y-%m-%d %H:%M}"


class SourcePage(models.Model):
    """A page that was fetched from a feature service: a run that dies is taken up behind it."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    source = models.CharField(max_length=64, help_text="Fingerprint of the service and its state.")
    offset = models.PositiveIntegerField(help_text="Features before this page.")
    count = models.PositiveIntegerField(help_text="Features in it.")
    packed = models.BinaryField(help_text="Its GeoJSON, deflated.")
    fetched_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "offset"], name="caches_page_once"),
        ]

    def __str__(self) -> str:
        return f"{self.count} features from {self.offset}"


class LookupJob(models.Model):
    """A batch of points that is too large for one answer."""

    class State(models.TextChoices):
        """Where it stands."""

        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    owner = models.UUIDField(help_text="The user who may read it.")
    state = models.CharField(max_length=8, choices=State.choices, default=State.QUEUED)
    program = models.CharField(max_length=8, blank=True, default="")
    as_of = models.DateField()
    total = models.PositiveIntegerField()
    done = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="caches_job_created")]

    def __str__(self) -> str:
        return f"{self.done} of {self.total} points"


class LookupChunk(models.Model):
    """A thousand points of a job, and their answers once they are there."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    job = models.ForeignKey(LookupJob, on_delete=models.CASCADE, related_name="chunks")
    number = models.PositiveIntegerField()
    points = models.JSONField(
        help_text="[latitude, longitude] or an address each; empty once they are answered."
    )
    answers = models.JSONField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="caches_chunk_once"),
        ]

    def __str__(self) -> str:
        return f"chunk {self.number}"


def version_name(*, program: str, vintage: int, content_sha256: str) -> str:
    """Return a version's name, such as `oz1-2010-1f0c2e5a9b3d`."""
    return f"{program}-{vintage}-{content_sha256[:12]}"
