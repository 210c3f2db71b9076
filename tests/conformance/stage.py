"""One PostgreSQL of its own, reached directly or through a gateway, with the same names either way."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench.gateway import gateway
from bench.postgres import Address
from tests.peers.postgres import PASSWORD, Cluster, debian_bin

__all__ = ["server", "through"]

# The superuser's name is the target's name too, so that what prints a login name prints the same.
ACCOUNT = "postgres"
SETTINGS = {"max_connections": "100", "max_prepared_transactions": "10", "shared_preload_libraries": ""}


@contextmanager
def server() -> Iterator[tuple[Cluster, Address]]:
    """Run a fresh PostgreSQL; gives it, and how its superuser reaches it."""
    with Cluster(debian_bin(), tls=False, settings=SETTINGS) as cluster:
        yield cluster, Address(cluster.port, ACCOUNT, PASSWORD, "postgres")


@contextmanager
def through(direct: Address) -> Iterator[Address]:
    """Run a gateway in front of a server; gives how the same user reaches it there."""
    with tempfile.TemporaryDirectory(prefix="recgate-conformance-") as directory:
        with gateway(Path(directory), direct, None, database_target=ACCOUNT) as running:
            yield replace(running.database, database=direct.database)
