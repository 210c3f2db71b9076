"""One object for all keys of a gateway, each made when it is first asked for."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate.errors import ConfigurationError
from recgate.keys.files import make_private_directory, read_or_create, write_atomically
from recgate.keys.ssh import (
    certificate_still_good,
    issue_host_certificate,
    load_ssh_key,
    new_ssh_key,
    public_line,
)
from recgate.keys.x509 import issue_ca, issue_server, load_ec_key, new_ec_key, still_good
from recgate.ledger.note import ED25519, Vkey, is_name
from recgate.model import Secret
from recgate.tls import server_context

if TYPE_CHECKING:
    from recgate.config import Configuration

__all__ = ["GatewayKeys"]

JOURNAL_KEY: Final = 32  # bytes: AES-256
MASK_KEY: Final = 32
SUBJECTS_KEY: Final = 32
PUBLIC: Final = 0o644
ALWAYS: Final = ("localhost", "127.0.0.1", "::1")
_ANY: Final = ("0.0.0.0", "::")  # noqa: S104 - what is left out of the certificate, not bound to


class GatewayKeys:
    """Keys under `data_dir`. Nothing is made before it is asked for; `prepare` makes everything.

    Args:
        data_dir: the gateway's directory.
        name: the gateway's name, for new certificates.
        hosts: further names and addresses that clients reach it by.
        own: certificate and key of the operator's, which listeners show instead of a generated one.

    Every attribute raises `ConfigurationError` when a key cannot be made, is damaged, or others may read it.
    """

    def __init__(
        self,
        data_dir: Path,
        name: str = "recgate",
        hosts: Sequence[str] = (),
        own: tuple[Path, Path] | None = None,
    ) -> None:
        self.data_dir = data_dir
        self._own = own
        self.name = name
        self.hosts = tuple(dict.fromkeys([name, *hosts, *ALWAYS]))
        self.directory = data_dir / "keys"

    @classmethod
    def of(cls, config: Configuration) -> GatewayKeys:
        """Give the keys of a configured gateway; its certificates name every address it binds."""
        binds = [listener.host for listener in config.listeners if listener.host not in _ANY]
        tls = config.gateway.tls
        own = (tls.certificate, tls.key) if tls else None
        return cls(config.data_dir, config.gateway.name, [*config.gateway.hosts, *binds], own)

    def prepare(self) -> None:
        """Make what is missing, renew what ends soon, write what is public. Called at start and at reload."""
        _ = self.identity, self.journal, self.subjects
        self.renew_tls()
        if self._own is not None:
            server_context(
                *self._own
            )  # now, and not when the first client comes: a reload must keep the old one
        self._publish("ssh_host_ed25519.pub", public_line(self.ssh_host_key, f"recgate@{self.name}"))
        self._publish("ssh_host_ca.pub", public_line(self.ssh_host_ca, f"recgate-host-ca@{self.name}"))
        self._publish("ssh_user_ca.pub", public_line(self.ssh_user_ca, f"recgate-user-ca@{self.name}"))
        self._renew_ssh()
        self._publish("trust.json", self._trust())

    @cached_property
    def identity(self) -> Ed25519PrivateKey:
        """What signs the header of every recording."""
        return self._ed25519("identity.pem")

    @cached_property
    def ledger(self) -> Ed25519PrivateKey:
        """What signs the heads of the ledger."""
        return self._ed25519("ledger.pem")

    @cached_property
    def ledger_origin(self) -> str:
        """The name of the ledger. It keeps the one that it began with when the gateway is renamed."""
        path = self._path("ledger.origin")
        origin = read_or_create(path, self._new_origin).decode(errors="replace").strip()
        if not is_name(origin):
            raise ConfigurationError(f"{path}: is not the name of a ledger. Restore it from a backup.")
        return origin

    @cached_property
    def journal(self) -> Secret:
        """What wraps the keys of journals: 32 bytes."""
        return self._secret("journal", JOURNAL_KEY)

    @cached_property
    def subjects(self) -> Secret:
        """What the ledger's hashes of people are keyed with: 32 bytes."""
        return self._secret("subjects", SUBJECTS_KEY)

    @cached_property
    def masks(self) -> Secret:
        """What the hashes and tokens of masks are keyed with: 32 bytes, made when a mask first needs them."""
        return self._secret("masks", MASK_KEY)

    @property
    def ca_file(self) -> Path:
        """The root certificate that clients are given."""
        return self.data_dir / "ca.pem"

    @property
    def certificate_file(self) -> Path:
        """The certificate that listeners show."""
        return self._own[0] if self._own else self.data_dir / "gate.pem"

    @property
    def certificate_key_file(self) -> Path:
        """The private key to `certificate_file`."""
        return self._own[1] if self._own else self.directory / "gate.key"

    def renew_tls(self) -> bool:
        """Issue the listeners' certificate if it is missing, ends soon, or is for other hosts; say if it was."""
        ca_key_path = self._path("ca.key")
        ca_key = load_ec_key(read_or_create(ca_key_path, new_ec_key), ca_key_path)
        ca = self._ca(ca_key)
        key_path = self._path("gate.key")
        key = load_ec_key(read_or_create(key_path, new_ec_key), key_path)
        path = self.data_dir / "gate.pem"
        if path.exists() and still_good(path.read_bytes(), ca, key, self.hosts):
            return False
        certificate = issue_server(ca, ca_key, key, self.hosts)
        write_atomically(path, certificate.public_bytes(serialization.Encoding.PEM), PUBLIC)
        return True

    def _ca(self, key: EllipticCurvePrivateKey) -> x509.Certificate:
        if self.ca_file.exists():
            try:
                ca = x509.load_pem_x509_certificate(self.ca_file.read_bytes())
            except ValueError as exc:
                raise ConfigurationError(f"{self.ca_file}: is not a certificate. Remove it.") from exc
            if ca.public_key() == key.public_key():
                return ca
        ca = issue_ca(key, self.name)
        write_atomically(self.ca_file, ca.public_bytes(serialization.Encoding.PEM), PUBLIC)
        return ca

    @cached_property
    def ssh_host_key(self) -> Ed25519PrivateKey:
        """What proves the gateway to SSH clients."""
        return self._ssh("ssh_host_ed25519")

    @cached_property
    def ssh_host_ca(self) -> Ed25519PrivateKey:
        """What signs host certificates: a client trusts it by an `@cert-authority` line."""
        return self._ssh("ssh_host_ca")

    @cached_property
    def ssh_user_ca(self) -> Ed25519PrivateKey:
        """What signs user certificates."""
        return self._ssh("ssh_user_ca")

    @property
    def ssh_host_certificate(self) -> bytes:
        """The line of the host certificate, as `prepare` left it."""
        path = self.data_dir / "ssh_host_ed25519-cert.pub"
        return path.read_bytes() if path.exists() else self._renew_ssh()

    def _renew_ssh(self) -> bytes:
        path = self.data_dir / "ssh_host_ed25519-cert.pub"
        if path.exists():
            line = path.read_bytes()
            if certificate_still_good(line, self.ssh_host_ca, self.ssh_host_key, self.hosts):
                return line
        line = issue_host_certificate(self.ssh_host_ca, self.ssh_host_key, self.name, self.hosts)
        write_atomically(path, line, PUBLIC)
        return line

    def _ssh(self, name: str) -> Ed25519PrivateKey:
        path = self._path(name)
        return load_ssh_key(read_or_create(path, new_ssh_key), path)

    def _ed25519(self, name: str) -> Ed25519PrivateKey:
        path = self._path(name)
        try:
            key = serialization.load_pem_private_key(read_or_create(path, _new_identity), None)
        except (ValueError, TypeError) as exc:
            raise ConfigurationError(f"{path}: is not a private key. Restore it from a backup.") from exc
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigurationError(f"{path}: is not an Ed25519 key. Restore it from a backup.")
        return key

    def _secret(self, name: str, size: int) -> Secret:
        path = self._path(name)
        key = read_or_create(path, lambda: secrets.token_bytes(size))
        if len(key) != size:
            raise ConfigurationError(f"{path}: is not {size} bytes. Restore it from a backup.")
        return Secret(key)

    def _new_origin(self) -> bytes:
        public = self.ledger.public_key().public_bytes_raw()
        # A verifier key is written with plus signs between its parts, and a signature line with spaces.
        name = "".join("-" if each.isspace() or each == "+" else each for each in self.name)
        return f"recgate/{name}/{hashlib.sha256(public).hexdigest()[:16]}\n".encode()

    def _path(self, name: str) -> Path:
        make_private_directory(self.directory)
        return self.directory / name

    def _publish(self, name: str, data: bytes) -> None:
        path = self.data_dir / name
        if not path.exists() or path.read_bytes() != data:
            write_atomically(path, data, PUBLIC)

    def _trust(self) -> bytes:
        """Give the public keys that a verifier of this gateway's recordings believes."""
        raw = self.identity.public_key().public_bytes_raw()
        identity = {
            "algorithm": "Ed25519",
            "public": base64.b64encode(raw).decode(),
            "fingerprint": "SHA256:" + base64.b64encode(hashlib.sha256(raw).digest()).decode().rstrip("="),
        }
        vkey = Vkey(self.ledger_origin, ED25519, self.ledger.public_key().public_bytes_raw())
        trust = {
            "version": 1,
            "gateway": self.name,
            "identity": [identity],
            "ledger": [{"origin": vkey.name, "vkey": vkey.text}],
        }
        return json.dumps(trust, indent=2).encode() + b"\n"


def _new_identity() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
