"""Tells apps above that the permissions of every app's models are there."""

from __future__ import annotations

from django.dispatch import Signal

models_described = Signal()
"""Sent by `migrate_all` after it has made them, with `using`: the database that holds them."""
