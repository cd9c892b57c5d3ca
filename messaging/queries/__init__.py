"""What can be asked of rooms and messages."""

from __future__ import annotations
