"""Who may call an operation: declared beside it, enforced in one place.

Every operation of the API carries exactly one of `public`, `signed_in(scope)` and `staff(scope)`;
the site refuses to start while one does not::

    @router.get("/status", response=StatusAnswer)
    @signed_in("zones:read")
    def status(request: HttpRequest) -> ...

How a caller is recognised (session, bearer token) is composed in settings:
`AUTHENTICATORS` lists functions by their dotted path, each taking a request and returning an
`Identity`, or None where it does not recognise the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string

from common.errors import PolystoreError

if TYPE_CHECKING:  # its module defines models, which cannot be imported before apps are ready
    from django.contrib.auth.base_user import AbstractBaseUser

View = TypeVar("View", bound=Callable[..., Any])

_ATTRIBUTE: Final = "polystore_access"
_REMEMBERED: Final = "_polystore_identity"
SESSION: Final = "session"
"""What `Identity.by` says of a browser in which somebody signed in."""


class Scope(StrEnum):
    """What a caller may be allowed to do. A token holds some; a session, all that its user may."""

    USERS_READ = "users:read"
    USERS_WRITE = "users:write"
    MESSAGES_READ = "messages:read"
    MESSAGES_WRITE = "messages:write"
    TRACKER = "tracker"
    DOCUMENTS = "documents"
    CUSTOMERS = "customers"
    ANALYTICS = "analytics"
    COMPLIANCE = "compliance"
    IMPORTS = "imports"
    ZONES_READ = "zones:read"
    ZONES_WRITE = "zones:write"
    OPERATIONS = "operations"
    BACKUPS = "backups"
    ADMIN = "admin"


STAFF_SCOPES: Final = frozenset({Scope.OPERATIONS, Scope.BACKUPS, Scope.ADMIN, Scope.ZONES_WRITE})
"""Scopes that only staff can hold, by session or by token."""
CLOSED_SCOPES: Final = frozenset({Scope.COMPLIANCE})
"""Scopes that neither members nor superusers hold, but those alone whose role names them."""
ALL_SCOPES: Final = frozenset(Scope)
USER_SCOPES: Final = ALL_SCOPES - STAFF_SCOPES - CLOSED_SCOPES


def known_scopes(names: Iterable[str]) -> frozenset[Scope]:
    """Return these scopes; names that mean nothing (any more) are left out."""
    wanted = set(names)
    return frozenset(scope for scope in Scope if scope.value in wanted)


class Kind(StrEnum):
    """How much an operation asks of its caller."""

    PUBLIC = "public"
    SIGNED_IN = "signed in"
    STAFF = "staff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What one operation asks of its caller."""

    kind: Kind
    scope: Scope | None = None
    """None for public operations only."""
    in_person: bool = False
    """Tokens do not do, whatever they hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A caller that an authenticator recognised."""

    user: AbstractBaseUser | None
    """None for machines, such as the collector of metrics."""
    scopes: frozenset[Scope]
    is_staff: bool
    by: str
    """Which authenticator recognised the caller, e.g. `session`."""


Authenticator = Callable[[HttpRequest], Identity | None]


class SignInNeeded(PolystoreError):
    """The operation is not public and no authenticator recognised the caller."""

    code, status, title = "access.sign_in_needed", 401, "Sign-in needed"
    remedy = "Sign in, or send a valid token as `Authorization: Bearer …`."


class StaffOnly(PolystoreError):
    """The caller is known, but is no member of staff."""

    code, status, title = "access.staff_only", 403, "For staff only"
    remedy = "Ask a member of staff, or use an account that is one."


class ScopeMissing(PolystoreError):
    """The caller is known, but its token or account lacks the scope of the operation."""

    code, status, title = "access.scope_missing", 403, "Scope missing"
    remedy = "Use a token that holds the scope named in `scope`."

    @property
    def challenge(self) -> str:
        """Name the scope as RFC 6750 has it."""
        scope = self.extensions.get("scope", "")
        return f'Bearer realm="polystore", error="insufficient_scope", scope="{scope}"'


class TokenRefused(PolystoreError):
    """The request carries a token that is unknown, expired or ended."""

    code, status, title = "access.token_refused", 401, "The token is not valid"
    remedy = "Get a new token; expired, revoked and unknown ones are refused alike."

    @property
    def challenge(self) -> str:
        """Say that it is the token, as RFC 6750 has it."""
        return 'Bearer realm="polystore", error="invalid_token"'


class InPersonOnly(PolystoreError):
    """The operation is not for programs that hold a token."""

    code, status, title = "access.in_person_only", 403, "Not with a token"
    remedy = "Sign in with a browser; no token opens this."


class UserNeeded(PolystoreError):
    """The caller is a machine, and the operation is about its user."""

    code, status, title = "access.user_needed", 403, "A user is needed"
    remedy = "Use a token of a user, or have an operator set whom the client acts as."


def public(view: View) -> View:
    """Let everybody call this operation."""
    return _mark(view, Access(kind=Kind.PUBLIC))


def signed_in(scope: str, *, in_person: bool = False) -> Callable[[View], View]:
    """Let callers call this operation that are recognised and hold `scope`.

    :param in_person: only with a session; a token that makes tokens would outlive its end.
    :raises ValueError: when `scope` is not in the vocabulary `Scope`.
    """
    access = Access(kind=Kind.SIGNED_IN, scope=Scope(scope), in_person=in_person)
    return lambda view: _mark(view, access)


def staff(scope: str) -> Callable[[View], View]:
    """Let members of staff (or machines that count as such) call this operation with `scope`.

    :raises ValueError: when `scope` is not in the vocabulary `Scope`.
    """
    access = Access(kind=Kind.STAFF, scope=Scope(scope))
    return lambda view: _mark(view, access)


def access_of(view: Callable[..., Any]) -> Access | None:
    """Return what `view` declared, or None where nobody declared anything."""
    found = getattr(view, _ATTRIBUTE, None)
    return found if isinstance(found, Access) else None


def identify(request: HttpRequest) -> Identity | None:
    """Return who calls, or None for a stranger. Asked once per request.

    Use it in public operations that tell staff more. May query the session's database.

    :raises PolystoreError: when an authenticator refuses the caller, e.g. a wrong CSRF token.
    """
    if not hasattr(request, _REMEMBERED):
        setattr(request, _REMEMBERED, _first(request, _authenticators()))
    identity: Identity | None = getattr(request, _REMEMBERED)
    return identity


def admit(request: HttpRequest, access: Access) -> Identity | None:
    """Let the caller in or raise. None stands for a stranger at a public operation.

    :raises SignInNeeded: 401, nobody recognised the caller.
    :raises InPersonOnly: 403.
    :raises StaffOnly: 403.
    :raises ScopeMissing: 403.
    """
    if access.kind is Kind.PUBLIC:
        return None
    identity = identify(request)
    if identity is None:
        raise SignInNeeded
    if access.in_person and identity.by != SESSION:
        raise InPersonOnly
    if access.kind is Kind.STAFF and not identity.is_staff:
        raise StaffOnly
    if access.scope is None or access.scope not in identity.scopes:
        raise ScopeMissing(scope=str(access.scope))
    return identity


def user_of(identity: Identity) -> AbstractBaseUser:
    """Return the user who calls.

    :raises UserNeeded: 403, for a machine that acts as nobody.
    """
    if identity.user is None:
        raise UserNeeded
    return identity.user


def user_id_of(request: HttpRequest) -> UUID:
    """Return the id of the user who calls an operation of the API.

    :raises UserNeeded: 403, for a machine that acts as nobody.
    """
    identity: Identity = request.auth  # type: ignore[attr-defined]  # ninja's
    key: UUID = user_of(identity).pk
    return key


def guarded(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Guard a plain Django view by what it declared; the API's operations have their own gate.

    :raises ValueError: when the view declares nothing.
    """
    access = access_of(view)
    if access is None:
        raise ValueError(f"{view.__qualname__} does not declare who may call it.")

    @wraps(view)
    def gate(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        admit(request, access)  # what it raises becomes an answer in common.middleware.errors
        return view(request, *args, **kwargs)

    return gate


def _mark(view: View, access: Access) -> View:
    if access_of(view) is not None:
        raise ValueError(f"{view.__qualname__} declares its access twice.")
    setattr(view, _ATTRIBUTE, access)
    return view


def _first(request: HttpRequest, authenticators: Iterable[Authenticator]) -> Identity | None:
    return next((found for ask in authenticators if (found := ask(request))), None)


def _authenticators() -> Iterable[Authenticator]:
    # import_string looks a loaded module up; nothing is cached, so that tests may override it.
    return (import_string(name) for name in settings.AUTHENTICATORS)
