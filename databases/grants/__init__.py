"""Least privilege in PostgreSQL: what each role of the site needs, and no more."""
