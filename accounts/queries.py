"""What other apps may know of users. Read from the primary, never a replica."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db.models import F, Func, Q, TextField, Value
from django.db.models.functions import Concat

from accounts.models import User
from common.errors import PolystoreError
from common.pagination import KeysetPage, page_of

NOBODY: Final = "Somebody"
"""How people are shown that gave no name: a part of their address is nobody's business."""
_APART: Final = " -_.,;:'\"’()/&+\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u1680\u2028\u2029"
"""What stands between words: also what Python splits at and NFKD leaves as it is."""
_FROM: Final = f"{_APART}ς"
_TO: Final = f"{' ' * len(_APART)}σ"
"""The small sigma is one letter: Python ends words with ς when it makes them small, servers do not.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What anybody who is signed in may know of a user."""

    id: UUID
    name: str
    search_name: str
    """The name without accents, in small letters, words apart by single blanks."""
    is_active: bool


class UserNotFound(PolystoreError):
    """There is no such user, or they are gone already."""

    code, status, title = "accounts.user_not_found", 404, "No such user"
    remedy = "Check the id; the account may have been deleted."


class Folded(Func):
    """Without accents, in small letters, punctuation as blanks: what names are compared by.

    `fold` does the same to what people type. Only marks that sit on letters of Latin, Greek and
    Cyrillic (U+0300 … U+036F) are left out: elsewhere they are letters of their own.
    """

    arity = 1
    output_field = TextField()
    template = (
        "btrim(regexp_replace(translate(lower(regexp_replace("
        "normalize(%(expressions)s, NFKD), '[\u0300-\u036f]', '', 'g')), '{old}', '{new}'), "
        "' +', ' ', 'g'))"
    ).format(old=_FROM.replace("'", "''"), new=_TO)

    def as_cockroachdb(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Leave accents as they are, where the database cannot take them apart."""
        return self.as_sql(compiler, connection, template="lower(%(expressions)s)", **context)


def fold(text: str) -> str:
    """Return what `Folded` makes of `text`."""
    plain = "".join(
        letter
        for letter in unicodedata.normalize("NFKD", text)
        if not "\u0300" <= letter <= "\u036f"
    )
    return " ".join(plain.lower().translate(str.maketrans(_FROM, _TO)).split())


def people(*, ids: Iterable[UUID]) -> Mapping[UUID, Person]:
    """Return the users of these ids; unknown ones are missing."""
    return {person.id: person for person in _people(User.objects.filter(pk__in=list(ids)))}


def person(*, user_id: UUID) -> Person:
    """Return what anybody who is signed in may know of one user.

    :raises UserNotFound: where there is no such user.
    """
    found = people(ids=[user_id]).get(user_id)
    if found is None:
        raise UserNotFound("There is no user with this id.")
    return found


def user_for_staff(*, user_id: UUID) -> User:
    """Return a user as operators see it.

    :raises UserNotFound: where there is no such user.
    """
    found: User | None = User.objects.filter(pk=user_id).first()
    if found is None:
        raise UserNotFound("There is no user with this id.")
    return found


def users_for_staff(
    *, text: str, active: bool | None, cursor: str | None, limit: int
) -> KeysetPage[User]:
    """Return users as operators see them, the newest first.

    :param text: part of an address or a name; "" finds all.
    """
    rows = User.objects.all()
    if active is not None:
        rows = rows.filter(is_active=active)
    for word in text.split():
        rows = rows.filter(
            Q(email__icontains=word) | Q(first_name__icontains=word) | Q(last_name__icontains=word)
        )
    return page_of(rows, cursor=cursor, limit=limit, by=("date_joined", "id"))


def find_people(
    *,
    words: Sequence[str],
    without: Iterable[UUID],
    after: tuple[str, UUID] | None,
    limit: int,
) -> Sequence[Person]:
    """Return active users in whose name each of `words` begins a word, by name.

    :param words: folded ones, at least one.
    :param without: who is not to be found.
    :param after: `search_name` and id of the last one of the page before.
    """
    rows = _folded(User.objects.active()).exclude(pk__in=list(without))
    for word in words:
        rows = rows.filter(Q(_folded__startswith=word) | Q(_folded__contains=f" {word}"))
    if after is not None:
        name, last = after
        rows = rows.filter(Q(_folded__gt=Value(name)) | Q(_folded=name, pk__gt=last))
    return _people(rows.order_by("_folded", "pk")[:limit])


class _Bytewise(Func):
    """Sorts as MongoDB does, whatever the language of the database."""

    function = ""
    template = '(%(expressions)s) COLLATE "C"'
    output_field = TextField()


def _folded(rows: Any) -> Any:
    return rows.annotate(
        _folded=_Bytewise(Folded(Concat(F("first_name"), Value(" "), F("last_name"))))
    )


def _people(rows: Any) -> list[Person]:
    if "_folded" not in rows.query.annotations:
        rows = _folded(rows)
    found = rows.values_list("pk", "first_name", "last_name", "is_active", "_folded")
    return [
        Person(
            id=pk,
            name=f"{first} {last}".strip() or NOBODY,
            search_name=folded,
            is_active=active,
        )
        for pk, first, last, active, folded in found
    ]
