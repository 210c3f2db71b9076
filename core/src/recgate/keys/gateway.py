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
from recgate.keys.files import make_private_directory, read_or_create, read_private, write_atomically
from recgate.keys.history import History
from recgate.keys.keeping import KeyKeeper, load_signing, new_signing, open_secret, seal_secret
from recgate.keys.rotation import JOURNAL_ABOUT, finish_rotations, refuse_loss, retired_journal_keys
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
from recgate.recording.cose import SigningKey, key_id, public_bytes
from recgate.recording.journalfiles import WRAPPING_KEY
from recgate.recording.trust import TRUST_NAME, fingerprint, moment
from recgate.tls import server_context

if TYPE_CHECKING:
    from recgate.config import Configuration

__all__ = ["GatewayKeys"]

MASK_KEY: Final = 32
SUBJECTS_KEY: Final = 32
PERMIT_KEY: Final = 32
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
        keeper: what keeps the keys of recordings, where they are to be no files.

    Every attribute raises `ConfigurationError` when a key cannot be made, is damaged, or others may read it.
    """

    def __init__(
        self,
        data_dir: Path,
        name: str = "recgate",
        hosts: Sequence[str] = (),
        own: tuple[Path, Path] | None = None,
        keeper: KeyKeeper | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.keeper = keeper
        self._own = own
        self.witnesses: tuple[
            str, ...
        ] = ()  # public keys of those who vouch for the ledger, for the trust file
        self.name = name
        self.hosts = tuple(dict.fromkeys([name, *hosts, *ALWAYS]))
        self.directory = data_dir / "keys"

    @classmethod
    def of(cls, config: Configuration, keeper: KeyKeeper | None = None) -> GatewayKeys:
        """Give the keys of a configured gateway; its certificates name every address it binds.

        Without a `keeper` those keys that are no files cannot be used, and the others can.
        """
        binds = [listener.host for listener in config.listeners if listener.host not in _ANY]
        tls = config.gateway.tls
        own = (tls.certificate, tls.key) if tls else None
        keys = cls(config.data_dir, config.gateway.name, [*config.gateway.hosts, *binds], own, keeper)
        keys.witnesses = tuple(each.key for each in config.recording.witnesses if each.key is not None)
        return keys

    def prepare(self) -> None:
        """Make what is missing, renew what ends soon, write what is public. Called at start and at reload."""
        finish_rotations(self.directory, self.keeper)
        refuse_loss(self)
        _ = self.identity, self.journals, self.subjects
        self.renew_tls()
        if self._own is not None:
            server_context(
                *self._own
            )  # now, and not when the first client comes: a reload must keep the old one
        self._publish("ssh_host_ed25519.pub", public_line(self.ssh_host_key, f"recgate@{self.name}"))
        self._publish("ssh_host_ca.pub", public_line(self.ssh_host_ca, f"recgate-host-ca@{self.name}"))
        self._publish("ssh_user_ca.pub", public_line(self.ssh_user_ca, f"recgate-user-ca@{self.name}"))
        self._renew_ssh()
        self.publish_trust()

    @cached_property
    def identity(self) -> SigningKey:
        """What signs the header of every recording."""
        path = self._path("identity.pem")
        data = read_or_create(path, lambda: new_signing(self.keeper, f"{self.name} identity"))
        return load_signing(data, path, self.keeper)

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
        path = self._path("journal")
        make = lambda: seal_secret(self.keeper, secrets.token_bytes(WRAPPING_KEY), JOURNAL_ABOUT)  # noqa: E731
        return self._wrapping(path, read_or_create(path, make))

    @cached_property
    def journals(self) -> Secret:
        """The journal key, and behind it those that journals may still need: 32 bytes each."""
        keys = [self._wrapping(path, read_private(path)) for path in retired_journal_keys(self.directory)]
        return Secret(b"".join(key.reveal() for key in (self.journal, *keys)))

    def _wrapping(self, path: Path, data: bytes) -> Secret:
        key = open_secret(data, path, self.keeper, JOURNAL_ABOUT)
        if len(key) != WRAPPING_KEY:
            raise ConfigurationError(f"{path}: is not {WRAPPING_KEY} bytes. Restore it from a backup.")
        return Secret(key)

    @cached_property
    def subjects(self) -> Secret:
        """What the ledger's hashes of people are keyed with: 32 bytes."""
        return self._secret("subjects", SUBJECTS_KEY)

    def same_as(self, other: GatewayKeys) -> bool:
        """Say whether recordings rest on the same keys."""
        same = public_bytes(self.identity) == public_bytes(other.identity)
        return same and self.journals == other.journals

    def forget(self) -> None:
        """Read the keys of recordings anew when they are next asked for: somebody has changed them."""
        for name in ("identity", "ledger", "journal", "journals"):
            self.__dict__.pop(name, None)

    @cached_property
    def masks(self) -> Secret:
        """What the hashes and tokens of masks are keyed with: 32 bytes, made when a mask first needs them."""
        return self._secret("masks", MASK_KEY)

    @cached_property
    def permits(self) -> Secret:
        """What permits to unseal originals come from: 32 bytes, made when originals are first kept."""
        return self._secret("permits", PERMIT_KEY)

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
        key = load_signing(read_or_create(path, lambda: new_signing(None, name)), path, None)
        assert isinstance(key, Ed25519PrivateKey)  # without a keeper it is nothing else
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

    def publish_trust(self) -> None:
        """Write the public keys that a verifier of this gateway's recordings believes."""
        self._publish(TRUST_NAME, self._trust())

    def _trust(self) -> bytes:
        history = History.load(self.directory)
        identity = [_described(public_bytes(self.identity))]
        for past in reversed(history.of("identity")):
            until = {"retired": moment(past.wall), "why": past.how}
            identity.append({**_described(past.public), **until})
        vkey = Vkey(self.ledger_origin, ED25519, self.ledger.public_key().public_bytes_raw())
        trust: dict[str, object] = {
            "version": 1,
            "gateway": self.name,
            "identity": identity,
            "ledger": [{"origin": vkey.name, "vkey": vkey.text}],
            "witnesses": list(self.witnesses),
        }
        if former := history.of("ledger"):
            # Apart: a head that one of these signs is none of today's.
            trust["former_ledger"] = [
                {
                    "origin": vkey.name,
                    "vkey": Vkey(vkey.name, ED25519, each.public).text,
                    "retired": moment(each.wall),
                    "why": each.how,
                }
                for each in former
            ]
        if history.successions:
            trust["successions"] = [base64.b64encode(each).decode() for each in history.successions]
        return json.dumps(trust, indent=2).encode() + b"\n"


def _described(public: bytes) -> dict[str, str]:
    return {
        "algorithm": "Ed25519",
        "public": base64.b64encode(public).decode(),
        "fingerprint": fingerprint(key_id(public)),
    }
