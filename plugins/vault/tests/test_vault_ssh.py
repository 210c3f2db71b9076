"""Certificates and one-time passwords of a real OpenBao, and certificates at a real sshd."""

import subprocess
import time

import pytest
import trio
from cryptography.hazmat.primitives import serialization
from pydantic import BaseModel

from recgate.errors import VaultFailed
from recgate.model import Principal, TargetInfo
from recgate_vault.spans import DEFAULT
from recgate_vault.ssh import borrow_ssh
from tests.peers.sshd import Sshd

ALICE = Principal("local", "alice", "alice")
RIGHTS = {"ssh/sign/*": "update", "ssh/creds/*": "update", "sys/leases/revoke": "update"}


class Options(BaseModel):
    username: str = ""
    tag: bool = False


def target(host="127.0.0.1", **options):
    return TargetInfo("prod-web", "ssh", host, 22, Options(**options))


def lend(made, path, at=None):
    return trio.run(made.lease, path, ALICE, at or target(), "session-1")


@pytest.fixture(scope="module", autouse=True)
def engine(bao):
    bao.mount("ssh", "ssh")
    bao("ssh/config/ca", {"generate_signing_key": True})
    people = {
        "key_type": "ca",
        "allow_user_certificates": True,
        "allow_user_key_ids": True,
        "allowed_users": "*",
    }
    bao("ssh/roles/people", {**people, "default_user": "deploy", "default_extensions": {"permit-pty": ""}})
    bao("ssh/roles/nobody", people)
    bao("ssh/roles/otp", {"key_type": "otp", "default_user": "deploy", "cidr_list": "127.0.0.0/8"})


def certificate(lease):
    found = serialization.load_ssh_public_identity(lease.credential.certificate.strip())
    assert isinstance(found, serialization.SSHCertificate)
    return found


def test_a_certificate_is_made_for_one_session_and_is_short(vault):
    """hvac's own call leaves the ttl out, and then it is 32 days."""
    made = vault(RIGHTS)
    one, two = lend(made, "ssh/sign/people"), lend(made, "ssh/sign/people")

    found = certificate(one)
    assert found.valid_principals == [b"deploy"]
    assert found.valid_before - time.time() <= DEFAULT + 5
    assert one.credential.username == "deploy"
    assert one.credential.private_key != two.credential.private_key
    assert one.ttl is None
    assert one.id.startswith("vault:hv:none:ssh/sign/people@")
    assert b"PRIVATE" in one.credential.private_key.reveal()
    assert "PRIVATE" not in repr(one)


def test_what_the_target_and_the_path_say(vault):
    made = vault(RIGHTS)

    assert certificate(lend(made, "ssh/sign/people", target(username="ops"))).valid_principals == [b"ops"]
    lease = lend(made, "ssh/sign/people?username=root&ttl=30s", target(username="ops", tag=True))
    assert certificate(lease).valid_principals == [b"root"]
    assert certificate(lease).valid_before - time.time() <= 35
    assert certificate(lease).key_id == b"recgate-session-1"


@pytest.mark.parametrize("query", ["?ttl=soon", "?ttl=0s", "?ttl=25h", "?key_id=x"])
def test_what_cannot_be_asked_for(vault, query):
    with pytest.raises(VaultFailed, match=r"should be a duration|has no option"):
        lend(vault(RIGHTS), f"ssh/sign/people{query}")


def test_a_certificate_for_no_one_account_is_refused(vault):
    with pytest.raises(VaultFailed, match=r"Say whose: `\?username=ACCOUNT`|refused with 400"):
        lend(vault(RIGHTS), "ssh/sign/nobody")


def test_a_real_sshd_lets_the_certificate_in(vault, bao, tmp_path):
    authority = tmp_path / "user_ca.pub"
    authority.write_text(bao("ssh/config/ca")["data"]["public_key"])
    sshd = Sshd(tmp_path, {"TrustedUserCAKeys": str(authority)})
    lease = lend(vault(RIGHTS), f"ssh/sign/people?username={sshd.user}")
    key = tmp_path / "lent"
    key.touch(mode=0o600)
    key.write_bytes(lease.credential.private_key.reveal())
    key.with_name("lent-cert.pub").write_bytes(lease.credential.certificate)
    options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes"]
    with sshd:
        command = [
            "ssh",
            "-F",
            "none",
            *options,
            "-o",
            "IdentitiesOnly=yes",
            "-i",
            str(key),
            "-p",
            str(sshd.port),
        ]
        done = subprocess.run(
            [*command, f"{sshd.user}@127.0.0.1", "echo let in"],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin"},
        )
    assert done.stdout == "let in\n", done.stderr
    assert "serial" in sshd.log(), "let in by its certificate, and not by a key that the account knows"


def test_a_one_time_password_is_good_once_and_at_its_address(vault, bao):
    """Verified where vault-ssh-helper does: at the vault's own endpoint. No sshd with that helper ran here."""
    made = vault(RIGHTS)
    lease = lend(made, "ssh/creds/otp", target("localhost"))
    assert lease.credential.username == "deploy"
    assert lease.ttl is None, "it is used to log in, and the session goes on"
    otp = lease.credential.password.reveal().decode()
    assert otp not in f"{lease!r}{lease.id}"

    verified = bao("ssh/verify", {"otp": otp})["data"]
    assert (verified["ip"], verified["username"]) == ("127.0.0.1", "deploy")
    with pytest.raises(AssertionError):
        bao("ssh/verify", {"otp": otp})
    trio.run(made.revoke, lease)


def test_a_one_time_password_that_was_not_used_ends_with_the_session(vault, bao):
    made = vault(RIGHTS)
    lease = lend(made, "ssh/creds/otp")
    trio.run(made.revoke, lease)

    with pytest.raises(AssertionError):
        bao("ssh/verify", {"otp": lease.credential.password.reveal().decode()})


def test_other_paths_lend_nothing(vault):
    with pytest.raises(VaultFailed, match=r"there are sign/ROLE and creds/ROLE"):
        lend(vault(RIGHTS), "ssh/issue/people")
    assert borrow_ssh is not None
