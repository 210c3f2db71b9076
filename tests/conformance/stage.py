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


# A rule that reads every statement and a mask that reads every value; neither is about anything that a suite has.
RULES = (
    {
        "name": "nothing",
        "when": 'request.kind == "sql" && request.verb == "VACATE" && session.bytes_out >= 0',
        "then": "deny",
        "opaque": "ignore",
    },
)
MASKS = ({"name": "nothing", "detect": ["secret"], "patterns": {"nothing": "qzjxkw[0-9]{8}vgzqxj"}},)


@contextmanager
def through(direct: Address, *, guarded: bool = False) -> Iterator[Address]:
    """Run a gateway in front of a server; gives how the same user reaches it there.

    `guarded` has it read what it passes on, by a rule and a mask that match nothing.
    """
    looking = {"policies": RULES, "masks": MASKS} if guarded else {}
    with tempfile.TemporaryDirectory(prefix="recgate-conformance-") as directory:
        with gateway(Path(directory), direct, None, database_target=ACCOUNT, **looking) as running:
            yield replace(running.database, database=direct.database)
