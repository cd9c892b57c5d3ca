"""Plain tables for terminals and logs."""

from __future__ import annotations

from collections.abc import Sequence


def rendered(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the rows under the header, in columns as wide as their widest cell."""
    table = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)
