"""What keys there are, what for, since when, and where each rests. Makes none, and shows nothing secret."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate.keys.files import read_private
from recgate.keys.history import History
from recgate.keys.keeping import KeyReference
from recgate.recording.cose import key_id
from recgate.recording.journalfiles import WRAPPING_KEY, wrapping_id
from recgate.recording.trust import fingerprint

__all__ = ["KeyRow", "key_rows"]

_PURPOSE: Final = {
    "identity.pem": ("identity", "signs the headers of recordings, and recoveries"),
    "ledger.pem": ("ledger", "signs the heads of the ledger"),
    "journal": ("journal", "wraps the keys of journals that begin"),
    "ca.key": ("ca", "signs the listeners' certificate"),
    "gate.key": ("tls", "proves the listeners to TLS clients"),
    "ssh_host_ed25519": ("ssh-host", "proves the gateway to SSH clients"),
    "ssh_host_ca": ("ssh-host-ca", "signs the SSH host certificate"),
    "ssh_user_ca": ("ssh-user-ca", "signs users' SSH certificates"),
    "masks": ("masks", "keys the hashes and tokens of masks"),
    "subjects": ("subjects", "keys the hashes of people in the ledger"),
}
_OTHERS: Final = frozenset({"history.json", "identity.next", "ledger.origin"})


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One key. `since` and `until` are wall-clock seconds, 0 where not known; `at` is `file`, `gone` or its keeper."""

    key: str
    purpose: str
    algorithm: str
    fingerprint: str
    since: float
    until: float
    at: str


def key_rows(directory: Path) -> Iterator[KeyRow]:
    """Give a row for every key in the directory of keys, and for the identity keys that were before.

    Raises:
        ConfigurationError: a file may be read by others, or the history is damaged.
    """
    if not directory.is_dir():
        return
    for path in sorted(directory.iterdir()):
        if path.name in _OTHERS or path.name.startswith(".") or not path.is_file():
            continue
        yield _row(path)
    for past in History.load(directory).past:
        yield KeyRow(
            past.key,
            f"signed {'recordings' if past.key == 'identity' else 'the ledger'} until it was {past.how}",
            "Ed25519",
            fingerprint(key_id(past.public)),
            0.0,
            past.wall / 1e9,
            "gone",
        )


def _row(path: Path) -> KeyRow:
    data = read_private(path)
    key, purpose = _PURPOSE.get(path.name, (path.name, ""))
    if path.name.startswith("journal."):
        key, purpose = "journal", "opens journals that began before it was rotated"
    if path.name.startswith("sealed-"):
        purpose = f"opens the vault {path.name.removeprefix('sealed-')}"
    reference = KeyReference.parse(data, path)
    algorithm, name, at = _about(path, data)
    if reference is not None:
        at = reference.keeper
        algorithm = "Ed25519" if reference.public else "AES-256"
        name = fingerprint(key_id(reference.public)) if reference.public else ""
    return KeyRow(key, purpose, algorithm, name, path.stat().st_mtime, 0.0, at)


def _about(path: Path, data: bytes) -> tuple[str, str, str]:
    """Give algorithm, fingerprint and place of a key that is a file."""
    if path.name.partition(".")[0] == "journal" and len(data) == WRAPPING_KEY:
        return "AES-256", wrapping_id(data).hex(), "file"
    with contextlib.suppress(ValueError, TypeError, UnsupportedAlgorithm):
        ssh = data.startswith(b"-----BEGIN OPENSSH")
        load = serialization.load_ssh_private_key if ssh else serialization.load_pem_private_key
        loaded = load(data, None)
        if isinstance(loaded, Ed25519PrivateKey) and not ssh:
            return "Ed25519", fingerprint(key_id(loaded.public_key().public_bytes_raw())), "file"
        if isinstance(loaded, Ed25519PrivateKey):
            return "Ed25519", _ssh_fingerprint(loaded), "file"
        if isinstance(loaded, EllipticCurvePrivateKey):
            public = loaded.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            return "P-256", fingerprint(hashlib.sha256(public).digest()), "file"
    return "", "", "file"


def _ssh_fingerprint(key: Ed25519PrivateKey) -> str:
    """Give what `ssh-keygen -l` shows: over the key blob of RFC 4253 §6.6."""
    line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return fingerprint(hashlib.sha256(base64.b64decode(line.split()[1])).digest())
