"""Which engine answers where, in a namespace and below longer mounts; and that an unknown one lends nothing."""

import pytest
import trio

from recgate.errors import VaultFailed
from recgate.model import Principal, Secret, TargetInfo
from recgate_vault.engines import ENGINES
from recgate_vault.mounts import Mount, Mounts
from recgate_vault.paths import VaultPath
from recgate_vault.reach import Reach

ALICE = Principal("local", "alice", "alice")
TARGET = TargetInfo("prod-db", "postgres", "db", 5432, None)


def reach(vault) -> Reach:
    return vault._reach()


def test_an_engine_is_found_wherever_it_is_mounted(vault, bao):
    bao.mount("teams/blue/kv", "kv", {"version": "2"})
    found, asker = Mounts(), reach(vault({"teams/*": "read", "old/*": "read"}))

    assert found.of(asker, VaultPath("teams/blue/kv/x/y")) == Mount("teams/blue/kv/", "kv", 2)
    assert found.of(asker, VaultPath("old/x")) == Mount("old/", "kv", 1)


def test_what_was_asked_is_kept_for_a_while(vault, bao):
    bao.mount("kept", "kv", {"version": "1"})
    found, asker = Mounts(), reach(vault({"kept/*": "read"}))
    found.of(asker, VaultPath("kept/x"))

    bao("sys/mounts/kept", method="DELETE")
    assert found.of(asker, VaultPath("kept/y")).path == "kept/"
    with pytest.raises(VaultFailed):
        Mounts().of(asker, VaultPath("kept/y"))


def test_a_namespace_is_part_of_every_path(vault, bao):
    bao("sys/namespaces/team", {})
    bao("sys/mounts/secret", {"type": "kv", "options": {"version": "2"}}, namespace="team")
    bao("secret/data/x", {"data": {"username": "app", "password": "in-the-namespace"}}, namespace="team")
    bao("secret/data/x", {"data": {"username": "app", "password": "outside"}})
    made = vault({"team/secret/data/x": "read"}, namespace="team")

    lease = trio.run(made.lease, "secret/x", ALICE, TARGET, "s")
    assert lease.credential.password == Secret("in-the-namespace")


def test_an_engine_that_lends_nothing_is_named(vault, bao):
    bao.mount("codes", "totp")
    made = vault({"codes/*": "read"})

    with pytest.raises(VaultFailed, match=r"engine of type 'totp'\. There are .*database"):
        trio.run(made.lease, "codes/code/x", ALICE, TARGET, "s")
    assert "totp" not in ENGINES


def test_this_server_brings_no_engine_for_directories(bao):
    """The guide says so. When this fails, there is one: try `ldap/…` with it, and correct the guide."""
    there = bao("sys/plugins/catalog")["data"]

    assert {"kv", "pki", "ssh", "transit"} <= {*there["secret"]}
    assert not {"ldap", "openldap", "ad"} & {*there["secret"], *there["auth"]}
