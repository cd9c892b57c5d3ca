"""Roles: what they may do, the groups that carry them, and how a user's are asked for."""
