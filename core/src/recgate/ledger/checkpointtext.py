"""What a log signs: its name, its number of entries, and one hash that stands for them (C2SP tlog-checkpoint)."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from recgate.errors import LedgerDamaged

__all__ = ["MAX_EXTENSIONS", "MAX_SIZE", "Checkpoint", "parse_checkpoint", "parse_hash", "parse_size"]

MAX_SIZE: Final = (1 << 63) - 1  # entries; tlog-cosignature and every implementation count in 64 bits
MAX_EXTENSIONS: Final = 16  # lines; the specification advises against any
_MAX_ORIGIN: Final = 255  # bytes; as many as an ML-DSA-44 cosignature has room for
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_HASH: Final = 32


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A head of a log. `root` is 32 bytes, RFC 6962 §2.1; `extensions` are lines without their newlines."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Write the text that is signed."""
        lines = [self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions]
        return "".join(f"{line}\n" for line in lines)


def parse_checkpoint(text: str) -> Checkpoint:
    """Take the text of a note apart as a head.

    Raises:
        LedgerDamaged: it has another form. Says which line.
    """
    if not text.endswith("\n"):
        raise LedgerDamaged("a checkpoint does not end with a newline")
    origin, *rest = text[:-1].split("\n")
    if not 2 <= len(rest) <= 2 + MAX_EXTENSIONS:
        raise LedgerDamaged("a checkpoint is not a name, a size, a hash and a few lines")
    size, root, *extensions = rest
    if not origin or len(origin.encode()) > _MAX_ORIGIN:
        raise LedgerDamaged("the first line of a checkpoint is not the name of a log")
    if "" in extensions:
        raise LedgerDamaged("a checkpoint has an empty line")
    return Checkpoint(
        origin, parse_size(size, "a checkpoint"), parse_hash(root, "a checkpoint"), tuple(extensions)
    )


def parse_size(text: str, what: str) -> int:
    """Read a number of entries in its one decimal form. Raises `LedgerDamaged`."""
    if not _DECIMAL.fullmatch(text) or int(text) > MAX_SIZE:
        raise LedgerDamaged(f"the size in {what} is not a number")
    return int(text)


def parse_hash(text: str, what: str) -> bytes:
    """Read 32 bytes in their one base64 form. Raises `LedgerDamaged`."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if len(data) != _HASH or base64.b64encode(data).decode() != text:
        raise LedgerDamaged(f"the hash in {what} is not the base64 of {_HASH} bytes")
    return data
