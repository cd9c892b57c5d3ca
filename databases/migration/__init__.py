"""Migrate every database: look first, then bring each app's tables to where the app lives."""
