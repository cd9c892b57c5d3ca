"""The programs that designate zones: facts of the law."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from caches.models import Program


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramFacts:
    """What is fixed about a program."""

    vintage: int
    """The census year of the tract ids in its list."""
    effective_from: dt.date
    effective_to: dt.date
    designated: int | None
    """How many tracts are designated; None while the list is not final."""


PROGRAMS: Mapping[Program, ProgramFacts] = MappingProxyType(
    {
        Program.OZ1: ProgramFacts(
            vintage=2010,
            effective_from=dt.date(2018, 4, 9),
            effective_to=dt.date(2028, 12, 31),
            designated=8764,
        ),
        Program.OZ2: ProgramFacts(
            vintage=2020,
            effective_from=dt.date(2027, 1, 1),
            effective_to=dt.date(2036, 12, 31),
            designated=None,
        ),
    }
)
