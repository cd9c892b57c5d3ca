"""Every role and what it may do: the one place where that is written. Reads like a table.

A role is a group of the same name. Its permissions are written by `accounts.roles.groups` after
every migration, so that a model that comes later has them, too, where the whole app is named here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from common.access import CLOSED_SCOPES, STAFF_SCOPES, USER_SCOPES, Scope

VIEW: Final = ("view",)
EDIT: Final = ("view", "add", "change")
ALL: Final = ("view", "add", "change", "delete")

CLOSED_APPS: Final = frozenset({"compliance"})
"""Apps whose data is closed to everybody whose role does not name them, superusers included (unless
COMPLIANCE_SUPERUSERS says otherwise). Permissions given by hand do not open them."""

May = Mapping[str, Sequence[str]]
"""App (`tracker`) or model (`accounts.user`, in small letters) to what may be done: `view`, `add`,
`change`, `delete`, or a permission's whole codename. A model's entry stands beside its app's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A set of rights that a person has at work."""

    name: str
    """Of the group."""
    purpose: str
    may: May = field(default_factory=dict)
    """In the admin."""
    scopes: frozenset[Scope] = frozenset()
    """In the API, beside those of every user."""
    is_staff: bool = True
    """Whoever has it opens the admin."""


MEMBER: Final = Role(
    name="member",
    purpose="Everybody who signs up: their own rows, on the site's pages and in the API.",
    is_staff=False,
)
SUPPORT: Final = Role(
    name="support",
    purpose="Helps people: finds them and what is theirs, and corrects customers' entries.",
    may={
        "accounts.user": VIEW,
        "accounts.session": ("view", "delete"),
        "customers": ("view", "change"),
        "documents.document": VIEW,
        "documents.documentshare": VIEW,
        "tracker": VIEW,
        "caches": VIEW,
    },
)
ANALYST: Final = Role(
    name="analyst",
    purpose="Reads and keeps figures and bulk rows; sees nobody's own rows.",
    may={
        "analytics": VIEW,
        "analytics.businessmetric": EDIT,
        "caches": VIEW,
        "tracker.standing": VIEW,
        "tracker.pointsday": VIEW,
        "workspace": VIEW,
        "workspace.referencerow": ALL,
    },
)
COMPLIANCE_OFFICER: Final = Role(
    name="compliance officer",
    purpose="Files, publishes legal texts and reads the audit trail. Nobody else does.",
    may={
        "compliance": VIEW,
        "compliance.filing": ALL,
        "compliance.legaldocument": ALL,
        "accounts.user": VIEW,
        "admin.logentry": VIEW,
        "customers": VIEW,
    },
    scopes=CLOSED_SCOPES,
)
OPERATOR: Final = Role(
    name="operator",
    purpose="Runs the site: databases, delivery, schedules, accounts and their sessions.",
    may={
        "accounts": VIEW,
        "accounts.user": EDIT,
        "accounts.session": ("view", "delete"),
        "accounts.client": ALL,
        # To change one is to end it.
        "accounts.authorization": ("view", "change"),
        "accounts.personaltoken": ("view", "change"),
        "admin.logentry": VIEW,
        "analytics": VIEW,
        "auth.group": VIEW,
        "caches": EDIT,
        "customers": EDIT,
        "databases": VIEW,
        "django_celery_beat": ALL,
        "documents.document": VIEW,
        "documents.documentshare": VIEW,
        "documents.documentversion": VIEW,
        "documents.processingresult": VIEW,
        "messaging": VIEW,  # of messages it shows that they are there, not what they say
        "outbox": ("view", "replay_deadletter", "operate_delivery"),
        "outbox.deadletter": ("view", "delete"),
        "outbox.outboxevent": ("view", "delete"),
        "tracker": VIEW,
        "workspace": VIEW,
    },
    scopes=STAFF_SCOPES,
)

ROLES: Final[Mapping[str, Role]] = MappingProxyType(
    {role.name: role for role in (OPERATOR, SUPPORT, ANALYST, COMPLIANCE_OFFICER, MEMBER)}
)
_BASIC: Final = frozenset({"view", "add", "change", "delete"})


def allows(role: Role, *, app_label: str, model: str, codename: str) -> bool:
    """Tell whether a role holds a permission.

    :param model: whose permission it is, in small letters.
    :param codename: e.g. `view_filing`, or `operate_delivery`.
    """
    actions = {*role.may.get(app_label, ()), *role.may.get(f"{app_label}.{model}", ())}
    action, _, of = codename.partition("_")
    return codename in actions or (of == model and action in _BASIC and action in actions)


def names_app(role: Role, app_label: str) -> bool:
    """Tell whether a role may do anything in an app."""
    return any(place.partition(".")[0] == app_label for place in role.may)


def scopes_of_roles(names: Sequence[str], *, is_staff: bool) -> frozenset[Scope]:
    """Return what the API lets people with these roles do.

    Staff without any role of staff count as operators there: so it was before there were roles.
    """
    held = [ROLES[name] for name in names if name in ROLES]
    scopes = USER_SCOPES.union(*(role.scopes for role in held))
    if is_staff and not any(role.is_staff for role in held):
        return scopes | STAFF_SCOPES
    return scopes if is_staff else scopes - STAFF_SCOPES - CLOSED_SCOPES
