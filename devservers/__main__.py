"""`python -m devservers up|down|status|env [--set NAME]`: the embedded servers by hand.

`up` leaves the servers running until `down`; `env` prints the variables under which `manage.py`
meets them: `eval "$(python -m devservers env)"`.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence

from devservers.aliases import ALL_SERVERS
from devservers.errors import ServersError, SetNotUp
from devservers.sets import ServerSet

DEFAULT_SET = "server"
OWNER_SECONDS = 90.0
"""How long the owner of a set may take to stop its web, worker and servers."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when all is well, 1 on a finding or failure, 2 on bad use."""
    options = _parser().parse_args(arguments)
    commands: dict[str, Callable[[ServerSet, argparse.Namespace], int]] = {
        "up": _up,
        "down": _down,
        "status": _status,
        "env": _env,
    }
    try:
        return commands[options.command](ServerSet(options.set, given=os.environ), options)
    except ServersError as error:
        print(f"devservers: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m devservers", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, says in (
        ("up", "start the servers and leave them running; again: start what is missing"),
        ("down", "stop the servers; the data stays"),
        ("status", "say what runs where; exit 1 when something does not"),
        ("env", "print the variables that name the servers, for the shell"),
    ):
        command = commands.add_parser(name, help=says, description=says)
        command.add_argument("--set", default=DEFAULT_SET, metavar="NAME", help="which servers")
        if name == "up":
            command.add_argument(
                "--only", nargs="+", choices=ALL_SERVERS, default=ALL_SERVERS, metavar="SERVER"
            )
        if name == "down":
            command.add_argument("--delete", action="store_true", help="delete the data, too")
        if name in {"status", "env"}:
            command.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _up(servers: ServerSet, options: argparse.Namespace) -> int:
    if (owner := servers.owner()) is not None:
        print(f"The servers {servers.name} are up and belong to process {owner.pid}.")
        return 0
    servers.up(options.only, owned=False)
    _print_status(servers)
    return 0


def _down(servers: ServerSet, options: argparse.Namespace) -> int:
    if servers.ask_owner_to_stop(timeout=OWNER_SECONDS):
        print(f"The process that ran the servers {servers.name} has stopped them.")
    servers.down(delete=options.delete)
    return 0


def _status(servers: ServerSet, options: argparse.Namespace) -> int:
    servers.attach()
    found = servers.status()
    if options.json:
        print(json.dumps({"set": servers.name, "servers": found}))
    else:
        _print_status(servers)
    return 0 if all(state == "up" for state in found.values()) else 1


def _print_status(servers: ServerSet) -> None:
    for name, state in servers.status().items():
        print(f"{name:<10} {state:<8} {servers.describe(name)}")


def _env(servers: ServerSet, options: argparse.Namespace) -> int:
    servers.attach()
    if all(state == "stopped" for state in servers.status().values()):
        raise SetNotUp(f"The servers {servers.name} are not up.")
    environment = servers.environment()
    if options.json:
        print(json.dumps(environment))
    else:
        for name, url in environment.items():
            print(f"export {name}={shlex.quote(url)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
