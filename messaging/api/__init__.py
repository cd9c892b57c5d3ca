"""Messaging over HTTP."""
