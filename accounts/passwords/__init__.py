"""Changing a password, and setting a new one where the old one is forgotten."""
