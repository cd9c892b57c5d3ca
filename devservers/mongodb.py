"""MongoDB as a replica set of one member: transactions and change streams need a set."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pymongo
from pymongo.errors import PyMongoError

from devservers.errors import MachineUnfit
from devservers.ground import Ground, Server, accepts_connections, ended_afterwards
from devservers.places import make_folder

REPLICA_SET = "rs0"
DATABASE = "polystore"


class MongoServer(Server):
    """A mongod; its port stands in its data, so a new port has to be written there."""

    kind = "mongodb"
    program = "mongod"
    stop_signal = signal.SIGTERM

    def __init__(self, ground: Ground, *, name: str, port: int) -> None:
        """Describe the server; nothing is started."""
        super().__init__(ground, name=name, port=port)
        self._alone = False

    def prepare(self) -> None:
        """Make the data folder, or write a new port into the data."""
        known = self.ground.folder / f"{self.name}.port"
        if not self.folder.exists():
            make_folder(self.folder, user=self.ground.user)
        elif known.exists() and known.read_text(encoding="ascii") != str(self.port):
            self._write_port()
        known.write_text(str(self.port), encoding="ascii")

    def _write_port(self) -> None:
        """Change the member's address in the data, with the server outside its replica set.

        As a member it would first ask whoever listens on the old port whether it is that one.
        """
        self._alone = True
        try:
            with ended_afterwards(self):
                self.launch()
                self.wait_until_ready()
                with self._client() as client:
                    client.local["system.replset"].update_one(
                        {"_id": REPLICA_SET}, {"$set": {"members.0.host": self._address}}
                    )
        finally:
            self._alone = False

    @property
    def _address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def command(self) -> Sequence[str | Path]:
        """Return the command line."""
        if self.ground.programs.mongodb is None:
            raise MachineUnfit("MongoDB's program was not looked for.")
        member = () if self._alone else ("--replSet", REPLICA_SET, "--oplogSize", "512")
        return [
            self.ground.programs.mongodb, "--dbpath", self.folder, "--port", str(self.port),
            "--bind_ip", "127.0.0.1", "--nounixsocket", "--wiredTigerCacheSizeGB", "0.5",
            "--setParameter", "diagnosticDataCollectionEnabled=false", *member,
        ]  # fmt: skip

    def answers(self) -> bool:
        """Say whether the member is the primary; sets the replica set up where that is missing."""
        if not accepts_connections(self.port):
            return False
        try:
            with self._client() as client:
                hello = client.admin.command("hello")
                if hello.get("isWritablePrimary"):
                    return True
                if "setName" not in hello:
                    self._begin(client)
        except PyMongoError:
            return False
        return False

    def _client(self) -> pymongo.MongoClient[dict[str, Any]]:
        return pymongo.MongoClient(
            "127.0.0.1",
            self.port,
            directConnection=True,
            serverSelectionTimeoutMS=2000,
            socketTimeoutMS=10_000,
        )

    def _begin(self, client: pymongo.MongoClient[dict[str, Any]]) -> None:
        """Begin the replica set where the data has none yet."""
        if client.local["system.replset"].find_one() is None:
            members = [{"_id": 0, "host": self._address}]
            client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})

    def url(self) -> str:
        """Return the URL of the project's database."""
        return f"mongodb://127.0.0.1:{self.port}/{DATABASE}?replicaSet={REPLICA_SET}"
