"""What is kept, as a credential: a JSON object of its parts, or the password alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final, cast

from recgate.errors import VaultFailed
from recgate.model import Credential, Secret

__all__ = ["MAX_SECRET", "FixedLease", "credential_of"]

MAX_SECRET: Final = 256 * 1024  # bytes; a key with a certificate chain is far below
_PARTS: Final = frozenset({"username", "password", "private_key", "certificate"})


@dataclass(frozen=True, slots=True)
class FixedLease:
    """The loan of what does not end by itself."""

    id: str
    credential: Credential
    ttl: float | None = None


def credential_of(where: str, data: bytes) -> Credential:
    """Read a credential. A text that begins like JSON is JSON; the last line break of any other is not part of it.

    Args:
        where: what errors call it.
        data: what was kept there.

    Raises:
        VaultFailed: empty, too large, not UTF-8, or JSON that is no credential. Quotes nothing of it.
    """
    if len(data) > MAX_SECRET:
        raise VaultFailed(f"{where} is larger than {MAX_SECRET // 1024} KiB. Keep one credential there.")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise VaultFailed(f"{where} is not UTF-8. Keep text there.") from None
    if text.lstrip().startswith("{"):
        return _of_json(where, text)
    password = text.removesuffix("\n").removesuffix("\r")
    if not password:
        raise VaultFailed(f"{where} is empty. Keep a password there, or a JSON object with one.")
    return Credential(password=Secret(password))


def _of_json(where: str, text: str) -> Credential:
    try:
        found: object = json.loads(text)
    except ValueError:
        raise VaultFailed(f"{where} begins like JSON and is none. Mend it.") from None
    parts = cast("dict[str, object]", found) if isinstance(found, dict) else {}
    if (
        not parts
        or not parts.keys() <= _PARTS
        or not all(isinstance(part, str) and part for part in parts.values())
    ):
        raise VaultFailed(f"{where} should be an object of texts: {', '.join(sorted(_PARTS))}.")
    words = cast("dict[str, str]", parts)
    return Credential(
        username=words.get("username", ""),
        password=_secret(words.get("password")),
        private_key=_secret(words.get("private_key")),
        certificate=words.get("certificate", "").encode(),
    )


def _secret(text: str | None) -> Secret | None:
    return Secret(text) if text is not None else None
