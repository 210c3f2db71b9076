"""Proof that an entry is in a log, in a file of its own that others' tools read as well (C2SP tlog-proof).

c2sp.org/tlog-proof@v1
index 73894
base64 of a hash, a line each, from the leaf's sibling up

the checkpoint, as it was signed
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Final

from recgate.errors import LedgerDamaged
from recgate.ledger.checkpointtext import Checkpoint, parse_checkpoint, parse_hash, parse_size
from recgate.ledger.merkle import leaf_hash
from recgate.ledger.note import MAX_NOTE
from recgate.ledger.proof import MAX_PROOF, verify_inclusion

__all__ = ["MAX_LOG_PROOF", "LogProof", "parse_log_proof"]

MAX_LOG_PROOF: Final = MAX_NOTE + (MAX_PROOF + 4) * 48
_MAGIC: Final = "c2sp.org/tlog-proof@v1"
_TEXT: Final = re.compile(r"index (\d{1,19})\n((?:[^\n]+\n)*)\n", re.ASCII)


@dataclass(frozen=True, slots=True)
class LogProof:
    """`path` leads from entry `index` to the root in `checkpoint`: a signed note that nobody has verified.

    Of a time stamp it is the text of the head alone: what the authority signed is over that.
    """

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes

    def encode(self) -> bytes:
        """Write it as a file."""
        hashes = "".join(f"{base64.b64encode(each).decode()}\n" for each in self.path)
        return f"{_MAGIC}\nindex {self.index}\n{hashes}\n".encode() + self.checkpoint

    @property
    def text(self) -> str:
        """The part of the checkpoint that is signed."""
        whole = self.checkpoint.decode()
        text, separator, _ = whole.rpartition("\n\n")
        return text + "\n" if separator else whole

    def head(self) -> Checkpoint:
        """Give the head that it leads to. Raises `LedgerDamaged`: it is none."""
        return parse_checkpoint(self.text)

    def proves(self, entry: bytes) -> bool:
        """Say whether the entry is in the tree of that head, at `index`. Raises `LedgerDamaged`: there is no head."""
        head = self.head()
        return verify_inclusion(leaf_hash(entry), self.index, head.size, self.path, head.root)


def parse_log_proof(data: bytes) -> LogProof:
    """Take a proof apart, believing nothing of it. One with `extra` data is not ours. Raises `LedgerDamaged`."""
    if len(data) > MAX_LOG_PROOF:
        raise LedgerDamaged(f"a proof of the ledger is longer than {MAX_LOG_PROOF} bytes")
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        raise LedgerDamaged("a proof of the ledger is not UTF-8") from None
    magic, _, rest = whole.partition("\n")
    match = _TEXT.match(rest)
    if magic != _MAGIC or match is None:
        raise LedgerDamaged(f"a proof of the ledger does not begin with {_MAGIC}, an index and hashes")
    hashes = match[2].splitlines()
    if len(hashes) > MAX_PROOF:
        raise LedgerDamaged(f"a proof of the ledger has more than {MAX_PROOF} hashes")
    path = tuple(parse_hash(each, "a proof of the ledger") for each in hashes)
    return LogProof(parse_size(match[1], "a proof of the ledger"), path, rest[match.end() :].encode())
