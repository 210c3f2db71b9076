"""The public keys that a verifier believes: `trust.json` as a gateway exports it, and as somebody keeps it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, cast

from recgate.errors import ConfigurationError
from recgate.recording.cose import key_id

__all__ = ["Trust", "fingerprint"]

MAX_TRUST: Final = 1 << 20  # bytes; a key takes 200
VERSION: Final = 1


def fingerprint(kid: bytes) -> str:
    """Write a key's id as people compare it, in the form that OpenSSH made common."""
    return "SHA256:" + base64.b64encode(kid).decode().rstrip("=")


class Trust:
    """Identity keys by their id. Empty, nothing is believed and every recording is `untrusted`."""

    def __init__(self, keys: Iterable[tuple[str, bytes]] = ()) -> None:
        self._keys = {key_id(key): (gateway, key) for gateway, key in keys}

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, kid: bytes) -> bytes | None:
        """Give the key of that id, or None when nobody said that it is to be believed."""
        return self._keys.get(kid, ("", None))[1]

    def gateway(self, kid: bytes) -> str | None:
        """Name the gateway whose key it is, as the trust file says, or None."""
        return self._keys.get(kid, (None, b""))[0]

    def names(self, gateway: str) -> bool:
        """Say whether a key of a gateway of that name is believed."""
        return any(name == gateway for name, _ in self._keys.values())

    @classmethod
    def load(cls, *paths: Path) -> Trust:
        """Read one or more files. Raises `ConfigurationError` for what cannot be read or is not a trust file."""
        return cls(key for path in paths for key in _read(path))


def _read(path: Path) -> Iterable[tuple[str, bytes]]:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_TRUST + 1)
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be read: {error.strerror}. Get trust.json from the gateway's data_dir."
        ) from error
    try:
        trust = cast("Mapping[str, object]", json.loads(data[:MAX_TRUST]))
        if trust["version"] != VERSION:
            raise ValueError(f"version {trust['version']!r}")
        entries = cast("list[Mapping[str, str]]", trust["identity"])
        keys = [
            base64.b64decode(entry["public"], validate=True)
            for entry in entries
            if entry["algorithm"] == "Ed25519"
        ]
        if any(len(key) != 32 for key in keys):
            raise ValueError("an Ed25519 key has 32 bytes")
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, binascii.Error) as error:
        raise ConfigurationError(f"{path}: is not a trust file of this version: {error}") from error
    return [(str(trust.get("gateway", "")), key) for key in keys]
