"""Compare every projection with the rows it shows, name each difference, and mend it.

Both sides are read range by range and compared by hashes, in bounded memory. What differs is looked
at again until no event of it waits any more, so that writes never look like faults.
"""

from __future__ import annotations

from outbox.verification.report import Difference, Report
from outbox.verification.run import Options, verify

__all__ = ["Difference", "Options", "Report", "verify"]
