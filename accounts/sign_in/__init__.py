"""Signing in, and who is told of it."""
