"""Keys read from leases and from disk; what is wrong with one is said without what is in it."""

import base64
from pathlib import Path

import pytest

from recgate.model import Credential, PublicKeyEvidence, Secret
from recgate_ssh.wire.keys import credential_keys, fingerprint, host_keys, key_line, parse_proof
from tests.peers.sshd import keygen


def blob(key: Path) -> bytes:
    return base64.b64decode(key.with_suffix(".pub").read_text().split()[1])


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_key_is_evidence_once_its_holder_signed(tmp_path: Path, kind: str):
    key = keygen(tmp_path / "key", kind)
    proof = parse_proof(blob(key), "127.0.0.1")
    (pair,) = credential_keys(Credential("x", None, Secret(key.read_bytes())))
    algorithm = b"rsa-sha2-256" if kind == "rsa" else pair.algorithm
    pair.set_sig_algorithm(algorithm)

    assert proof is not None
    assert proof.evidence == PublicKeyEvidence(
        pair.algorithm.decode() if kind != "rsa" else "ssh-rsa", blob(key)
    )
    assert proof.verify(b"message", pair.sign(b"message"))
    assert not proof.verify(b"another", pair.sign(b"message"))
    assert not proof.verify(b"message", b"")


def test_a_signature_with_sha1_does_not_count(tmp_path: Path):
    key = keygen(tmp_path / "key", "rsa")
    proof = parse_proof(blob(key), "127.0.0.1")
    (pair,) = credential_keys(Credential("x", None, Secret(key.read_bytes())))
    pair.set_sig_algorithm(b"ssh-rsa")

    assert proof is not None
    assert not proof.verify(b"message", pair.sign(b"message"))


@pytest.mark.parametrize("data", [b"", b"\0\0\0\7ssh-dss", b"\0\0\0\xff", b"x" * 5000])
def test_what_is_no_key_proves_nothing(data: bytes):
    assert parse_proof(data, "127.0.0.1") is None


def test_a_key_with_a_passphrase_is_refused_in_words(tmp_path: Path):
    import subprocess

    key = keygen(tmp_path / "key")
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "phrase", "-f", str(key)], check=True)
    with pytest.raises(ValueError, match="passphrase"):
        credential_keys(Credential("x", None, Secret(key.read_bytes())))


def test_a_certificate_of_another_key_is_refused_in_words(tmp_path: Path):
    import subprocess

    ca, key, other = (keygen(tmp_path / name) for name in ("ca", "key", "other"))
    subprocess.run(["ssh-keygen", "-q", "-s", str(ca), "-I", "x", "-n", "y", f"{other}.pub"], check=True)
    certificate = (tmp_path / "other-cert.pub").read_bytes()
    with pytest.raises(ValueError, match="does not belong"):
        credential_keys(Credential("x", None, Secret(key.read_bytes()), certificate))


def test_the_gateways_host_key_comes_with_its_certificate(tmp_path: Path):
    from recgate.keys import GatewayKeys

    GatewayKeys(tmp_path, "gate-test").prepare()
    key, certificate = host_keys(tmp_path)

    assert key_line(key) == " ".join((tmp_path / "ssh_host_ed25519.pub").read_text().split()[:2])
    assert fingerprint(key).startswith("SHA256:")
    assert "gate-test" in certificate.principals
