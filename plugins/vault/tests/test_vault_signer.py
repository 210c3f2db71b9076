"""What the gateway says of a person, and the key that it says it with."""

import base64
import json
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from recgate.errors import ConfigurationError, VaultFailed
from recgate.model import Principal, TargetInfo
from recgate_vault.asking import Asking
from recgate_vault.signer import LIFE, MAX_GROUPS, SHARE, Signer

ALICE = Principal("https://idp", "a-1", "alice", frozenset({"sre", "dba"}), source="corp")
TARGET = TargetInfo("prod-db", "postgres", "db", 5432, None)


def asking(principal: Principal = ALICE) -> Asking:
    return Asking(principal, TARGET, "01SESSION")


def part(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))


def test_it_says_who_where_and_for_how_long_and_the_published_key_verifies_it(tmp_path: Path) -> None:
    said = Signer(tmp_path, "gate-1").says(asking(), "vault").reveal()

    head, body, signature = said.split(b".")
    key = serialization.load_pem_public_key((tmp_path / "vault_jwt.pub").read_bytes())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    raw = part(signature)
    assert len(raw) == 2 * SHARE
    whole = encode_dss_signature(int.from_bytes(raw[:SHARE], "big"), int.from_bytes(raw[SHARE:], "big"))
    key.verify(whole, head + b"." + body, ec.ECDSA(hashes.SHA256()))
    claims = json.loads(part(body))
    assert json.loads(part(head)) == {"alg": "ES256", "typ": "JWT"}
    assert claims["exp"] - claims["iat"] == LIFE
    assert claims["nbf"] == claims["iat"] == pytest.approx(time.time(), abs=5)
    assert len(claims.pop("jti")) == 32
    assert {name: claims[name] for name in claims if name not in ("iat", "nbf", "exp")} == {
        "iss": "gate-1",
        "sub": "corp:alice",
        "aud": "vault",
        "source": "corp",
        "name": "alice",
        "groups": ["dba", "sre"],
        "target": "prod-db",
        "session": "01SESSION",
    }


def test_nothing_is_said_twice(tmp_path: Path) -> None:
    signer = Signer(tmp_path, "gate-1")
    assert signer.says(asking(), "vault") != signer.says(asking(), "vault")


def test_the_key_stays_and_is_nobody_elses(tmp_path: Path) -> None:
    Signer(tmp_path, "gate-1")
    key, public = tmp_path / "keys" / "vault_jwt.pem", tmp_path / "vault_jwt.pub"
    before = key.read_bytes(), public.read_bytes()
    public.unlink()

    Signer(tmp_path, "gate-1")

    assert (key.read_bytes(), public.read_bytes()) == before
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(public.stat().st_mode) == 0o644
    key.chmod(0o644)
    with pytest.raises(ConfigurationError, match="others may read it"):
        Signer(tmp_path, "gate-1")


@pytest.mark.parametrize("content", [b"x" * 40, "another curve"])
def test_a_key_that_is_none(tmp_path: Path, content: object) -> None:
    Signer(tmp_path, "gate-1")
    key = tmp_path / "keys" / "vault_jwt.pem"
    if content == "another curve":
        content = ec.generate_private_key(ec.SECP384R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    assert isinstance(content, bytes)
    key.write_bytes(content)
    with pytest.raises(ConfigurationError, match="Restore it from a backup"):
        Signer(tmp_path, "gate-1")


@pytest.mark.parametrize(
    ("principal", "reason"),
    [
        (replace(ALICE, source="corp:x"), "cannot be named to a vault"),
        (replace(ALICE, source="", issuer="https://idp"), "cannot be named to a vault"),
        (replace(ALICE, groups=frozenset(map(str, range(MAX_GROUPS + 1)))), "more than 500 groups"),
    ],
)
def test_who_cannot_be_named_without_doubt_is_not_named(
    tmp_path: Path, principal: Principal, reason: str
) -> None:
    """Threat 5: the user `x:alice` of `corp` is not the user `alice` of `corp:x`."""
    with pytest.raises(VaultFailed, match=reason):
        Signer(tmp_path, "gate-1").says(asking(principal), "vault")
