"""Canaries: secrets that are looked for, in every shape they could have been written down in.

A `Canary` is one secret's bytes; `found_in(page)` names the shape in which they stand there. Keys wrap at 70
characters and JSON writes line ends as two, so white space and written line ends are no hiding place.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import urllib.parse
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

__all__ = ["Canary", "Page"]

_BLANK = re.compile(rb"\\+[nr]|\s+")


class Page:
    """What is searched."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.squeezed = _BLANK.sub(b"", data)


class Canary:
    """One secret. `text` is what goes into a vault, `name` what a test says of it."""

    def __init__(self, name: str, text: str, secret: bytes, part: bytes = b"") -> None:
        self.name = name
        self.text = text
        shapes = [*_shapes(secret), *([("a part", part)] if part else [])]
        self._shapes = [(shape, needle, _BLANK.sub(b"", needle)) for shape, needle in shapes]

    @classmethod
    def password(cls, name: str) -> Canary:
        """Make a password with what quoting and escaping change, and a part that they leave as it is."""
        part = secrets.token_urlsafe(12)
        text = f"canary 'ä\"{part}"
        return cls(name, text, text.encode(), part.encode())

    @classmethod
    def key(cls, name: str, path: Path) -> Canary:
        """Take the SSH key of a file: its secret half is the canary, since the other half may be shown."""
        key = load_ssh_private_key(path.read_bytes(), None)
        assert isinstance(key, Ed25519PrivateKey)
        return cls(name, path.read_text(), key.private_bytes_raw())

    @classmethod
    def word(cls, name: str, text: str) -> Canary:
        """Take a token as it is."""
        return cls(name, text, text.encode())

    def found_in(self, page: Page) -> str:
        """Name the shape in which the secret stands there; empty if it does not."""
        for shape, needle, squeezed in self._shapes:
            if needle in page.data or squeezed in page.squeezed:
                return shape
        return ""


def _shapes(secret: bytes) -> list[tuple[str, bytes]]:
    found = [
        ("plain", secret),
        ("hexadecimal", secret.hex().encode()),
        ("HEXADECIMAL", secret.hex().upper().encode()),
        ("quoted for a URL", urllib.parse.quote(secret).encode()),
    ]
    for alphabet, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
        for offset in range(3):
            # What its neighbours share a character with is left out at both ends.
            whole = encode(bytes(offset) + secret)
            found.append((f"{alphabet} at {offset}", whole[(offset * 8 + 5) // 6 :].rstrip(b"=")[:-1]))
    try:
        text = secret.decode()
    except UnicodeDecodeError:
        return found
    quoted = text.replace("'", "''")
    return [
        *found,
        ("JSON", json.dumps(text)[1:-1].encode()),
        ("JSON with Unicode", json.dumps(text, ensure_ascii=False)[1:-1].encode()),
        ("repr", repr(text)[1:-1].encode()),
        ("repr of bytes", repr(secret)[2:-1].encode()),
        ("SQL", quoted.encode()),
        ("UTF-16", text.encode("utf-16-le")),
    ]
