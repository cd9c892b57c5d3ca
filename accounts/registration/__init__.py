"""Signing up, and proving that an address is one's own."""
