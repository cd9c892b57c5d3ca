"""DATABASE_ROUTERS: every app's rows in its own database, reads on replicas where that is safe."""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.db.models import Model

from databases import causality, placement, replica
from databases.aliases import PRIMARY, REPLICA_READERS, declared_home, is_replica
from databases.transactions import held


class HomeRouter:
    """Answers every question of Django's router interface; it never returns None."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        """Return the alias that serves this read: the app's database, or a replica of it."""
        app_label = model._meta.app_label
        if hints and placement.is_left(app_label, hints.get("instance")):
            return PRIMARY.value
        alias = placement.alias_of(app_label)
        state = causality.current()
        if state is None:
            return alias
        copies = replica.known.get(alias)
        if copies is None:
            copies = replica.replicas_of(alias)
        chosen = self._one_of(copies, app_label, alias, state) if copies else alias
        state.reads[chosen] += 1
        return chosen

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        """Return the alias of the app's database, never a replica.

        :raises databases.placement.LeftRowsStay: for an object that was left in the primary.
        """
        app_label = model._meta.app_label
        if hints and placement.is_left(app_label, hints.get("instance")):
            raise placement.LeftRowsStay(app_label)
        return placement.alias_of(app_label)

    def allow_relation(self, first: Model, second: Model, **hints: Any) -> bool:
        """Allow a relation exactly where both apps are declared to live in one database."""
        return declared_home(first._meta.app_label) is declared_home(second._meta.app_label)

    def allow_migrate(
        self, db: str, app_label: str, model_name: str | None = None, **hints: Any
    ) -> bool:
        """Allow migrations of an app exactly on the database where its rows are placed."""
        try:
            return not is_replica(db) and db == placement.alias_of(app_label)
        except placement.PlacedElsewhere:
            return False

    def _one_of(
        self,
        copies: tuple[replica.Replica, ...],
        app_label: str,
        alias: str,
        state: causality.CausalState,
    ) -> str:
        """Return the replica for this read, or `alias`, with the reason noted in the state."""
        if app_label not in REPLICA_READERS:
            reason = "the app reads no replicas"
        elif (state.wrote or state.pins or state.primary_only_until) and state.requires_primary(
            alias
        ):
            reason = "the caller wrote"
        # A transaction reads what it wrote, and its own snapshot, on its own connection.
        elif held.begun and connections[alias].in_atomic_block:
            reason = "in a transaction"
        else:
            return replica.choose(copies, state) or alias
        state.reads[f"{alias}: {reason}"] += 1
        return alias
