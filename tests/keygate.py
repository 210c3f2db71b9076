"""A gateway whose own keys a test changes, with one target behind it and an auditor who has its first trust file."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import psycopg

from recgate.testing.process import GatewayProcess
from tests.peers.postgres import PASSWORD, Cluster

__all__ = ["Gate"]


class Gate(GatewayProcess):
    """A gateway in front of one database, its token for alice, and the trust file that an auditor took at the start."""

    def __init__(
        self, directory: Path, cluster: Cluster, vaults: Sequence[object] = (), **gateway: object
    ) -> None:
        target = {
            "name": "prod-db",
            "protocol": "postgres",
            "address": f"127.0.0.1:{cluster.port}",
            "options": {"database": "postgres", "tls": "disable"},
            "credential": "local:prod-db",
            "allow": ["user:alice"],
        }
        super().__init__(
            directory,
            {
                "gateway": gateway,
                "vaults": [*vaults, {"sealed": {}}],
                "listeners": [{"protocol": "postgres", "bind": "127.0.0.1:0", "tls": "require"}],
                "targets": [target],
            },
        )
        self.auditors = directory / "auditors.json"
        self.run("user", "add", "alice")
        secret = ("secret", "set", "prod-db", "--username", "scram_user", "--password-stdin")
        self.run(*secret, stdin=PASSWORD)

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1", port=self.port("postgres"), user="prod-db", password=self.token("alice"),
            sslmode="verify-full", sslrootcert=str(self.data_dir / "ca.pem"), connect_timeout=20, autocommit=True,
        )  # fmt: skip

    def events(self, *names: str) -> list[dict[str, object]]:
        lines = (self.data_dir / "audit.jsonl").read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["event"] in names]

    def statuses(self, *words: str) -> list[str]:
        """What an auditor finds with nothing but the store and a trust file; by session, oldest first."""
        store = ("--store", str(self.data_dir / "recordings"), "--trust", str(self.auditors))
        rows = self.rows("verify", "--all", *store, *words)
        self.ledger = [row["status"] for row in rows if row["session"] == "ledger"]
        return [row["status"] for row in rows if row["session"] != "ledger"]

    def listed(self) -> int:
        """How many sessions the catalog has, live ones among them."""
        with contextlib.closing(sqlite3.connect(self.data_dir / "catalog.sqlite")) as catalog:
            return int(catalog.execute("SELECT count(*) FROM sessions").fetchone()[0])

    def settled(self) -> None:
        """Wait until nothing is live and everything is sealed."""
        ended = {"sealed", "recovered"}
        self.until(lambda: {row["status"] for row in self.rows("sessions")} <= ended, "every session sealed")
