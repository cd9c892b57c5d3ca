"""Whether the sign-in with which a stream was opened still counts."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from django.contrib.sessions.middleware import SessionMiddleware
from django.db.utils import Error
from django.http import HttpRequest, HttpResponse

from accounts.sessions import ends
from accounts.sessions.current import names_of_news
from accounts.sessions.middleware import AuthenticationMiddleware
from common.access import SESSION, Access, admit, user_of
from common.errors import PolystoreError
from databases.fallback import is_outage

_ENDED: Final = frozenset({401, 403})


class SignIn:
    """What one stream was opened with. Holds no connection and no request."""

    def __init__(self, request: HttpRequest, access: Access) -> None:
        """Ask who calls, now.

        :raises PolystoreError: as `common.access.admit`.
        """
        self._cookies, self._meta = dict(request.COOKIES), _credentials(request)
        self._access = access
        self._moment = ends.before_reading()
        self._names: tuple[str, ...] = ()
        self.user_id = self._admitted(request)

    def counts_still(self) -> bool:
        """Tell whether nothing was heard of its end, and it would have been. Asks no database.

        Of tokens nobody tells: for them it is never true.
        """
        return bool(self._names) and ends.counts_still(self._moment, *self._names)

    def has_ended(self) -> bool:
        """Ask whether the same credentials would still open the stream.

        While nobody can say, nobody can have ended it either: it goes on.
        """
        moment = ends.before_reading()
        request = HttpRequest()
        request.method, request.COOKIES, request.META = "GET", dict(self._cookies), dict(self._meta)
        SessionMiddleware(_nobody).process_request(request)
        AuthenticationMiddleware(_nobody).process_request(request)
        try:
            self._admitted(request)
        except PolystoreError as error:
            return error.status in _ENDED
        except Error as error:
            if not is_outage(error):
                raise
            return False
        self._moment = moment
        return False

    def _admitted(self, request: HttpRequest) -> UUID:
        # The user of a session is lazy, and holds its request: the id alone is kept.
        identity = admit(request, self._access)
        if identity is None:
            raise TypeError("A stream's access admits nobody unknown.")
        if identity.by == SESSION:
            self._names = names_of_news(request)
        user_id: UUID = user_of(identity).pk
        return user_id


def _credentials(request: HttpRequest) -> dict[str, str]:
    given = request.META.get("HTTP_AUTHORIZATION")
    return {"HTTP_AUTHORIZATION": given} if given else {}


def _nobody(_request: HttpRequest) -> HttpResponse:
    """Stand where the next middleware would: it is never called."""
    raise AssertionError
