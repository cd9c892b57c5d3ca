"""What goes over the wire, and how it is made from what the site knows."""

from __future__ import annotations
