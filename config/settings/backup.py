"""Backups: where, how often, how many, and with which programs."""

from __future__ import annotations

from config.settings.env import integer, text

BACKUP_DIR = text("BACKUP_DIR")
"""The folder that scheduled backups, and those asked for by the API, are made in."""
BACKUP_EVERY_HOURS = integer("BACKUP_EVERY_HOURS", 24 if BACKUP_DIR else 0, least=0, most=8_760)
"""Hours from one scheduled backup to the next; 0: none is scheduled."""
BACKUP_KEEP = integer("BACKUP_KEEP", 7, least=1, most=10_000)
"""Good backups that stay in BACKUP_DIR; older ones are removed."""
BACKUP_MAX_AGE_HOURS = integer(
    "BACKUP_MAX_AGE_HOURS",
    BACKUP_EVERY_HOURS + max(2, BACKUP_EVERY_HOURS // 2) if BACKUP_EVERY_HOURS else 0,
    least=0,
    most=87_600,
)
"""Age of the last good backup that operators are told of; 0: never."""
POSTGRES_BIN_DIR = text("POSTGRES_BIN_DIR")
"""Folders with pg_dump, pg_dumpall, pg_restore and psql, separated like PATH; looked at before
PATH."""
