"""Users of a real PostgreSQL, made for a session by a real OpenBao and dropped at its end."""

import time
from types import SimpleNamespace

import psycopg
import pytest
import trio
from structlog.testing import capture_logs

from recgate.errors import VaultFailed
from recgate.model import Principal, TargetInfo
from recgate_vault.dynamic import borrow_account
from recgate_vault.engines import ENGINES
from tests.peers.postgres import PASSWORD, Cluster, debian_bin

ALICE = Principal("local", "alice", "alice")
TARGET = TargetInfo("prod-db", "postgres", "db", 5432, None)
RIGHTS = {"database/creds/*": "read", "database/static-creds/*": "read", "sys/leases/revoke": "update"}
CREATE = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"


@pytest.fixture(scope="module")
def cluster():
    with Cluster(debian_bin(), tls=True) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def engine(bao, cluster):
    cluster.psql(f"CREATE ROLE manager SUPERUSER LOGIN PASSWORD '{PASSWORD.replace(chr(39), chr(39) * 2)}'")
    cluster.psql("CREATE ROLE fixed LOGIN PASSWORD 'x'")
    bao.mount("database", "database")
    where = f"127.0.0.1:{cluster.port}/postgres?sslmode=verify-full&sslrootcert={cluster.authority.path}"
    bao(
        "database/config/pg",
        {
            "plugin_name": "postgresql-database-plugin",
            "allowed_roles": "*",
            "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@{where}",
            "username": "manager",
            "password": PASSWORD,
        },
    )
    ttls = {"app": ("1h", "24h"), "brief": ("4s", "6s")}
    for role, (default, longest) in ttls.items():
        bao(
            f"database/roles/{role}",
            {"db_name": "pg", "creation_statements": [CREATE], "default_ttl": default, "max_ttl": longest},
        )
    wait = "SELECT pg_advisory_xact_lock(42)"
    bao("database/roles/slow", {"db_name": "pg", "creation_statements": [wait, CREATE], "default_ttl": "1h"})
    bao("database/static-roles/fixed", {"db_name": "pg", "username": "fixed", "rotation_period": "24h"})


def lend(made, path="database/creds/app"):
    return trio.run(made.lease, path, ALICE, TARGET, "session-1")


def users(cluster):
    return cluster.psql("SELECT rolname FROM pg_roles WHERE rolname LIKE 'v-%'").split()


def logs_in(cluster, credential):
    where = f"host=127.0.0.1 port={cluster.port} dbname=postgres user={credential.username}"
    with psycopg.connect(where, password=credential.password.reveal().decode()) as connection:
        return connection.execute("SELECT current_user").fetchone() == (credential.username,)


def test_a_user_is_made_for_the_session_and_dropped_at_its_end(vault, cluster):
    made = vault(RIGHTS)

    lease = lend(made)
    assert lease.ttl == pytest.approx(3600, abs=5)
    assert lease.id.startswith("vault:hv:lease:database/creds/app/")
    assert users(cluster) == [lease.credential.username]
    assert logs_in(cluster, lease.credential)

    trio.run(made.revoke, lease)
    assert users(cluster) == []
    trio.run(made.revoke, lease)


def test_after_a_crash_the_lease_is_given_back_by_its_name_alone(vault, cluster):
    """Another process, which has only what the journal kept."""
    lease = lend(vault(RIGHTS))
    assert users(cluster)

    trio.run(vault(RIGHTS).revoke, SimpleNamespace(id=lease.id, ttl=lease.ttl))
    assert users(cluster) == []


def test_each_session_has_a_user_of_its_own(vault, cluster):
    made = vault(RIGHTS)
    leases = [lend(made) for _ in range(2)]

    assert sorted(users(cluster)) == sorted(lease.credential.username for lease in leases)
    trio.run(made.revoke, leases[0])
    assert users(cluster) == [leases[1].credential.username]
    trio.run(made.revoke, leases[1])


def test_a_lease_is_renewed_and_ends_with_its_longest(vault, cluster):
    made = vault(RIGHTS)
    lease = lend(made, "database/creds/brief")
    assert 3 < lease.ttl <= 4

    renewed = trio.run(made.renew, lease)
    assert (renewed.id, renewed.credential) == (lease.id, lease.credential)
    assert renewed.ttl > 3

    deadline = time.monotonic() + 10

    def renew_on():
        again = renewed
        while time.monotonic() < deadline:
            again = trio.run(made.renew, again)

    with pytest.raises(VaultFailed, match=r"has lived for as long as its role lets it|has ended"):
        renew_on()
    trio.run(made.revoke, lease)


def test_a_lease_that_was_revoked_elsewhere_is_not_renewed(vault, bao):
    """An operator took it back: the core ends the session."""
    made = vault(RIGHTS)
    lease = lend(made)
    bao("sys/leases/revoke", {"lease_id": lease.id.split(":", 3)[3], "sync": True})

    with pytest.raises(VaultFailed, match=r"has ended, or cannot be renewed\. Open a new session"):
        trio.run(made.renew, lease)
    trio.run(made.revoke, lease)


def test_a_lease_may_not_outlive_the_token_that_it_hangs_on(vault, bao, tmp_path):
    """With the token the vault revokes it: the core is to renew before that."""
    token = tmp_path / "short"
    token.touch(mode=0o600)
    bao.policy("short", **RIGHTS)
    token.write_text(bao.token("short", ttl="100s"))
    made = vault(RIGHTS, auth={"token": {"file": token}})

    lease = lend(made)
    assert lease.ttl == pytest.approx(100, abs=5)
    trio.run(made.revoke, lease)


def test_a_lease_that_may_not_be_revoked_says_which_right_is_missing(vault, cluster):
    """Never silently: the core tries it again and tells."""
    made = vault({"database/creds/app": "read"})
    lease = lend(made)

    with pytest.raises(VaultFailed, match=r'permission denied.*path "sys/leases/revoke".*"update"'):
        trio.run(made.revoke, lease)
    trio.run(vault(RIGHTS).revoke, lease)
    assert users(cluster) == []


def test_a_static_role_has_nothing_to_give_back(vault, cluster):
    made = vault(RIGHTS)
    lease = lend(made, "database/static-creds/fixed")

    assert lease.ttl is None
    assert lease.credential.username == "fixed"
    assert logs_in(cluster, lease.credential)
    trio.run(made.revoke, lease)


def test_a_role_that_is_not_there_is_said_so(vault):
    with pytest.raises(VaultFailed, match=r"database/creds/nope: refused with 4|there is nothing"):
        lend(vault(RIGHTS), "database/creds/nope")
    assert ENGINES["database"] is borrow_account


async def test_a_lease_that_comes_after_the_session_has_gone_is_given_back(vault, cluster, bao):
    """The database answers late: nobody waits any more, and the user is dropped all the same."""
    made = vault(RIGHTS)
    with psycopg.connect(
        host=str(cluster.socket), port=cluster.port, user="postgres", dbname="postgres"
    ) as held:
        held.execute("SELECT pg_advisory_xact_lock(42)")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.lease, "database/creds/slow", ALICE, TARGET, "s")
            waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            await trio.to_thread.run_sync(until, lambda: cluster.psql(waits) == "1")
            nursery.cancel_scope.cancel()
        held.rollback()
        with capture_logs() as logs:
            until(lambda: [each["event"] for each in logs] == ["lease.stray", "lease.revoked"])
    assert made._reaper.waiting == 0
    assert bao.leases("database/creds/slow/") == []
    assert users(cluster) == []


def until(true):
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
