"""Where addresses lie, as geocoders said. No address stands here: a keyed hash stands for it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Geocode(models.Model):
    """What was found for an address, and how long that holds."""

    class Status(models.TextChoices):
        """What is kept. Errors, quotas, and answers that were not definite never are."""

        MATCH = "match"
        NO_MATCH = "no_match", "no match: every provider that was asked said so"

    key = models.CharField(
        primary_key=True, max_length=64, help_text="Keyed hash of the normalised address."
    )
    status = models.CharField(max_length=8, choices=Status.choices)
    latitude = models.FloatField(null=True, blank=True)
    longitude = models.FloatField(null=True, blank=True)
    quality = models.CharField(
        max_length=12, blank=True, default="", help_text="How near the point is to the address."
    )
    provider = models.CharField(max_length=20, help_text="Who said so, for terms and attribution.")
    times = models.PositiveSmallIntegerField(
        default=1, help_text="How often in a row there was no match: each holds twice as long."
    )
    stored_at = models.DateTimeField()
    fresh_until = models.DateTimeField()
    stale_until = models.DateTimeField(help_text="Until then it is served while it is refreshed.")

    class Meta:
        verbose_name = "geocoded address"
        verbose_name_plural = "geocoded addresses"
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    status="match",
                    latitude__gte=-90,
                    latitude__lte=90,
                    longitude__gte=-180,
                    longitude__lte=180,
                )
                | Q(status="no_match", latitude=None, longitude=None),
                name="caches_geocode_point_iff_match",
            ),
            models.CheckConstraint(
                condition=Q(fresh_until__lte=models.F("stale_until")),
                name="caches_geocode_fresh_before_stale",
            ),
        ]
        indexes = [
            models.Index(fields=["stale_until"], name="caches_geocode_stale"),
            models.Index(fields=["stored_at"], name="caches_geocode_stored"),
        ]

    def __str__(self) -> str:
        return f"{self.status} by {self.provider}, …{self.key[-8:]}"


class GeocodeLease(models.Model):
    """Who is asking for an address now. Nobody else does until it ends or runs out."""

    key = models.CharField(primary_key=True, max_length=64)
    token = models.UUIDField(help_text="Whoever holds another one may not store.")
    until = models.DateTimeField(help_text="By the clock of the database.")
    outcome = models.CharField(
        max_length=10,
        blank=True,
        default="",
        help_text="What those who waited are told, where nothing was stored.",
    )

    class Meta:
        indexes = [models.Index(fields=["until"], name="caches_geolease_until")]

    def __str__(self) -> str:
        return f"…{self.key[-8:]} until {self.until:%H:%M:%S}"
