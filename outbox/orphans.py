"""Children of loose keys whose parent is gone: what no event told of, or came too late.

Rows loaded from a backup, parents emptied by TRUNCATE or deleted on CockroachDB, children that
were added after their parent's deletion had been applied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.db.utils import Error

from common.errors import PolystoreError
from databases.fallback import is_outage
from databases.loose import KEEP, LooseForeignKey, declared_keys
from databases.placement import alias_of
from outbox import loose_keys
from outbox.loose_keys import apply_to, still_there

AT_ONCE: Final = 2_000
"""Children that are read and compared at a time."""
EXAMPLES: Final = 5


class NoSuchKey(PolystoreError):
    """A name that is no loose key."""

    code = "outbox.no_such_loose_key"
    title = "No such loose key"
    remedy = "Name it as APP.MODEL.FIELD."


@dataclass(slots=True, kw_only=True)
class Found:
    """What was found of one loose key."""

    key: str
    parent: str
    rule: str
    checked: int = 0
    """Children that name a parent."""
    orphans: int = 0
    """Those whose parent is gone."""
    repaired: int = 0
    examples: list[str] = field(default_factory=list)
    """Keys of some orphans."""
    unavailable: str = ""
    """The kind of error, where a database did not answer."""

    @property
    def is_finding(self) -> bool:
        """Whether somebody has to act: what the rule keeps is as it should be."""
        if self.unavailable:
            return True
        return self.rule != KEEP and self.orphans > self.repaired


def keys_named(names: Sequence[str]) -> list[LooseForeignKey]:
    """Return the loose keys of these names, or all.

    :param names: APP.MODEL.FIELD each, in small or capital letters.
    :raises NoSuchKey: for another name, saying which there are.
    """
    known = {name_of(key).lower(): key for key in declared_keys()}
    for name in names:
        if name.lower() not in known:
            listed = ", ".join(sorted(map(name_of, known.values())))
            raise NoSuchKey(f"There is no loose key {name!r}. Loose keys: {listed}.")
    chosen = dict.fromkeys(name.lower() for name in names) if names else sorted(known)
    return [known[name] for name in chosen]


def name_of(key: LooseForeignKey) -> str:
    """Return APP.MODEL.FIELD."""
    return f"{key.model._meta.label}.{key.name}"


def find(key: LooseForeignKey, *, repair: bool = False) -> Found:
    """Compare all children with the primary, a page of keys at a time.

    :param repair: apply the field's rule to what is found.
    """
    found = Found(key=name_of(key), parent=key.parent._meta.label, rule=key.on_parent_delete.value)
    try:
        for children in _pages(key):
            # Read after the children, so a parent that is missing is not merely new.
            there = still_there(key.parent, {parent for _, parent in children})
            orphans = [(child, parent) for child, parent in children if parent not in there]
            found.checked += len(children)
            found.orphans += len(orphans)
            room = EXAMPLES - len(found.examples)
            found.examples += [str(child) for child, _ in orphans[:room]]
            if repair and orphans:
                _repair(key, orphans, found)
    except Error as error:
        if not is_outage(error):
            raise
        found.unavailable = type(error).__name__
    return found


def _repair(key: LooseForeignKey, orphans: Sequence[tuple[Any, Any]], found: Found) -> None:
    if key.on_parent_delete is KEEP:
        return
    for start in range(0, len(orphans), loose_keys.AT_ONCE):
        some = orphans[start : start + loose_keys.AT_ONCE]
        apply_to(key, [child for child, _ in some], {parent for _, parent in some})
        found.repaired += len(some)


def _pages(key: LooseForeignKey) -> Iterator[list[tuple[Any, Any]]]:
    """Yield (key, parent's id) of all children that name a parent, in the order of their keys."""
    rows = key.model._base_manager.using(alias_of(key.model._meta.app_label))
    named = rows.filter(**{f"{key.name}__isnull": False}).order_by("pk")
    page = list(named.values_list("pk", key.name)[:AT_ONCE])
    while page:
        yield page
        page = list(named.filter(pk__gt=page[-1][0]).values_list("pk", key.name)[:AT_ONCE])
