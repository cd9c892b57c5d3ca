"""Which statements change rows: told from the SQL and the server's command tag. Pure.

Whoever changed rows reads from the primary for a while, so a missed write shows somebody stale
rows, and a false alarm only costs the replica a read. Where the text leaves a doubt it counts as
a write. The text is cut into parts (PostgreSQL manual, 4.1 "Lexical Structure"), so that strings,
comments and quoted names are no verbs and no calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

from databases.backend.functions import HARMLESS_FUNCTIONS, KEYWORDS_BEFORE_PARENTHESES

LONGEST_REMEMBERED = 10_000
"""Characters of the longest statement whose answer is kept in memory."""

READING_VERBS = frozenset(
    {"select", "with", "values", "table", "show", "set", "reset", "begin", "start", "commit", "end"}
    | {"rollback", "abort", "savepoint", "release", "explain", "fetch", "move", "close", "declare"}
    | {"discard", "listen", "unlisten", "notify", "prepare", "deallocate", "lock", "analyze"}
    | {"vacuum", "checkpoint", "copy"}
)
"""Verbs, and first words of command tags, that by themselves change no row."""
CHANGING_VERBS = frozenset({"insert", "update", "delete", "merge"})
CTE_BODIES = frozenset({"select", "with", "values", "table", "(", *CHANGING_VERBS})

_TOKEN = re.compile(
    r"""
      --[^\n]* | /\*.*?\*/                                # comments
    | (?P<text>[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    | (?P<quoted>"(?:[^"]|"")*")
    | (?P<parameter>%\(\w+\)[sbt] | %[sbt])               # psycopg's placeholders
    | (?P<word>[^\W\d][\w$]*)
    | (?P<mark>\S)
    """,
    re.VERBOSE | re.DOTALL,
)


def changes_rows(query: str, tag: str) -> bool:
    """Tell whether a statement that succeeded may have changed rows.

    :param query: its SQL.
    :param tag: the server's command tag (PostgreSQL manual, 55.7 "CommandComplete"), such as
        `UPDATE 0` or `SELECT 3`.

    A tag with the count 0 changed nothing by itself, so that a get_or_create which found its row,
    or an update that met none, pins nobody. What the tag hides is looked for in the text, once
    per text: data-modifying WITH queries, functions that are not known to be harmless, and
    further statements behind a semicolon.
    """
    verb, _, rest = tag.partition(" ")
    verb = verb.lower()
    if verb not in READING_VERBS and verb and not _counted_none(rest):
        return True
    if verb == "copy" and _counted_none(rest):
        return False
    if len(query) > LONGEST_REMEMBERED:
        return _may_write(query)
    return _may_write_remembered(query)


def _counted_none(rest: str) -> bool:
    return rest == "0" or rest.endswith(" 0")


def _may_write(query: str) -> bool:
    statements = list(_statements(_parts_of(query)))
    # The tag of a lone INSERT, UPDATE, DELETE or MERGE said that it met no row. Of several
    # statements only one tag is seen, so their verbs count.
    alone = len(statements) == 1
    return any(_statement_may_write(parts, alone=alone) for parts in statements)


_may_write_remembered = lru_cache(maxsize=4096)(_may_write)


def _parts_of(query: str) -> Iterator[str]:
    """Yield words in lower case, quoted names as they are, `'` for a string, and marks."""
    for match in _TOKEN.finditer(query):
        kind = match.lastgroup
        if kind == "word":
            yield match.group().lower()
        elif kind in {"quoted", "mark"}:
            yield match.group()
        elif kind is not None:
            yield "'"


def _statements(parts: Iterator[str]) -> Iterator[list[str]]:
    statement: list[str] = []
    for part in parts:
        if part != ";":
            statement.append(part)
        elif statement:
            yield statement
            statement = []
    if statement:
        yield statement


def _statement_may_write(parts: Sequence[str], *, alone: bool) -> bool:
    verb = next((part for part in parts if part != "("), "")
    if verb in CHANGING_VERBS:
        return not alone or _hides_a_write(parts)
    if verb not in READING_VERBS:
        return True
    if verb == "explain":
        analyzed = "analyze" in parts[:8] or "analyse" in parts[:8]
        return analyzed and (bool(CHANGING_VERBS & set(parts)) or _hides_a_write(parts))
    if verb == "copy" and _copies_in(parts):
        return True
    return verb != "prepare" and _hides_a_write(parts)


def _copies_in(parts: Sequence[str]) -> bool:
    """Tell `COPY … FROM` from `COPY … TO`."""
    depth = 0
    for part in parts:
        depth += (part == "(") - (part == ")")
        if depth == 0 and part in {"from", "to"}:
            return part == "from"
    return True


def _hides_a_write(parts: Sequence[str]) -> bool:
    """Tell whether a WITH query changes rows, or a function is called that may do so."""
    depth = 0
    for before, part in pairwise(["", *parts]):
        depth += (part == "(") - (part == ")")
        if depth > 0 and before in {"(", ")"} and part in CHANGING_VERBS:
            return True
        if part == "into" and before not in CHANGING_VERBS:
            return True
    return any(
        part == "(" and _may_be_a_writing_call(parts, at) for at, part in enumerate(parts) if at
    )


def _may_be_a_writing_call(parts: Sequence[str], at: int) -> bool:
    """Judge the name before the parenthesis at `at`."""
    name = parts[at - 1]
    quoted = name.startswith('"')
    if not quoted and not (name[0].isalpha() or name[0] == "_"):
        return False
    before = parts[at - 2] if at > 1 else ""
    if before == ".":
        return not (parts[at - 3 : at - 2] == ["pg_catalog"] and _is_harmless(name))
    if before in {"as", "copy", "into", "tablesample"} or (
        not quoted and name in KEYWORDS_BEFORE_PARENTHESES
    ):
        return False  # Columns of an alias or of a table, a subquery, a type with its length.
    return not _is_harmless(name) and not _names_a_with_query(parts, at)


def _is_harmless(name: str) -> bool:
    return name.strip('"') in HARMLESS_FUNCTIONS


def _names_a_with_query(parts: Sequence[str], at: int) -> bool:
    """Tell `name (columns) AS (SELECT …` from a call."""
    depth = 0
    for place in range(at, len(parts)):
        depth += (parts[place] == "(") - (parts[place] == ")")
        if depth == 0:
            behind = [word for word in parts[place + 1 : place + 6] if word != "not"]
            if behind[1:2] == ["materialized"]:
                del behind[1]
            return behind[:2] == ["as", "("] and behind[2:3] != [] and behind[2] in CTE_BODIES
    return False
