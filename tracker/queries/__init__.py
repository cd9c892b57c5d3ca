"""What people ask of the tracker."""

from __future__ import annotations
