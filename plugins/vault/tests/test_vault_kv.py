"""Entries of a real OpenBao's key/value engine, version 1 and 2."""

import re

import pytest
import trio

from recgate.errors import VaultFailed
from recgate.model import Credential, Principal, Secret, TargetInfo
from recgate.plugins.shapes import fault_in

ALICE = Principal("local", "alice", "alice")
TARGET = TargetInfo("prod-db", "postgres", "db", 5432, None)
READ = {"secret/data/*": "read", "old/*": "read"}
PASSWORD = "hunter2-canary"


def borrow(vault, path):
    return trio.run(vault.lease, path, ALICE, TARGET, "session-1")


@pytest.fixture
def entry(bao, request):
    """Write an entry of this test's own; gives its name."""

    def write(engine, **fields):
        name = re.sub(r"[^a-z0-9]+", "-", request.node.name)
        if engine == "old":
            bao(f"old/{name}", fields)
        else:
            bao(f"secret/data/{name}", {"data": fields})
        return name

    return write


@pytest.mark.parametrize("engine", ["secret", "old"])
def test_an_entry_is_lent_and_shown_to_nobody(vault, entry, engine):
    """Law 4."""
    name = entry(engine, username="app", password=PASSWORD)
    made = vault(READ)

    lease = borrow(made, f"{engine}/{name}")

    assert lease.credential == Credential("app", password=Secret(PASSWORD))
    assert lease.ttl is None
    assert lease.id.startswith(f"vault:hv:none:{engine}/{name}")
    assert PASSWORD not in repr(lease)
    assert fault_in("recgate_vaults", made) == ""


def test_a_key_with_its_certificate_ends_in_a_line_end(vault, entry):
    """Forms and shells take it away, and parsers want it."""
    name = entry("secret", username="root", private_key="-----BEGIN", certificate="ssh-ed25519-cert")

    credential = borrow(vault(READ), f"secret/{name}").credential

    assert credential.private_key == Secret("-----BEGIN\n")
    assert credential.certificate == b"ssh-ed25519-cert\n"
    assert credential.password is None


def test_a_version_stays_when_the_entry_changes(vault, entry, bao):
    name = entry("secret", username="app", password="first")
    entry("secret", username="app", password="second")
    made = vault(READ)

    assert borrow(made, f"secret/{name}").credential.password == Secret("second")
    pinned = borrow(made, f"secret/{name}?version=1")
    assert pinned.credential.password == Secret("first")
    assert f"secret/{name}@1#" in pinned.id

    bao(f"secret/delete/{name}", {"versions": [1]})
    with pytest.raises(VaultFailed, match=r"there is nothing\. Make it"):
        borrow(made, f"secret/{name}?version=1")


def test_fields_may_have_other_names(vault, entry, bao):
    """The path over the entry's own metadata over the configuration."""
    fields = {"pg_user": "app", "a": "from-fields", "b": "from-metadata", "c": "from-path"}
    name = entry("secret", **fields)
    made = vault(READ, fields={"username": "pg_user", "password": "a"})

    assert borrow(made, f"secret/{name}").credential == Credential("app", password=Secret("from-fields"))
    bao(f"secret/metadata/{name}", {"custom_metadata": {"recgate-password": "b"}})
    assert borrow(made, f"secret/{name}").credential.password == Secret("from-metadata")
    assert borrow(made, f"secret/{name}?password=c").credential.password == Secret("from-path")


@pytest.mark.parametrize(
    ("fields", "query", "wrong"),
    [
        ({"username": "app"}, "", "neither a field 'password' nor 'private_key'"),
        ({"username": "app", "password": ""}, "", "'password' is missing, empty or no text"),
        ({"username": "app", "password": 5}, "", "'password' is missing, empty or no text"),
        ({"username": "app", "password": "x"}, "?password=pw", "'pw' is missing"),
        ({"username": "app", "password": "x"}, "?version=latest", "is no number"),
        ({"username": "app", "password": "x"}, "?ttl=5m", "has no option 'ttl'"),
    ],
)
def test_what_is_no_credential_is_not_lent(vault, entry, fields, query, wrong):
    """Never a login without a password because a name was misspelt."""
    name = entry("secret", **fields)

    with pytest.raises(VaultFailed, match=wrong):
        borrow(vault(READ), f"secret/{name}{query}")


def test_version_one_has_no_versions(vault, entry):
    name = entry("old", username="app", password="x")

    with pytest.raises(VaultFailed, match="has no option 'version'"):
        borrow(vault(READ), f"old/{name}?version=1")


def test_a_refusal_names_the_path_and_what_the_policy_lacks(vault, entry):
    name = entry("secret", username="app", password=PASSWORD)

    with pytest.raises(
        VaultFailed, match=rf'secret/data/{name}: permission denied.*path "secret/data/{name}".*"read"'
    ) as seen:
        borrow(vault({"secret/data/other": "read"}), f"secret/{name}")
    # Exactly the core's own: what it may tell a client is looked up by its type.
    assert type(seen.value) is VaultFailed
    assert seen.value.__cause__ is None


def test_a_path_below_nothing_is_told_from_nothing_there(vault):
    made = vault(READ)

    with pytest.raises(VaultFailed, match="no engine is mounted there, or no policy"):
        borrow(made, "nowhere/prod-db")
    with pytest.raises(VaultFailed, match="there is nothing"):
        borrow(made, "secret/prod-db-that-is-not")


def test_giving_an_entry_back_is_nothing_and_asks_nobody(vault, entry, bao):
    name = entry("secret", username="app", password="x")
    made = vault(READ)
    lease = borrow(made, f"secret/{name}")

    trio.run(made.revoke, lease)
    trio.run(made.revoke, lease)
    assert trio.run(made.renew, lease) == lease
