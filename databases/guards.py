"""Nothing crosses databases silently: judged statement by statement, on declared homes.

On a laptop where one database serves every alias, a join across homes works and a transaction
over two homes commits; after the split the join finds nothing and half of the transaction stays.
So each statement is looked at before it runs, and what production would break is refused where
developers see it (see `databases.crossings` for how).
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS

from databases import placement
from databases.aliases import PRIMARY, declared_home
from databases.crossings import CrossesDatabases, allow_cross_database, is_allowed, object_to
from databases.transactions import in_transaction, open_transactions, real_blocks

if TYPE_CHECKING:
    from databases.backend.wrapper import WatchedWrapper

__all__ = [
    "BareAtomic",
    "CrossesDatabases",
    "JoinCrossesHomes",
    "TransactionCrossesHomes",
    "WrongDatabase",
    "allow_cross_database",
    "examine",
]

LONGEST_REMEMBERED = 4_000
"""Characters of the longest statement whose facts are kept in memory."""
MOST_HARMLESS = 4096

_TOKEN = re.compile(
    r"""
      --[^\n]* | /\*.*?\*/                                                  # comments
    | [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$   # texts
    | "(?P<quoted>(?:[^"]|"")*)"
    | (?P<word>[^\W\d][\w$]*)
    | (?P<end>;)
    """,
    re.VERBOSE | re.DOTALL,
)
_CHANGING = frozenset({"insert", "update", "delete", "merge"})
_NOT_A_VERB_AFTER = frozenset({"for", "key", "do", "on"})
"""FOR UPDATE, FOR NO KEY UPDATE, ON CONFLICT DO UPDATE, ON DELETE."""
_DECORATED = contextlib.__file__


class JoinCrossesHomes(CrossesDatabases):
    """One statement names tables of apps that live in different databases."""

    code = "databases.join_crosses_homes"
    remedy = (
        "Query each database by itself: fetch the ids from one, then filter(pk__in=list(ids)) on "
        "the other. Where it must be, use allow_cross_database(reason=...)."
    )


class WrongDatabase(CrossesDatabases):
    """A statement on tables of an app runs on a database where the app does not live."""

    code = "databases.wrong_database"
    remedy = (
        "Leave .using() out, so that the router chooses, or take the alias from "
        "router.db_for_write(Model). Where it must be, use allow_cross_database(reason=...)."
    )


class TransactionCrossesHomes(CrossesDatabases):
    """Changes of apps with different homes happen inside one transaction."""

    code = "databases.transaction_crosses_homes"
    remedy = (
        "Commit one, and tell the other by an event, or afterwards with "
        "databases.transactions.after_commit. Where it must be, use "
        "allow_cross_database(reason=...)."
    )


class BareAtomic(CrossesDatabases):
    """`transaction.atomic()` without an alias guards the primary, not the app's database."""

    code = "databases.bare_atomic"

    def __init__(self, app_label: str) -> None:
        """Name the app whose rows are not protected."""
        super().__init__(
            f"Rows of {app_label} change inside transaction.atomic() without an alias, which "
            "opens a transaction on the primary only."
        )
        self.remedy = (
            f"Use databases.transactions.atomic_for({app_label!r}). Where it must be, use "
            "allow_cross_database(reason=...)."
        )


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a statement says about apps."""

    labels: tuple[str, ...]
    homes: tuple[str, ...]
    changes: bool
    empties: bool
    """TRUNCATE, by which `flush` empties all that a database holds at once."""


def examine(wrapper: WatchedWrapper, query: str) -> None:
    """Look at one statement before it runs on `wrapper`'s database.

    :raises CrossesDatabases: one of its kinds, where the guard raises.
    :raises databases.placement.PlacedElsewhere: when the app's rows live on an unused alias.
    """
    facts = _remembered(query) if len(query) <= LONGEST_REMEMBERED else _facts(query)
    if facts is None or is_allowed():
        return
    if len(facts.homes) > 1 and not facts.empties:
        apart = _listed(facts.labels)
        object_to(JoinCrossesHomes(f"One statement names tables of {apart}, which live apart."))
        return
    here = wrapper.primary
    for label in facts.labels:
        if here != placement.alias_of(label) and (
            facts.changes or not placement.has_left_rows(label, on=here)
        ):
            object_to(WrongDatabase(f"A statement on {label} runs on {wrapper.alias!r}."))
            return
    if facts.changes and len(facts.homes) == 1:
        _examine_change(wrapper, facts)


harmless: defaultdict[str, set[str]] = defaultdict(set)
"""By primary: texts of statements that only read, and only rows that live there. Nobody needs to
look at them again until an app moves."""


def note_reading(wrapper: WatchedWrapper, query: str) -> None:
    """Remember a statement that changed nothing, if nothing in its text can ever be objected to."""
    known = harmless[wrapper.primary]  # Before judging: a move meanwhile puts a new set in place.
    if len(query) > LONGEST_REMEMBERED:
        return
    facts = _remembered(query)
    if facts is not None and (
        facts.changes
        or len(facts.homes) > 1
        or any(placement.alias_of(label) != wrapper.primary for label in facts.labels)
    ):
        return
    if len(known) >= MOST_HARMLESS:
        known.clear()
    known.add(query)


placement.when_changed(harmless.clear)


def forget_statements() -> None:
    """Forget what was learned of statements, when models come or go (tests)."""
    harmless.clear()
    _remembered.cache_clear()
    _tables.cache_clear()


def _examine_change(wrapper: WatchedWrapper, facts: _Facts) -> None:
    """Judge a statement that changes rows by the transactions that are open."""
    held = open_transactions()
    if not held:
        return
    home = facts.homes[0]
    # A connection in a transaction answers for what it changes until that is committed; all
    # others learn of it then, or now where it commits at once.
    homes = {home, *(known for one in held for known in one.changed.about(_outermost(one)))}
    if len(homes) > 1:
        object_to(TransactionCrossesHomes(f"One transaction changes rows on {_listed(homes)}."))
    elif home != PRIMARY and any(_is_bare(block) for one in held for block in real_blocks(one)):
        object_to(BareAtomic(facts.labels[0]))
    for one in [wrapper] if in_transaction(wrapper) else held:
        one.changed.add([home], within=_outermost(one))


def note_commit(wrapper: WatchedWrapper, homes: Iterable[str]) -> None:
    """Let the transactions that are still open in this thread know what another one committed."""
    for one in open_transactions():
        if one is not wrapper:
            one.changed.add(homes, within=_outermost(one))


def _outermost(wrapper: Any) -> object:
    blocks = real_blocks(wrapper)
    return blocks[0] if blocks else None


def _is_bare(block: Any) -> bool:
    """Tell whether nobody chose the database of an `atomic` block."""
    if block.using is None:
        return True
    # `@transaction.atomic` names the primary itself, which an explicit alias may do as well.
    return block.using == DEFAULT_DB_ALIAS and any(
        frame.f_locals.get("self") is block for frame in _decorators()
    )


def _decorators() -> Iterator[Any]:
    """Yield the frames in which a decorated function is being called."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_name == "inner" and frame.f_code.co_filename == _DECORATED:
            yield frame


def _facts(query: str) -> _Facts | None:
    """Return what a statement says about apps, or None where it names no table of theirs."""
    # Rows of placeholders make the longest statements, and say nothing.
    statements = list(_statements(query.replace("%s", "")))
    tables = _tables()
    labels = {tables[word] for words in statements for word in words if word in tables}
    if not labels:
        return None
    return _Facts(
        labels=tuple(sorted(labels)),
        homes=tuple(sorted({declared_home(label).value for label in labels})),
        changes=any(_changes(words) for words in statements),
        empties=all(words[0] == "truncate" for words in statements),
    )


_remembered = lru_cache(maxsize=4096)(_facts)


def _statements(query: str) -> Iterator[list[str]]:
    """Yield the words of each statement, in lower case, without comments and texts."""
    words: list[str] = []
    for match in _TOKEN.finditer(query):
        kind = match.lastgroup
        if kind in {"word", "quoted"}:
            words.append(match[kind].lower())
        elif kind == "end" and words:
            yield words
            words = []
    if words:
        yield words


def _changes(words: list[str]) -> bool:
    verb = words[0]
    if verb == "copy":
        return "stdout" not in words
    if verb != "with":
        return verb in _CHANGING or verb == "truncate"
    return any(
        word in _CHANGING and before not in _NOT_A_VERB_AFTER for before, word in pairwise(words)
    )


@lru_cache(maxsize=1)
def _tables() -> dict[str, str]:
    return {
        model._meta.db_table.lower(): model._meta.app_label
        for model in apps.get_models(include_auto_created=True)
        if not model._meta.proxy
    }


def _listed(names: Iterable[str]) -> str:
    return " and ".join(sorted(names))
