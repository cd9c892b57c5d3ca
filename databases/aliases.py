"""Where every app's rows are declared to live. Pure: settings import it before Django exists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Alias(StrEnum):
    """The named databases that rows live in. Replicas are copies, so they are no homes."""

    DEFAULT = "default"
    CACHE = "cache"
    ANALYTICS = "analytics"
    DOCUMENTS = "documents"
    COMPLIANCE = "compliance"
    DATA = "data"


PRIMARY = Alias.DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasSpec:
    """What is fixed about one database; operators may change the figures by variable or URL."""

    name: str
    """The alias, or `replica` for streaming copies."""
    variables: tuple[str, ...]
    """Environment variables that hold its URL; the first is the one that messages name."""
    prefixes: tuple[str, ...]
    """What `<PREFIX>_POOL_MAX` and the like start with."""
    holds: str
    pool_max: int
    statement_timeout: int
    """Seconds that one statement may take."""
    health_key: str
    """Its key in `/api/health/databases`."""


SPECS: Mapping[str, AliasSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            AliasSpec(
                name="default",
                variables=("DATABASE_URL", "PRIMARY_DATABASE_URL"),
                prefixes=("PRIMARY", "DEFAULT"),
                holds="users, sessions, configuration, customers, messaging, tracker, outbox",
                pool_max=20,
                statement_timeout=30,
                health_key="main",
            ),
            AliasSpec(
                name="cache",
                variables=("CACHE_DATABASE_URL", "CACHE_STORAGE_POSTGRES_URL"),
                prefixes=("CACHE",),
                holds="opportunity zones, geocoding cache",
                pool_max=15,
                statement_timeout=30,
                health_key="cache",
            ),
            AliasSpec(
                name="analytics",
                variables=("ANALYTICS_DATABASE_URL",),
                prefixes=("ANALYTICS",),
                holds="activity events, business and performance metrics",
                pool_max=15,
                statement_timeout=45,
                health_key="analytics",
            ),
            AliasSpec(
                name="documents",
                variables=("DOCUMENTS_DATABASE_URL",),
                prefixes=("DOCUMENTS",),
                holds="documents, versions, shares, processing results",
                pool_max=25,
                statement_timeout=60,
                health_key="documents",
            ),
            AliasSpec(
                name="compliance",
                variables=("COMPLIANCE_DATABASE_URL",),
                prefixes=("COMPLIANCE",),
                holds="filings, legal documents, audit trail",
                pool_max=10,
                statement_timeout=30,
                health_key="compliance",
            ),
            AliasSpec(
                name="data",
                variables=("DATA_DATABASE_URL",),
                prefixes=("DATA",),
                holds="bulk rows: workspace and reference",
                pool_max=15,
                statement_timeout=60,
                health_key="data",
            ),
            AliasSpec(
                name="replica",
                variables=("READ_REPLICA_DATABASE_URL",),
                prefixes=("READ_REPLICA", "REPLICA"),
                holds="streaming copies of the primary",
                pool_max=30,
                statement_timeout=20,
                health_key="readReplica",
            ),
        )
    }
)

HOME_OF_APP: Mapping[str, Alias] = MappingProxyType(
    {
        "caches": Alias.CACHE,
        "analytics": Alias.ANALYTICS,
        "documents": Alias.DOCUMENTS,
        "compliance": Alias.COMPLIANCE,
        "workspace": Alias.DATA,
        # Ours, in the primary
        "accounts": Alias.DEFAULT,
        "customers": Alias.DEFAULT,
        "databases": Alias.DEFAULT,
        "messaging": Alias.DEFAULT,
        "outbox": Alias.DEFAULT,
        "tracker": Alias.DEFAULT,
        # Django's own and third-party apps
        "account": Alias.DEFAULT,  # allauth.account
        "admin": Alias.DEFAULT,
        "auth": Alias.DEFAULT,
        "contenttypes": Alias.DEFAULT,
        "django_celery_beat": Alias.DEFAULT,
        "mfa": Alias.DEFAULT,  # allauth.mfa
        "oauth2_provider": Alias.DEFAULT,
        "sessions": Alias.DEFAULT,
        "sites": Alias.DEFAULT,
        "socialaccount": Alias.DEFAULT,
    }
)

REPLICA_READERS = frozenset({"customers", "messaging", "tracker"})
"""Apps whose reads may go to a replica. For all others a stale row would be a fault of security
(accounts, sessions, OAuth) or of delivery (outbox), so that they are left out by default."""


def declared_home(app_label: str) -> Alias:
    """Return the alias where the rows of `app_label` are declared to live.

    An app that nobody declared lives in the primary; the check `databases.E004` names it.
    """
    return HOME_OF_APP.get(app_label, PRIMARY)


def is_replica(alias: str) -> bool:
    """Tell whether `alias` names a streaming copy: `replica`, `replica_2`, `cache_replica` …"""
    return primary_of(alias) != alias


def primary_of(alias: str) -> str:
    """Return the alias that `alias` is a copy of, or `alias` itself where it is no copy."""
    head, found, tail = alias.rpartition("replica")
    if not found or not (tail == "" or (tail[0] == "_" and tail[1:].isdigit())):
        return alias
    owner = head.rstrip("_")
    return owner or PRIMARY.value
