"""Programs prove themselves by TLS client certificates: real psql, a live gateway, a real PostgreSQL."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from plugins.certificates.tests.test_certificates_authenticator import Authority
from recgate.testing.process import GatewayProcess
from tests.peers.postgres import Cluster, debian_bin

PSQL = debian_bin() / "psql"
DAY = timedelta(days=1)
PATIENCE = 60  # seconds for psql to end


@dataclass
class Mesh:
    """An authority whose certificates count, a gateway that asks for them, and psql."""

    directory: Path
    authority: Authority
    gate: GatewayProcess

    def revoke(self, *certificates: x509.Certificate) -> None:
        """Publish the authority's list."""
        fresh = self.directory / "fresh.crl"
        fresh.write_bytes(self.authority.revocations(*certificates))
        fresh.replace(self.directory / "mesh.crl")

    def issue(self, name: str, *alternatives: x509.GeneralName, by: Authority | None = None, **more: Any):
        """Make NAME.pem and NAME.key, as psql wants them, and give the certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (by or self.authority).issue(*alternatives, key=key, **more)
        (self.directory / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        file = self.directory / f"{name}.key"
        file.touch(mode=0o600)
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate

    def psql(self, name: str = "") -> subprocess.Popen[str]:
        """Start psql with that certificate, or none; what it is to do comes by its standard input."""
        where = {
            "host": "127.0.0.1",
            "port": str(self.gate.port("postgres")),
            "user": "prod-db",
            "sslmode": "verify-full",
            "sslrootcert": str(self.gate.data_dir / "ca.pem"),
            "sslcert": str(self.directory / f"{name or 'none'}.pem"),
            "sslkey": str(self.directory / f"{name or 'none'}.key"),
        }
        words = [str(PSQL), "-XAtw", " ".join(f"{key}={value}" for key, value in where.items())]
        return subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "HOME": str(self.directory), "LC_ALL": "C.UTF-8"},
        )

    def ask(self, name: str = "") -> tuple[str, str]:
        """Let psql ask who it is at the target; gives its output and its complaints."""
        with self.psql(name) as process:
            return process.communicate("SELECT session_user;\n", PATIENCE)

    def refused(self, name: str = "") -> str:
        """Let psql ask in vain, and give what it was told."""
        output, complaint = self.ask(name)
        assert output == ""
        assert complaint
        return complaint

    def events(self, kind: str) -> list[dict[str, object]]:
        """Give the audit events of a kind."""
        lines = (self.gate.data_dir / "audit.jsonl").read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["event"] == kind]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=False) as running:
        yield running


@pytest.fixture
def mesh(tmp_path: Path, cluster: Cluster) -> Iterator[Mesh]:
    authority = Authority("mesh")
    pem = authority.certificate.public_bytes(serialization.Encoding.PEM)
    (tmp_path / "mesh.pem").write_bytes(pem)
    source = {
        "name": "mesh",
        "prefix": "mesh:",
        "ca": str(tmp_path / "mesh.pem"),
        "crl": str(tmp_path / "mesh.crl"),
        "rules": [
            {"uri": "spiffe://example.org/ci/*", "groups": ["ci"]},
            {"dns": "*.batch.example", "user": "batch", "groups": ["jobs"]},
        ],
    }
    target = {
        "name": "prod-db",
        "protocol": "postgres",
        "address": f"127.0.0.1:{cluster.port}",
        "options": {"database": "postgres", "tls": "disable"},
        "credential": "local:prod-db",
        "allow": ["group:mesh:ci"],
    }
    config = {
        "listeners": [
            {"protocol": "postgres", "bind": "127.0.0.1:0", "tls": "require", "auth": "certificate"}
        ],
        "identity": [{"certificates": source}, {"local": {}}],
        "limits": {"recheck": "200ms"},
        "targets": [target],
    }
    gate = GatewayProcess(tmp_path, config)
    gate.run("secret", "set", "prod-db", "--username", "trust_user", "--password-stdin", stdin="unused")
    mesh = Mesh(tmp_path, authority, gate)
    mesh.revoke()
    with gate:
        yield mesh


def uri(text: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(text)


def test_a_program_is_let_in_by_its_certificate_and_goes_by_its_alternative_name(mesh: Mesh) -> None:
    mesh.issue("deploy", uri("spiffe://example.org/ci/deploy"), common="prod-db")

    assert mesh.ask("deploy") == ("trust_user\n", "")

    mesh.gate.until(lambda: mesh.events("session.closed"), "the session closed")
    (opened,) = mesh.events("session.opened")
    assert opened["user"] == "mesh:spiffe://example.org/ci/deploy"
    assert opened["method"] == "tls-certificate"
    mesh.gate.until(lambda: mesh.gate.rows("sessions")[0]["status"] == "sealed", "its recording sealed")
    (row,) = mesh.gate.rows("sessions")
    assert (row["user"], row["groups"]) == ("mesh:spiffe://example.org/ci/deploy", ["mesh:ci"])


@pytest.mark.parametrize(
    "names",
    [
        pytest.param([uri("spiffe://example.org/web/shop")], id="another-path"),
        pytest.param([uri("spiffe://example.org.evil/ci/deploy")], id="another-domain"),
        pytest.param([x509.DNSName("spiffe://example.org/ci/deploy")], id="the-name-of-another-kind"),
        pytest.param([], id="no-name-but-the-common-one"),
    ],
)
def test_a_name_that_no_rule_fits_is_refused(mesh: Mesh, names: list[x509.GeneralName]) -> None:
    mesh.issue("other", *names, common="spiffe://example.org/ci/deploy")

    assert "FATAL" in mesh.refused("other")
    mesh.gate.until(lambda: mesh.events("login.failed"), "the refusal in the audit trail")
    assert "the certificate is refused" in str(mesh.events("login.failed")[0]["reason"])
    assert not mesh.events("session.opened")


def test_who_is_known_and_not_in_the_group_is_refused_by_the_target(mesh: Mesh) -> None:
    mesh.issue("job", x509.DNSName("nightly.batch.example"))

    assert 'no postgres target "prod-db" is open to you' in mesh.refused("job")
    mesh.gate.until(lambda: mesh.events("access.denied"), "the refusal in the audit trail")
    assert mesh.events("access.denied")[0]["user"] == "mesh:batch"


def test_a_revoked_certificate_is_refused_and_ends_the_session_that_it_opened(mesh: Mesh) -> None:
    """Threat 6."""
    certificate = mesh.issue("deploy", uri("spiffe://example.org/ci/deploy"))
    another = mesh.issue("other", uri("spiffe://example.org/ci/other"))
    with mesh.psql("deploy") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("SELECT session_user;\n")
        process.stdin.flush()
        assert process.stdout.readline() == "trust_user\n"

        mesh.revoke(certificate)

        mesh.gate.until(lambda: mesh.events("session.closed"), "the session ended")
        _, complaint = process.communicate("SELECT 1;\n", PATIENCE)
    assert "FATAL" in complaint
    assert "FATAL" in mesh.refused("deploy")
    mesh.gate.until(lambda: mesh.events("login.failed"), "the refusal in the audit trail")
    assert "revoked" in str(mesh.events("login.failed")[-1]["reason"])
    assert mesh.ask("other") == ("trust_user\n", "")
    assert another.serial_number != certificate.serial_number


def test_without_a_current_list_nobody_gets_in(mesh: Mesh) -> None:
    """Law 3."""
    mesh.issue("deploy", uri("spiffe://example.org/ci/deploy"))
    (mesh.directory / "mesh.crl").unlink()

    assert "FATAL" in mesh.refused("deploy")
    mesh.revoke()
    assert mesh.ask("deploy") == ("trust_user\n", "")


def test_expired_of_another_purpose_or_of_a_namesake_of_the_authority_is_refused(mesh: Mesh) -> None:
    name = uri("spiffe://example.org/ci/deploy")
    now = datetime.now(UTC)
    mesh.issue("expired", name, begin=now - 3 * DAY, end=now - 2 * DAY)
    mesh.issue("server", name, usage=(ExtendedKeyUsageOID.SERVER_AUTH,))
    mesh.issue("forged", name, by=Authority("mesh"))

    for each in ("expired", "server", "forged"):
        assert mesh.refused(each)
    assert not mesh.events("session.opened")


def test_who_shows_no_certificate_is_told_what_is_asked_for(mesh: Mesh) -> None:
    assert "certificate" in mesh.refused()
