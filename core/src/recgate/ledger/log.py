"""Append to the ledger: what `append` has returned for is in it for good, whoever is killed when.

Several processes append: the sealing worker, the gateway, the command line. A file lock makes them take turns. Each
reads what the others wrote since, so nobody keeps a tree of its own.

The order of writes is the promise. A batch is synced into the tail before `append` returns. A full tail becomes its
bundle and its tiles, all synced, before the next tail is there; and that one before the full tail goes. A checkpoint
comes last, when everything that it stands for is in place. So at every moment what is on disk opens, goes on and
verifies; writing any of it again gives the same bytes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate.errors import LedgerDamaged, RecordingFailed
from recgate.ledger.checkpointtext import Checkpoint, parse_checkpoint
from recgate.ledger.merkle import Frontier, leaf_hash, root_of
from recgate.ledger.note import ED25519, MAX_NOTE, Line, Note, Vkey, merge_lines, parse_note, verify_ed25519
from recgate.ledger.proof import subtree_root
from recgate.ledger.tail import WRITING, Tail, newest_tail, pack_batch, pack_head, read_tail, tail_path
from recgate.ledger.tiles import (
    CHECKPOINT_NAME,
    ENTRIES,
    MAX_BUNDLE,
    MAX_ENTRY,
    WIDTH,
    hash_tile,
    join_entries,
    split_entries,
    split_hashes,
    tile_name,
    widths,
)

__all__ = ["Ledger"]

LOCK_NAME: Final = "lock"
_PUBLIC: Final = 0o644
_REMEDIES: Final[Mapping[int, str]] = {
    errno.ENOSPC: "has no space left; add some",
    errno.EDQUOT: "is over its disk quota; raise the quota",
    errno.EROFS: "is on a file system that is mounted read-only; mount it writable",
    errno.EIO: "cannot be written to: its disk reports errors; check the disk",
}


# Gives the key that signs now, and the public keys that did before it.
Renewed = Callable[[], tuple[Ed25519PrivateKey, Sequence[bytes]]]


class Ledger:
    """The writing half of a ledger.

    Args:
        directory: where it is. It is made with the first entry.
        key: what signs its heads.
        origin: its name, which every head begins with.
        first: gives the entry that a new ledger begins with.
        renewed: gives the key that is to be used now, and the public keys (32 bytes) that were before. Asked when
            what is there was signed by another key than ours: somebody has rotated it.

    Every method raises `RecordingFailed` when the ledger cannot be written now (it says what to do, and the call can
    be made again), and `LedgerDamaged` when what is there is not what this key has signed.
    """

    def __init__(
        self,
        directory: Path,
        key: Ed25519PrivateKey,
        origin: str,
        first: Callable[[], bytes] | None = None,
        renewed: Renewed | None = None,
    ) -> None:
        self.directory = directory
        self.origin = origin
        self._key = key
        self._first = first
        self._renewed = renewed
        self._former: Sequence[bytes] = ()
        self._tail: Tail | None = None
        self._edges: dict[tuple[int, int], list[bytes]] = {}

    @property
    def vkey(self) -> Vkey:
        """The key that its heads are verified with."""
        return Vkey(self.origin, ED25519, self._key.public_key().public_bytes_raw())

    @property
    def size(self) -> int:
        """How many entries it has now."""
        with self._locked() as tail:
            return tail.frontier.size

    def append(self, entries: Sequence[bytes]) -> int:
        """Add entries; when this returns they are durable. Gives the index of the first.

        They follow each other in the ledger. A crash may keep some of them, and then the first ones.
        """
        if any(not 0 < len(entry) <= MAX_ENTRY for entry in entries):
            raise LedgerDamaged(f"an entry has more than {MAX_ENTRY} bytes, or none")
        with self._locked() as tail:
            if self._first is not None and tail.frontier.size == 0:
                tail = self._add(tail, [self._first()])
            index = tail.frontier.size
            rest = list(entries)
            while rest:
                room = WIDTH - len(tail.entries)
                tail = self._add(tail, rest[:room])
                rest = rest[room:]
            return index

    def publish(self) -> bytes:
        """Put a signed checkpoint in place for what there is, with the tiles that go with it; gives it.

        One that is in place for that size already is left as it is, with the cosignatures that it has gathered. A
        ledger without entries has none: b"".
        """
        with self._locked() as tail:
            head = self._head(tail)
            if head.size == 0:
                return b""
            found = self._published()
            if found is not None and self._compare(parse_checkpoint(found.text), tail, head):
                return found.encode()
            for level, number, width in widths(head.size):
                hashes = tail.leaves if level == 0 else self._edge(level, number, width)
                self._put(tile_name(level, number, width), hash_tile(hashes))
                if level == 0:
                    self._put(tile_name(ENTRIES, number, width), join_entries(tail.entries))
            line = Line(self.origin, self.vkey.id, self._key.sign(head.text.encode()))
            data = Note(head.text, (line,)).encode()
            self._put(CHECKPOINT_NAME, data)
            return data

    def countersign(self, text: str, lines: Sequence[Line]) -> bool:
        """Add what witnesses signed to the checkpoint, unless another one has taken its place; says if it was added."""
        with self._locked():
            found = self._published()
            if found is None or found.text != text:
                return False
            self._put(CHECKPOINT_NAME, Note(text, merge_lines(found.lines, lines)).encode())
            return True

    def subtree(self, start: int, end: int) -> bytes:
        """Give the root over the entries [start, end), which `proof` asks for."""
        with self._locked() as tail:
            return subtree_root(lambda level, number: self._hashes(tail, level, number), start, end)

    def backwards(self) -> Iterator[list[bytes]]:
        """Give the entries from the newest bundle to the oldest; in each they are in their order."""
        with self._locked() as tail:
            number, entries = tail.number, list(tail.entries)
        yield entries
        while number:
            number -= 1
            yield self._bundle(number)

    # -- the tail --------------------------------------------------------------------------------------

    @contextmanager
    def _locked(self) -> Generator[Tail]:
        """Have the ledger to oneself, with its tail as it is now."""
        try:
            if not self.directory.is_dir():
                self._make(self.directory, 0o755)
            if not (self.directory / WRITING).is_dir():
                self._make(self.directory / WRITING, 0o700)
            descriptor = os.open(
                self.directory / WRITING / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield self._current()
            except BaseException:
                self._tail = None  # what is on disk decides
                raise
            finally:
                os.close(descriptor)
        except OSError as error:
            what = _REMEDIES.get(
                error.errno or 0, f"is not writable by uid {os.geteuid()} ({error.strerror})"
            )
            raise RecordingFailed(
                f"ledger: {self.directory} {what}; what is not in the ledger waits."
            ) from error

    def _current(self) -> Tail:
        number = newest_tail(self.directory)
        known = self._tail
        if number is None:
            return self._begin(0, Frontier(), b"")
        path = tail_path(self.directory, number)
        size = path.stat().st_size
        if known is not None and (known.number, known.whole) == (number, size):
            return known
        tail = read_tail(path)
        if tail.frontier.size and not self._is_ours(tail):
            raise LedgerDamaged(
                f"ledger: {path} is not what this gateway's key has signed: it was changed, or keys/ledger.pem was. "
                "Restore both from the same backup."
            )
        if tail.cut:
            # Its process died over it and never told anybody that it was there.
            os.truncate(path, tail.whole)
        for older in range(number):
            # Killed before it went: its bundle is in place, or the newer one would not be there.
            if not (stale := tail_path(self.directory, number - 1 - older)).exists():
                break
            stale.unlink()
        self._tail = tail
        if len(tail.entries) == WIDTH:
            return self._complete(tail)
        return tail

    def _is_ours(self, tail: Tail) -> bool:
        """Say whether our key signed it, or one that ours follows; which may have to be asked for first."""
        text = self._head(tail).text.encode()
        # Ed25519 is deterministic (RFC 8032 §5.1.6): signing again is as good as verifying.
        if self._key.sign(text) == tail.signature or self._was_ours(tail, text):
            return True
        if self._renewed is None:
            return False
        self._key, self._former = self._renewed()
        return self._key.sign(text) == tail.signature or self._was_ours(tail, text)

    def _was_ours(self, tail: Tail, text: bytes) -> bool:
        return any(verify_ed25519(public, tail.signature, text) for public in self._former)

    def _begin(self, number: int, before: Frontier, signature: bytes) -> Tail:
        if number == 0 and self._published() is not None:
            raise LedgerDamaged(
                f"ledger: {self.directory / WRITING} is gone, and a checkpoint says that there was a ledger. Restore "
                "it from a backup, or move the whole directory and keys/ledger.pem away to begin a new one."
            )
        self._put(f"{WRITING}/{number:012d}", head := pack_head(number, before, signature), 0o600)
        self._tail = Tail(number, before.copy(), before.copy(), len(head), inherited=signature)
        return self._tail

    def _add(self, tail: Tail, entries: Sequence[bytes]) -> Tail:
        ahead = tail.frontier.copy()
        for entry in entries:
            ahead.add(leaf_hash(entry))
        signature = self._key.sign(Checkpoint(self.origin, ahead.size, ahead.root()).text.encode())
        data = pack_batch(entries, signature)
        path = tail_path(self.directory, tail.number)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fdatasync(descriptor)
        except OSError:
            # Not acknowledged: it must not be found by whoever comes next. If it is, it only stands there twice.
            os.ftruncate(descriptor, tail.whole)
            raise
        finally:
            os.close(descriptor)
        tail.take(entries, signature, len(data))
        return self._complete(tail) if len(tail.entries) == WIDTH else tail

    def _complete(self, tail: Tail) -> Tail:
        """Turn a full tail into its bundle and tiles, and begin the next."""
        self._put(tile_name(ENTRIES, tail.number), join_entries(tail.entries))
        self._put(tile_name(0, tail.number), hash_tile(tail.leaves))
        full, level = [(str(ENTRIES), tail.number), ("0", tail.number)], 0
        number = tail.number
        while (number + 1) % WIDTH == 0:
            level, number = level + 1, number // WIDTH
            self._put(tile_name(level, number), hash_tile(self._edge(level, number, WIDTH)))
            full.append((str(level), number))
        following = self._begin(tail.number + 1, tail.frontier, tail.signature)
        tail_path(self.directory, tail.number).unlink()
        for where, index in full:
            # tlog-tiles: a partial tile may go once the full one is there.
            shutil.rmtree(self.directory / (tile_name(where, index) + ".p"), ignore_errors=True)
        return following

    # -- heads -----------------------------------------------------------------------------------------

    def _head(self, tail: Tail) -> Checkpoint:
        return Checkpoint(self.origin, tail.frontier.size, tail.frontier.root())

    def _published(self) -> Note | None:
        try:
            with open(self.directory / CHECKPOINT_NAME, "rb") as file:
                return parse_note(file.read(MAX_NOTE + 1))
        except FileNotFoundError:
            return None

    def _compare(self, before: Checkpoint, tail: Tail, head: Checkpoint) -> bool:
        """Say whether the checkpoint in place is this head. Raises `LedgerDamaged` if this one cannot follow it."""
        if before.origin != self.origin or before.size > head.size:
            raise LedgerDamaged(
                f"ledger: {self.directory / CHECKPOINT_NAME} is of {before.origin} with {before.size} entries, and "
                f"here are {head.size} of {self.origin}: the ledger is older than its checkpoint. Restore "
                "what is newer; nothing was published."
            )
        if before.size >= tail.before.size:
            frontier = tail.before.copy()
            for leaf in tail.leaves[: before.size - tail.before.size]:
                frontier.add(leaf)
            if frontier.root() != before.root:
                raise LedgerDamaged(
                    f"ledger: {self.directory / CHECKPOINT_NAME} signs other entries than are here: one of them was "
                    "changed. Compare both with a backup or a mirror; nothing was published."
                )
        return before.size == head.size

    # -- tiles -----------------------------------------------------------------------------------------

    def _edge(self, level: int, number: int, width: int) -> list[bytes]:
        """Give the hashes of a tile above the leaves: the roots of the full tiles below it."""
        if width == WIDTH and (self.directory / tile_name(level, number)).exists():
            return self._tile(level, number)
        hashes = self._edges.setdefault((level, number), [])
        for index in range(number * WIDTH + len(hashes), number * WIDTH + width):
            hashes.append(root_of(self._tile(level - 1, index)))
        if width == WIDTH:
            del self._edges[level, number]
        return hashes[:width]

    def _hashes(self, tail: Tail, level: int, number: int) -> list[bytes]:
        """Give what there is of a tile."""
        if level == 0:
            return tail.leaves if number == tail.number else self._tile(0, number)
        return self._edge(level, number, min(tail.frontier.size // WIDTH**level - number * WIDTH, WIDTH))

    def _tile(self, level: int, number: int) -> list[bytes]:
        """Read a full tile of hashes; one that is lost or damaged is made again from the entries."""
        try:
            return split_hashes(
                (self.directory / tile_name(level, number)).read_bytes(), WIDTH, tile_name(level, number)
            )
        except (FileNotFoundError, LedgerDamaged):
            if level:
                hashes = [root_of(self._tile(level - 1, number * WIDTH + each)) for each in range(WIDTH)]
            else:
                hashes = [leaf_hash(entry) for entry in self._bundle(number)]
            self._put(tile_name(level, number), hash_tile(hashes))
            return hashes

    def _bundle(self, number: int) -> list[bytes]:
        name = tile_name(ENTRIES, number)
        with open(self.directory / name, "rb") as file:
            return split_entries(file.read(MAX_BUNDLE + 1), name)

    def _put(self, name: str, data: bytes, mode: int = _PUBLIC) -> None:
        """Write a file durably: afterwards it is the old one or this one, and in the directory."""
        path = self.directory / name
        if not path.parent.is_dir():
            self._make(path.parent, 0o755)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            with open(descriptor, "wb") as file:
                os.fchmod(descriptor, mode)  # whatever the umask took away
                _give(descriptor, path.parent)
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            os.rename(draft, path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        _sync_directory(path.parent)

    def _make(self, directory: Path, mode: int) -> None:
        if not directory.parent.is_dir():
            self._make(directory.parent, mode)
        directory.mkdir(mode=mode, exist_ok=True)
        os.chmod(directory, mode)
        _give(directory, directory.parent)
        _sync_directory(directory.parent)


def _give(made: int | Path, above: Path) -> None:
    """Leave what root has made to whose directory it is in: the gateway goes on writing there."""
    if os.geteuid() == 0:
        owner = above.stat()
        os.chown(made, owner.st_uid, owner.st_gid)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
