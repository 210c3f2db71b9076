"""What witnesses have said of a ledger, beside it: for each the largest head that it cosigned, and time stamps.

The checkpoint itself is replaced every few seconds, and its cosignatures go with it; these stay until the same witness
has cosigned a larger head. So what was vouched for can be shown, and a ledger that is shorter was rolled back.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509

from recgate.errors import LedgerDamaged
from recgate.ledger.checkpointtext import Checkpoint, parse_checkpoint
from recgate.ledger.cosignature import Cosignature, cosignatures
from recgate.ledger.note import MAX_NOTE, Note, Vkey, parse_note
from recgate.witness.timestamps import MAX_TOKEN, stamp_path, stamped, verify_stamp

__all__ = ["COSIGNED", "Vouched", "keep", "kept", "vouched"]

COSIGNED: Final = "cosigned"
MAX_FILES: Final = 256  # of witnesses that are or were configured
AUTHORITY: Final = "time stamp"
_PUBLIC: Final = 0o644

# Gives the root of the first so many entries, or None if there are fewer.
RootAt = Callable[[int], bytes | None]


@dataclass(frozen=True, slots=True)
class Vouched:
    """What one witness vouches for: the first `size` entries, as of `time` (seconds since 1970).

    `problem` says what is wrong: the ledger is not the one that it saw. Empty if it is.
    """

    witness: str
    size: int
    time: int
    problem: str = ""


def keep(ledger: Path, note: Note, said: Cosignature) -> None:
    """Put away what a witness said, in place of what it said before. Raises `OSError`."""
    name = hashlib.sha256(said.witness.text.encode()).hexdigest()[:16]
    own = tuple(line for line in note.lines if not line.is_by(said.witness))
    put(ledger / COSIGNED / name, Note(note.text, (*own, said.line)).encode())


def put(path: Path, data: bytes) -> None:
    """Write a file that anybody may read, durably, as a whole. Raises `OSError`."""
    path.parent.mkdir(mode=0o755, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PUBLIC)
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, _PUBLIC)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def kept(ledger: Path) -> list[tuple[str, bytes]]:
    """Give the cosigned heads that were put away beside a ledger, and its checkpoint, by their names: unverified.

    Raises:
        LedgerDamaged: there are more of them than any gateway has witnesses.
    """
    try:
        paths = sorted(
            path for path in (ledger / COSIGNED).iterdir() if path.is_file() and path.name[:1] != "."
        )
    except FileNotFoundError:
        paths = []
    if len(paths) > MAX_FILES:
        raise LedgerDamaged(f"{COSIGNED} has more than {MAX_FILES} files in it")
    found: list[tuple[str, bytes]] = []
    for path in (ledger / "checkpoint", *paths):
        try:
            with open(path, "rb", opener=_open_plain) as file:
                found.append((str(path.relative_to(ledger)), file.read(MAX_NOTE + 1)))
        except FileNotFoundError:
            continue
    return found


def vouched(
    ledger: Path,
    log_keys: Sequence[Vkey],
    witnesses: Iterable[Vkey],
    root_at: RootAt,
    roots: Sequence[x509.Certificate] = (),
    held: Sequence[tuple[str, bytes]] = (),
) -> list[Vouched]:
    """Say what each trusted witness vouches for, and each time-stamp authority as a whole, the largest of it.

    Args:
        ledger: its directory.
        log_keys: the keys that the ledger's heads must be signed with.
        witnesses: the witnesses that the reader trusts; what others say is passed over.
        root_at: of the ledger as it is here, recomputed from its entries.
        roots: the authorities whose time stamps the reader trusts.
        held: further heads by their names, which somebody kept elsewhere. Not all need be cosigned.
    """
    found: dict[str, Vouched] = {}
    trusted = list(witnesses)
    for name, data in [*held, *kept(ledger)]:
        try:
            note = parse_note(data)
            note.verified(*log_keys)
            said = cosignatures(note, trusted)
        except LedgerDamaged as exc:
            _take(found, Vouched(name, 0, 0, f"{name}: {exc}"))
            continue
        head = parse_checkpoint(note.text)
        for each in said:
            _take(found, _compared(each.witness.name, head, each.time, root_at))
    if roots:
        for each in _stamps(ledger, log_keys, root_at, roots):
            _take(found, each)
    return sorted(found.values(), key=lambda each: each.witness)


def _take(found: dict[str, Vouched], new: Vouched) -> None:
    """What is wrong goes before what is well, and then the larger and the later."""
    old = found.get(new.witness)
    if old is None or (bool(new.problem), new.size, new.time) > (bool(old.problem), old.size, old.time):
        found[new.witness] = new


def _compared(witness: str, head: Checkpoint, time: int, root_at: RootAt) -> Vouched:
    root = root_at(head.size)
    problem = ""
    if root is None:
        problem = f"{witness} has seen {head.size} entries, and here are fewer: the ledger was rolled back"
    elif root != head.root:
        problem = f"{witness} has seen other entries than are here among the first {head.size}: the ledger was altered"
    return Vouched(witness, head.size, time, problem)


def _stamps(
    ledger: Path, log_keys: Sequence[Vkey], root_at: RootAt, roots: Sequence[x509.Certificate]
) -> Iterable[Vouched]:
    """Look at the newest time stamp. It is over the head's text, which is made again from what is here."""
    sizes = stamped(ledger)
    if not sizes:
        return
    size = sizes[-1]
    root = root_at(size)
    if root is None:
        what = f"there is a time stamp over {size} entries, and here are fewer: the ledger was rolled back"
        yield Vouched(AUTHORITY, size, 0, what)
        return
    text = Checkpoint(log_keys[0].name if log_keys else "", size, root).text
    try:
        with open(stamp_path(ledger, size), "rb", opener=_open_plain) as file:
            yield Vouched(AUTHORITY, size, verify_stamp(file.read(MAX_TOKEN + 1), text, roots))
    except (OSError, LedgerDamaged) as exc:
        yield Vouched(AUTHORITY, size, 0, f"over the first {size} entries: {exc}")


def _open_plain(path: str, flags: int) -> int:
    # Neither a link out of the ledger nor a pipe that nobody writes to.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
