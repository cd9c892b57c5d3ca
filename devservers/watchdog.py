"""A small process beside a set: when the set's owner ends in any way, it stops the servers.

Usage: python -m devservers.watchdog CHECKOUT SET OWNER_PID OWNER_STARTED
"""

from __future__ import annotations

import sys
from pathlib import Path

from devservers.places import home_of
from devservers.processes import Identity, wait_until_ended
from devservers.state import SetState
from devservers.stopping import end_orphan

FOREVER = 10.0**6


def main(arguments: list[str]) -> int:
    """Wait for the owner's end, then end the set if it is still that owner's."""
    checkout, name, pid, started = arguments
    owner = Identity(pid=int(pid), started=int(started))
    while not wait_until_ended([owner], timeout=FOREVER):
        pass

    def still_theirs(state: SetState) -> bool:
        return state.owner == owner

    home = home_of(Path(checkout))
    end_orphan(home.sets / name, home, is_orphan=still_theirs)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
