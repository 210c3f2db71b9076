"""The gateway's keys: made once, kept from others, renewed in time, and good for the real tools."""

import base64
import hashlib
import json
import os
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from core.tests.small_plugins import BASE, everything
from recgate.config import GatewaySettings
from recgate.config.files import load
from recgate.errors import ConfigurationError
from recgate.keys import GatewayKeys
from recgate.keys.files import make_private_directory, read_or_create, read_private, write_atomically
from recgate.keys.ssh import certificate_still_good, issue_host_certificate, load_ssh_key, new_ssh_key
from recgate.keys.x509 import issue_ca, issue_server, load_ec_key, new_ec_key, still_good
from recgate.ledger.note import Vkey
from recgate.plugins import Registry


@pytest.fixture
def keys(tmp_path) -> GatewayKeys:
    found = GatewayKeys(tmp_path / "data", "gate-1", ["gate.example", "192.0.2.7"])
    found.prepare()
    return found


def run(*command: object) -> str:
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_what_is_secret_is_its_owners_alone(keys):
    assert mode(keys.directory) == 0o700
    files = sorted(path.name for path in keys.directory.iterdir())
    assert files == [
        "ca.key",
        "gate.key",
        "identity.pem",
        "journal",
        "ledger.origin",
        "ledger.pem",
        "ssh_host_ca",
        "ssh_host_ed25519",
        "ssh_user_ca",
        "subjects",
    ]
    assert {mode(path) for path in keys.directory.iterdir()} == {0o600}


def test_what_is_public_is_where_it_was_promised(keys):
    for name in ("ca.pem", "gate.pem", "ssh_host_ed25519.pub", "ssh_user_ca.pub", "trust.json"):
        assert mode(keys.data_dir / name) == 0o644


@pytest.mark.parametrize("umask", [0, 0o077])
def test_the_umask_decides_nothing(tmp_path, umask):
    before = os.umask(umask)
    try:
        GatewayKeys(tmp_path / "data").prepare()
    finally:
        os.umask(before)

    assert mode(tmp_path / "data" / "keys") == 0o700
    assert {mode(path) for path in (tmp_path / "data" / "keys").iterdir()} == {0o600}
    assert mode(tmp_path / "data") & 0o066 == 0
    assert mode(tmp_path / "data" / "ca.pem") == 0o644


def test_a_second_start_changes_nothing(keys):
    before = {path: path.read_bytes() for path in keys.data_dir.rglob("*") if path.is_file()}

    GatewayKeys(keys.data_dir, "gate-1", ["gate.example", "192.0.2.7"]).prepare()

    assert {path: path.read_bytes() for path in keys.data_dir.rglob("*") if path.is_file()} == before


def test_the_certificate_is_good_for_openssl(keys):
    run(
        "openssl",
        "verify",
        "-x509_strict",
        "-purpose",
        "sslserver",
        "-CAfile",
        keys.ca_file,
        keys.certificate_file,
    )
    text = run("openssl", "x509", "-in", keys.certificate_file, "-noout", "-ext", "subjectAltName")

    for name in ("gate-1", "gate.example", "localhost"):
        assert f"DNS:{name}" in text
    for address in ("192.0.2.7", "127.0.0.1", "0:0:0:0:0:0:0:1"):
        assert f"IP Address:{address}" in text


def test_the_host_certificate_is_good_for_ssh(keys):
    text = run("ssh-keygen", "-L", "-f", keys.data_dir / "ssh_host_ed25519-cert.pub")

    assert "host certificate" in text
    assert 'Key ID: "gate-1"' in text
    for name in ("gate-1", "gate.example", "127.0.0.1"):
        assert name in text
    assert (keys.data_dir / "ssh_host_ed25519-cert.pub").read_bytes() == keys.ssh_host_certificate


def test_public_files_fit_the_keys(keys):
    for name, key in (("ssh_host_ed25519", keys.ssh_host_key), ("ssh_user_ca", keys.ssh_user_ca)):
        line = (keys.data_dir / f"{name}.pub").read_bytes()
        assert serialization.load_ssh_public_key(line) == key.public_key()


def test_the_trust_file_has_the_identity_that_signs(keys):
    trust = json.loads((keys.data_dir / "trust.json").read_text())

    assert trust["gateway"] == "gate-1"
    (identity,) = trust["identity"]
    (ledger,) = trust["ledger"]
    vkey = Vkey.parse(ledger["vkey"])
    assert vkey.public == keys.ledger.public_key().public_bytes_raw()
    assert ledger["origin"] == vkey.name == f"recgate/gate-1/{hashlib.sha256(vkey.public).hexdigest()[:16]}"
    assert identity["algorithm"] == "Ed25519"
    assert base64.b64decode(identity["public"]) == keys.identity.public_key().public_bytes_raw()
    assert identity["fingerprint"].startswith("SHA256:")


def test_the_journal_key_is_secret_and_stays(keys):
    assert len(keys.journal.reveal()) == 32
    assert repr(keys.journal) == "Secret(***)"
    assert GatewayKeys(keys.data_dir).journal == keys.journal


@pytest.mark.parametrize("name", ["identity.pem", "journal", "ssh_host_ed25519", "ca.key"])
@pytest.mark.parametrize("rights", [0o640, 0o604, 0o666])
def test_a_key_that_others_may_read_is_refused_with_the_remedy(keys, name, rights):
    path = keys.directory / name
    path.chmod(rights)

    with pytest.raises(ConfigurationError) as refused:
        GatewayKeys(keys.data_dir).prepare()

    assert f"{path}: others may read it (mode {rights:04o}). Run `chmod 600 {path}`" in str(refused.value)


def test_a_key_directory_that_others_may_enter_is_refused(keys):
    keys.directory.chmod(0o750)

    with pytest.raises(ConfigurationError, match=r"Run `chmod 700 .*/keys`"):
        GatewayKeys(keys.data_dir).prepare()


def test_a_key_of_somebody_else_is_refused(keys):
    os.chown(keys.directory / "journal", 12345, -1)

    with pytest.raises(
        ConfigurationError, match=r"belongs to uid 12345, and this is uid 0\. Run as its owner"
    ):
        GatewayKeys(keys.data_dir).prepare()


@pytest.mark.parametrize("name", ["identity.pem", "journal", "ssh_user_ca", "ca.key", "gate.key"])
@pytest.mark.parametrize("content", [b"", b"garbage", b"x" * 100_000])
def test_a_damaged_key_is_refused_and_never_replaced(keys, name, content):
    path = keys.directory / name
    path.write_bytes(content)

    with pytest.raises(ConfigurationError, match="Restore it from a backup"):
        GatewayKeys(keys.data_dir, "gate-1").prepare()
    assert path.read_bytes() == content


def test_a_key_of_another_kind_is_refused(keys):
    ec = (keys.directory / "ca.key").read_bytes()
    (keys.directory / "identity.pem").write_bytes(ec)

    with pytest.raises(ConfigurationError, match="is not an Ed25519 key"):
        GatewayKeys(keys.data_dir).prepare()
    with pytest.raises(ConfigurationError, match="is not an SSH key"):
        load_ssh_key(ec, "x")
    with pytest.raises(ConfigurationError, match="is not an EC key"):
        load_ec_key(
            keys.identity.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            "x",
        )


def test_a_new_name_gets_a_new_certificate_under_the_same_root(keys):
    root, old = keys.ca_file.read_bytes(), keys.certificate_file.read_bytes()
    renamed = GatewayKeys(keys.data_dir, "gate-2")
    renamed.prepare()

    assert renamed.ca_file.read_bytes() == root
    assert renamed.certificate_file.read_bytes() != old
    run(
        "openssl",
        "verify",
        "-verify_hostname",
        "gate-2",
        "-CAfile",
        renamed.ca_file,
        renamed.certificate_file,
    )


def test_a_command_that_knows_no_hosts_does_not_renew(keys):
    before = keys.ssh_host_certificate

    assert GatewayKeys(keys.data_dir).ssh_host_certificate == before


def test_a_certificate_is_renewed_before_it_ends_and_when_it_is_not_ours():
    ca_key = load_ec_key(new_ec_key(), "ca")
    key = load_ec_key(new_ec_key(), "key")
    now = datetime.now(UTC)
    ca = issue_ca(ca_key, "gate", now)
    pem = issue_server(ca, ca_key, key, ["gate"], now).public_bytes(serialization.Encoding.PEM)

    assert still_good(pem, ca, key, ["gate"], now)
    assert still_good(pem, ca, key, ["gate"], now + timedelta(days=360))
    assert not still_good(pem, ca, key, ["gate"], now + timedelta(days=370))
    assert not still_good(pem, ca, key, ["gate", "other"], now)
    assert not still_good(pem, ca, load_ec_key(new_ec_key(), "x"), ["gate"], now)
    other_key = load_ec_key(new_ec_key(), "ca")
    assert not still_good(pem, issue_ca(other_key, "gate", now), key, ["gate"], now)
    assert not still_good(b"garbage", ca, key, ["gate"], now)


def test_a_server_certificate_never_outlives_its_root():
    ca_key, key = load_ec_key(new_ec_key(), "ca"), load_ec_key(new_ec_key(), "key")
    now = datetime.now(UTC)
    ca = issue_ca(ca_key, "gate", now - timedelta(days=3_600))

    assert issue_server(ca, ca_key, key, ["gate"], now).not_valid_after_utc <= ca.not_valid_after_utc


def test_a_host_certificate_is_renewed_when_it_does_not_fit():
    authority, key = load_ssh_key(new_ssh_key(), "a"), load_ssh_key(new_ssh_key(), "k")
    line = issue_host_certificate(authority, key, "gate", ["gate"])

    assert certificate_still_good(line, authority, key, ["gate"])
    assert not certificate_still_good(line, authority, key, ["gate", "b"])
    assert not certificate_still_good(line, key, key, ["gate"])
    assert not certificate_still_good(line, authority, authority, ["gate"])
    assert not certificate_still_good(b"garbage", authority, key, ["gate"])


def test_an_own_certificate_is_shown_instead(tmp_path, keys):
    own = (keys.certificate_file, keys.certificate_key_file)
    other = GatewayKeys(tmp_path / "other", own=own)
    other.prepare()

    assert (other.certificate_file, other.certificate_key_file) == own
    assert (tmp_path / "other" / "gate.pem").exists()


def test_an_own_certificate_that_does_not_load_is_refused_at_start(tmp_path, keys):
    other = GatewayKeys(tmp_path / "other", own=(keys.ca_file, keys.certificate_key_file))

    with pytest.raises(ConfigurationError, match=r"ca\.pem: does not load with the key"):
        other.prepare()


def test_names_come_from_the_configuration(tmp_path):
    file = tmp_path / "recgate.yaml"
    file.write_text(
        BASE.replace("data_dir: data", "data_dir: data, hosts: [gate.example]").replace(
            "127.0.0.1:7000", "192.0.2.9:7000"
        )
    )
    keys = GatewayKeys.of(load(file, Registry(everything(), path=[])))

    assert keys.data_dir == tmp_path / "data"
    assert keys.hosts == ("gate-1", "gate.example", "192.0.2.9", "localhost", "127.0.0.1", "::1")
    assert GatewaySettings(name="x").tls is None


def test_a_key_that_another_made_in_the_meantime_is_kept(tmp_path):
    def make() -> bytes:
        read_or_create(tmp_path / "key", lambda: b"of another")
        return b"of mine"

    assert read_or_create(tmp_path / "key", make) == b"of another"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_of_many_that_start_together_one_makes_the_key(tmp_path):
    made, got = [], []
    barrier = threading.Barrier(8)

    def start(number: int) -> None:
        barrier.wait()
        got.append(read_or_create(tmp_path / "key", lambda: made.append(number) or b"key of %d" % number))

    threads = [threading.Thread(target=start, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(got)) == 1
    assert got[0] == (tmp_path / "key").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_file_is_replaced_whole(tmp_path):
    write_atomically(tmp_path / "f", b"one")
    write_atomically(tmp_path / "f", b"two", 0o644)

    assert (tmp_path / "f").read_bytes() == b"two"
    assert mode(tmp_path / "f") == 0o644
    assert len(list(tmp_path.iterdir())) == 1


def test_what_cannot_be_written_says_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_atomically(tmp_path / "absent" / "f", b"x")
    with pytest.raises(ConfigurationError, match="cannot be used for keys"):
        make_private_directory(tmp_path / "file" / "keys")
    with pytest.raises(FileNotFoundError):
        read_private(tmp_path / "absent")


def test_the_root_is_issued_again_only_for_another_key(keys):
    root = x509.load_pem_x509_certificate(keys.ca_file.read_bytes())
    (keys.directory / "ca.key").unlink()
    fresh = GatewayKeys(keys.data_dir, "gate-1", ["gate.example", "192.0.2.7"])
    fresh.prepare()

    assert x509.load_pem_x509_certificate(fresh.ca_file.read_bytes()).public_key() != root.public_key()
    run("openssl", "verify", "-CAfile", fresh.ca_file, fresh.certificate_file)


def test_a_ledger_keeps_its_name_when_the_gateway_is_renamed(tmp_path):
    first = GatewayKeys(tmp_path / "data", "gate one+two").ledger_origin
    assert first.startswith("recgate/gate-one-two/")
    assert GatewayKeys(tmp_path / "data", "gate-2").ledger_origin == first


def test_a_damaged_name_of_a_ledger_is_refused(tmp_path):
    keys = GatewayKeys(tmp_path / "data", "gate-1")
    _ = keys.identity
    path = keys.directory / "ledger.origin"
    path.write_text("two words")
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="backup"):
        _ = keys.ledger_origin
