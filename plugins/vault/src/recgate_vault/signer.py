"""What the gateway says of a person to the vault: a JWT for one session, good for a minute (RFC 7519, RFC 7523 §3).

The vault believes the key whose public half is in `data_dir/vault_jwt.pub`. No user's own token ever goes there: many
have none, and one that can be used elsewhere is not passed on.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from recgate.errors import ConfigurationError, VaultFailed
from recgate.keys.files import make_private_directory, read_or_create, write_atomically
from recgate.model import Principal, Secret
from recgate_vault.asking import Asking

__all__ = ["LIFE", "MAX_GROUPS", "Signer"]

LIFE: Final = 60  # seconds; it is used at once
MAX_GROUPS: Final = 500  # more make a JWT that servers refuse for its length
SHARE: Final = 32  # bytes of r and of s (RFC 7518 §3.4)


class Signer:
    """Signs for one gateway. Makes its key when it is made, and publishes the public half.

    Raises:
        ConfigurationError: the key cannot be made or read, or others may read it.
    """

    def __init__(self, data_dir: Path, issuer: str) -> None:
        self._issuer = issuer
        path = data_dir / "keys" / "vault_jwt.pem"
        make_private_directory(path.parent)
        try:
            key = serialization.load_pem_private_key(read_or_create(path, _new_key), None)
        except (ValueError, TypeError) as exc:
            raise ConfigurationError(f"{path}: is not a private key. Restore it from a backup.") from exc
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ConfigurationError(f"{path}: is not a P-256 key. Restore it from a backup.")
        self._key = key
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        published = data_dir / "vault_jwt.pub"
        if not published.exists() or published.read_bytes() != public:
            write_atomically(published, public, 0o644)

    def says(self, asking: Asking, audience: str) -> Secret:
        """Say for whom, at which target and in which session a credential is asked. Raises `VaultFailed`."""
        principal = asking.principal
        _check(principal)
        now = int(time.time())
        return self._signed(
            {
                "iss": self._issuer,
                "sub": f"{principal.proven_by}:{principal.name}",
                "aud": audience,
                "iat": now,
                "nbf": now,
                "exp": now + LIFE,
                "jti": secrets.token_hex(16),
                "source": principal.proven_by,
                "name": principal.name,
                "groups": sorted(principal.groups),
                "target": asking.target.name,
                "session": asking.session,
            }
        )

    def _signed(self, claims: Mapping[str, object]) -> Secret:
        text = _part({"alg": "ES256", "typ": "JWT"}) + b"." + _part(claims)
        r, s = decode_dss_signature(self._key.sign(text, ec.ECDSA(hashes.SHA256())))
        return Secret(text + b"." + _base64(r.to_bytes(SHARE, "big") + s.to_bytes(SHARE, "big")))


def _check(principal: Principal) -> None:
    if ":" in principal.proven_by or not principal.proven_by or not principal.name:
        # `a:b` of the source `c` would be `b` of the source `c:a`.
        raise VaultFailed(f"the identity source {principal.proven_by[:100]!a} cannot be named to a vault.")
    if len(principal.groups) > MAX_GROUPS:
        raise VaultFailed(
            f"{principal.name[:100]!a} is in more than {MAX_GROUPS} groups, which no vault is told. "
            "Map fewer at the identity source."
        )


def _new_key() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _part(value: Mapping[str, object]) -> bytes:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
