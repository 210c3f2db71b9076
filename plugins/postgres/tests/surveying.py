"""A server's catalog, read by the tests' own client with the text that the gateway uses."""

from __future__ import annotations

import psycopg
from psycopg.types.string import TextLoader

from recgate_postgres.origin.queries import SECTIONS, SURVEY
from recgate_postgres.origin.snapshot import Snapshot
from tests.peers.postgres import PASSWORD, Cluster

__all__ = ["answers", "snapshot"]


def answers(cluster: Cluster, database: str = "postgres", user: str = "scram_user") -> list[list[str]]:
    """Give the rows of each section, as a role without any rights of its own reads them."""
    with psycopg.connect(
        host=cluster.host,
        port=cluster.port,
        user=user,
        password=PASSWORD,
        dbname=database,
        client_encoding="utf8",
        autocommit=True,
    ) as connection:
        # psycopg reads JSON for us where it is asked to, and the gateway does not ask.
        connection.adapters.register_loader("json", TextLoader)
        cursor = connection.execute(SURVEY.encode())
        found: list[list[str]] = []
        while True:
            if cursor.description is not None:
                found.append([row[0] for row in cursor.fetchall()])
            if not cursor.nextset():
                break
    assert len(found) == len(SECTIONS)
    return found


def snapshot(cluster: Cluster, database: str = "postgres", user: str = "scram_user") -> Snapshot:
    """Give a database's catalog as it is now."""
    return Snapshot.of(answers(cluster, database, user))
