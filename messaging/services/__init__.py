"""What can be done to rooms and messages. Services own the transactions."""

from __future__ import annotations
