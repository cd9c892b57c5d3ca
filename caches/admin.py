"""Operators look at versions and zones here; machines write them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from caches import stores
from caches.models import Dataset, Geocode, Run, Zone
from caches.queries.geocoding import geocoding_figures
from caches.queries.status import coverage_of
from caches.services import versions
from common.errors import PolystoreError
from databases.admin_base import EndlessAdmin, MachineWrittenAdmin

_HAS_POLYGON = ExpressionWrapper(Q(geom__isnull=False), output_field=BooleanField())


@admin.register(Dataset)
class DatasetAdmin(MachineWrittenAdmin[Dataset]):
    """Versions: which answers, what is in it, and the switch to another."""

    list_display = (
        "version",
        "sequence",
        "answers",
        "state",
        "zone_count",
        "polygon_count",
        "expected_count",
        "resolution",
        "is_sample",
        "in_memory",
        "built_at",
        "expires_at",
    )
    readonly_fields = ("coverage",)
    list_filter = ("program", "state", "is_sample")
    search_fields = ("source", "content_sha256")
    ordering = ("-id",)
    actions = ("make_active",)

    @admin.display(boolean=True, description="answers")
    def answers(self, dataset: Dataset) -> bool:
        """Tell whether look-ups are answered from this version."""
        return dataset.state == Dataset.State.ACTIVE

    @admin.display(description="in memory of")
    def in_memory(self, dataset: Dataset) -> str:
        """Tell how many processes hold the version that answers."""
        if dataset.state != Dataset.State.ACTIVE:
            return "–"
        workers = stores.published()
        if workers is None:
            return "unknown: Redis is away"
        pointer = dataset.activations.first()
        generation = pointer.generation if pointer else None
        held = sum(one.generations.get(dataset.program) == generation for one in workers)
        return f"{held} of {len(workers)} processes"

    @admin.display(description="zones by state, with and without a border")
    def coverage(self, dataset: Dataset) -> str:
        """List the states, those with gaps first."""
        found = coverage_of(dataset)
        gaps = sorted(found.items(), key=lambda item: item[1].polygons - item[1].designated)
        return "; ".join(f"{name}: {one.polygons} of {one.designated}" for name, one in gaps)

    def has_activate_permission(self, request: HttpRequest) -> bool:
        """Moving the pointer needs the right to change versions."""
        return bool(request.user.has_perm("caches.change_dataset"))

    @admin.action(
        description="Answer look-ups from the selected version (roll back)",
        permissions=["activate"],
    )
    def make_active(self, request: HttpRequest, queryset: QuerySet[Dataset]) -> None:
        """Activate exactly one version."""
        chosen = list(queryset[:2])
        if len(chosen) != 1:
            self.message_user(request, "Select one version.", messages.ERROR)
            return
        try:
            pointer = versions.activate(dataset=chosen[0], at=timezone.now())
        except PolystoreError as error:
            self.message_user(request, f"{error.detail} {error.remedy}", messages.ERROR)
            return
        self.log_deed(request, chosen, f"Made it answer (generation {pointer.generation}).")
        self.message_user(
            request,
            f"{chosen[0].version} answers now (generation {pointer.generation}).",
            messages.SUCCESS,
        )


@admin.register(Zone)
class ZoneAdmin(MachineWrittenAdmin[Zone]):
    """Designated tracts, of all versions that are kept."""

    list_display = ("geoid", "state", "county", "tract_type", "has_polygon", "versions")
    list_filter = ("program", ("until", admin.EmptyFieldListFilter), "tract_type", "state")
    search_fields = ("geoid__startswith", "county", "state")
    ordering = ("geoid",)
    exclude = ("geom",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Zone]:
        """Leave the geometry in the database; only whether there is one is shown."""
        zones: QuerySet[Zone] = super().get_queryset(request)
        return zones.defer("geom").annotate(polygon_there=_HAS_POLYGON)

    @admin.display(ordering="since")
    def versions(self, zone: Zone) -> str:
        """Name the versions that it lies in, as they are counted."""
        last = "" if zone.until is None else f" to {zone.until - 1}"
        return f"{zone.program} {zone.since}{last or ' and later'}"

    @admin.display(boolean=True, description="polygon", ordering="polygon_there")
    def has_polygon(self, zone: Any) -> bool:
        """Tell whether the border is known."""
        return bool(zone.polygon_there)


@admin.register(Run)
class RunAdmin(MachineWrittenAdmin[Run]):
    """Seedings and refreshes: how far they are, and what became of them."""

    list_display = (
        "requested_at",
        "program",
        "origin",
        "state",
        "stage",
        "progress",
        "rows_written",
        "ended_at",
        "error",
    )
    list_filter = ("program", "state", "origin")
    ordering = ("-id",)

    @admin.display(description="zones stored")
    def progress(self, run: Run) -> str:
        """Tell how many zones are stored, and how many states are complete."""
        if not run.states:
            return f"{run.done:,} of {run.total:,}" if run.total else "–"
        done = sum(one for one, _ in run.states.values())
        total = sum(total for _, total in run.states.values())
        whole = sum(one == total for one, total in run.states.values())
        return f"{done:,} of {total:,}; {whole} of {len(run.states)} states"


@admin.register(Geocode)
class GeocodeAdmin(EndlessAdmin[Geocode]):
    """Geocoded addresses: that they are there, and until when. Where they lie is not shown."""

    list_before_template = "caches/admin/geocoding.html"
    list_display = ("shown", "status", "quality", "provider", "stored_at", "fresh_until")
    list_filter = ("status", "provider", "quality")
    fields = ("status", "quality", "provider", "times", "stored_at", "fresh_until", "stale_until")
    ordering = ("-stored_at",)

    @admin.display(description="address")
    def shown(self, row: Geocode) -> str:
        """Return the end of the hash that stands for the address."""
        return f"…{row.key[-8:]}"

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Show the figures of geocoding above the list."""
        figures = {"geocoding": geocoding_figures()}
        return super().changelist_view(request, {**figures, **(extra_context or {})})
