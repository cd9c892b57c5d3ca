"""Which shape each collection was built in, and whether its projection asks for another by now."""

from __future__ import annotations

from collections.abc import Mapping

from outbox import registry
from outbox.models import ProjectionState
from outbox.registry import Projection


def fault_of(projection: Projection) -> str:
    """Return what is wrong with the shape of its documents, for people, or "".

    A projection that nobody knew is taken to be of the present shape: its documents are written
    from now on.
    """
    return faults([projection]).get(projection.name, "")


def faults(projections: list[Projection] | None = None) -> dict[str, str]:
    """Return what is wrong, by projection, in one query; notes those that nobody knew."""
    wanted = list(registry.projections()) if projections is None else projections
    known = {
        state.projection: state
        for state in ProjectionState.objects.filter(
            projection__in=[projection.name for projection in wanted]
        )
    }
    new = [projection for projection in wanted if projection.name not in known]
    if new:
        ProjectionState.objects.bulk_create(
            [ProjectionState(projection=one.name, schema=one.schema) for one in new],
            ignore_conflicts=True,
        )
    return {
        one.name: _fault(one, known[one.name].schema)
        for one in wanted
        if one.name in known and known[one.name].schema != one.schema
    }


def faults_in(built: Mapping[str, int]) -> dict[str, str]:
    """Return what is wrong, by projection, given the shapes that collections were built in."""
    return {
        one.name: _fault(one, built[one.name])
        for one in registry.projections()
        if one.name in built and built[one.name] != one.schema
    }


def _fault(projection: Projection, built: int) -> str:
    return (
        f"built in shape {built}, and the code writes {projection.schema}: run "
        f"manage.py outbox replay --projection {projection.name} --rebuild"
    )
