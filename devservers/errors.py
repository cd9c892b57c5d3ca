"""What can go wrong with the embedded servers, each with the sentence that helps."""

from __future__ import annotations

from common.errors import PolystoreError


class ServersError(PolystoreError):
    """Base of all errors of the embedded servers."""

    code = "devservers.failed"
    status = 500
    remedy = "Read the server's log, which the message names, and try again."

    def __str__(self) -> str:
        """Return the sentence with the remedy: these errors are read in a terminal."""
        return f"{self.detail} {self.remedy}".strip()


class MachineUnfit(ServersError):
    """The platform, a library or a program is missing."""

    code = "devservers.machine_unfit"
    remedy = ""


class SetInUse(ServersError):
    """Another living process started this set and has not stopped it."""

    code = "devservers.set_in_use"
    remedy = "Stop that process first, or choose another set with --set."


class SetNotUp(ServersError):
    """Something was asked of a set that is not running."""

    code = "devservers.set_not_up"
    remedy = "Start it with `python -m devservers up`."


class UnknownServer(ServersError):
    """A set has no server or alias of that name."""

    code = "devservers.unknown_server"
    remedy = "`python -m devservers status` lists the servers of a set."


class ServerDidNotStart(ServersError):
    """A server ended or stayed silent while its start was awaited."""

    code = "devservers.server_did_not_start"


class PortTaken(ServerDidNotStart):
    """The port that a server was about to use belongs to another program."""

    code = "devservers.port_taken"
    remedy = "Stop that program, or start the set anew: it then takes another port."


class FolderUnusable(ServersError):
    """No folder was found where servers may keep their data or sockets."""

    code = "devservers.folder_unusable"
    remedy = ""
