"""Who keeps what of people. Apps register; accounts knows none of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

LEAVING: Final = "leaving"
"""The aggregate type of users who leave."""

Rows = Callable[[UUID], Iterable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaver:
    """Somebody who is to be forgotten."""

    user_id: UUID
    addresses: tuple[str, ...]
    """Every address that was theirs, in small letters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """An app that keeps something of people."""

    app_label: str
    sections: Mapping[str, Rows] = field(default_factory=dict)
    """Name of a part of the export to what reads its rows, a few at a time, with values that
    Django's JSON encoder takes. Secrets and hashes are left out."""
    forget: Callable[[Leaver], None] | None = None
    """Deletes or makes nameless what the app keeps, in small transactions of its own database.
    Told again after a failure, so it must not mind what is gone already. What the law wants kept
    stays, and the guide says what that is."""


_holders: dict[str, Holder] = {}


def keep(holder: Holder) -> None:
    """Note what an app keeps; the same app again replaces it."""
    _holders[holder.app_label] = holder


def holders() -> Sequence[Holder]:
    """Return every app that keeps something, by its label."""
    return [_holders[label] for label in sorted(_holders)]


def holder_of(app_label: str) -> Holder | None:
    """Return what this app keeps."""
    return _holders.get(app_label)


def forgetful() -> frozenset[str]:
    """Return the apps that have something to forget."""
    return frozenset(label for label, holder in _holders.items() if holder.forget is not None)
