"""Client certificates of a real OpenBao, let in by a real PostgreSQL and revoked at the session's end."""

import time
from types import SimpleNamespace

import psycopg
import pytest
import trio
from cryptography import x509

from recgate.errors import VaultFailed
from recgate.model import Principal, TargetInfo
from recgate_vault.pki import borrow_certificate
from tests.peers.postgres import Cluster, debian_bin

ALICE = Principal("local", "alice", "alice")
TARGET = TargetInfo("prod-db", "postgres", "db", 5432, None)
RIGHTS = {"pki/issue/*": "update", "pki/revoke": "update", "sys/leases/revoke": "update"}


@pytest.fixture(scope="module", autouse=True)
def engine(bao):
    bao.mount("pki", "pki", config={"max_lease_ttl": "8760h"})
    bao("pki/root/generate/internal", {"common_name": "clients", "ttl": "8000h", "key_type": "ec"})
    role = {"allow_any_name": True, "enforce_hostnames": False, "client_flag": True, "key_type": "ec"}
    bao("pki/roles/clients", {**role, "max_ttl": "24h"})
    bao("pki/roles/leased", {**role, "generate_lease": True, "no_store": False})
    bao("pki/roles/unstored", {**role, "no_store": True})


def lend(made, path="pki/issue/clients?username=cert_user"):
    return trio.run(made.lease, path, ALICE, TARGET, "session-1")


def revoked(bao, lease):
    leaf = x509.load_pem_x509_certificates(lease.credential.certificate)[0]
    serial = ":".join(
        f"{byte:02x}" for byte in leaf.serial_number.to_bytes((leaf.serial_number.bit_length() + 7) // 8)
    )
    return bao(f"pki/cert/{serial}")["data"]["revocation_time"] > 0


def test_postgresql_lets_the_certificate_in(vault, bao, tmp_path):
    lease = lend(vault(RIGHTS))
    (tmp_path / "cert").write_bytes(lease.credential.certificate)
    (tmp_path / "key").touch(mode=0o600)
    (tmp_path / "key").write_bytes(lease.credential.private_key.reveal())
    with Cluster(debian_bin(), tls=True) as cluster:
        with (cluster.authority.path).open("a") as file:
            file.write(bao("pki/cert/ca")["data"]["certificate"] + "\n")
        cluster.psql("SELECT pg_reload_conf()")
        deadline, found = time.monotonic() + 20, None
        while found is None:
            try:
                with psycopg.connect(
                    host="127.0.0.1", port=cluster.port, user="cert_user", dbname="postgres", sslmode="verify-full",
                    sslrootcert=str(cluster.authority.path), sslcert=str(tmp_path / "cert"),
                    sslkey=str(tmp_path / "key"),
                ) as connection:  # fmt: skip
                    found = connection.execute("SELECT current_user").fetchone()
            except psycopg.OperationalError:  # not yet reloaded
                assert time.monotonic() < deadline
                continue
    assert found == ("cert_user",)


@pytest.mark.parametrize("role", ["clients", "leased"])
def test_it_is_short_and_revoked_at_the_end_by_its_name_alone(vault, bao, role):
    lease = lend(vault(RIGHTS), f"pki/issue/{role}?username=cert_user")
    leaf = x509.load_pem_x509_certificates(lease.credential.certificate)[0]
    assert leaf.not_valid_after_utc.timestamp() - time.time() <= 305
    assert lease.ttl is None
    assert lease.lasts == pytest.approx(
        300, abs=5
    )  # so that a crash, or a vault that is away, leaves none unrevoked
    assert "PRIVATE" not in repr(lease)
    assert not revoked(bao, lease)

    another = vault(RIGHTS)
    trio.run(another.revoke, SimpleNamespace(id=lease.id, ttl=None))
    assert revoked(bao, lease)
    trio.run(another.revoke, lease)


@pytest.mark.parametrize("role", ["clients", "leased"])
def test_a_certificate_that_is_not_what_was_asked_for_is_given_back(vault, bao, role, monkeypatch):
    """Nobody gets it, and it is revoked all the same."""
    monkeypatch.setattr("recgate_vault.pki.SLACK", -1_000.0)  # then what a real server gives is too long
    before = {*bao("pki/certs", method="LIST")["data"]["keys"]}
    with pytest.raises(VaultFailed, match="good for longer than was asked for"):
        lend(vault(RIGHTS), f"pki/issue/{role}?username=cert_user")
    (serial,) = {*bao("pki/certs", method="LIST")["data"]["keys"]} - before
    deadline = time.monotonic() + 20
    while not bao(f"pki/cert/{serial}")["data"]["revocation_time"]:
        assert time.monotonic() < deadline


def test_a_certificate_that_the_vault_did_not_keep_cannot_be_revoked_and_that_is_told(vault):
    made = vault(RIGHTS)
    lease = lend(made, "pki/issue/unstored?username=cert_user")

    with pytest.raises(VaultFailed, match="pki/revoke"):
        trio.run(made.revoke, lease)


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("pki/issue/clients", r"say for whom: `\?username=NAME`"),
        ("pki/sign/clients?username=x", "there is issue/ROLE"),
        ("pki/issue/clients?username=x&ttl=1w", "should be a duration"),
        ("pki/issue/clients?common_name=x", "has no option"),
    ],
)
def test_what_cannot_be_asked_for(vault, path, wrong):
    with pytest.raises(VaultFailed, match=wrong):
        lend(vault(RIGHTS), path)
    assert borrow_certificate is not None
