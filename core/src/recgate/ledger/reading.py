"""Read a ledger that anybody may have written, and say whether it is what was signed. Works on any mirror or copy.

Nothing is believed but a signature by a trusted key. The root is computed from the entries alone. Tiles of hashes say
where it is wrong, if it is; and if it is not, whether they are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from recgate.errors import LedgerDamaged
from recgate.ledger.checkpointtext import MAX_SIZE, Checkpoint, parse_checkpoint
from recgate.ledger.merkle import EMPTY_ROOT, HASH, Frontier, leaf_hash
from recgate.ledger.note import MAX_NOTE, Note, Vkey, parse_note, verify_ed25519
from recgate.ledger.tail import Tail, newest_tail, read_tail, tail_path
from recgate.ledger.tilecheck import TileCheck
from recgate.ledger.tiles import (
    CHECKPOINT_NAME,
    ENTRIES,
    MAX_BUNDLE,
    WIDTH,
    split_entries,
    split_hashes,
    tile_name,
)

__all__ = ["Finding", "LedgerReading", "read_checkpoint"]

_NOT_SIGNED: Final = "not what the ledger's key has signed"
MAX_FINDINGS: Final = 50  # that are listed; a ledger with more is not better known for it


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a ledger that is not as it should be. `untrusted`: nobody said that the key is to be believed."""

    where: str
    what: str
    untrusted: bool = False


@dataclass(slots=True)
class LedgerReading:
    """One pass over a ledger, which may be gone on with when the ledger has grown.

    `keys` are the ledgers' keys that the reader trusts, `older` heads that it must have grown out of, each with the
    words for where it is from; `visit` gets every entry with its index. Afterwards `size` entries are read, of which
    the first `signed` are under a signature by one of the keys, and `findings` says what is wrong: nothing, if it
    is whole.
    """

    directory: Path
    keys: Sequence[Vkey]
    visit: Callable[[int, bytes], None] = lambda index, entry: None
    older: Sequence[tuple[str, Checkpoint]] = ()
    signed: int = 0
    checkpoint: Checkpoint | None = None
    note: Note | None = None
    findings: list[Finding] = field(default_factory=list[Finding])
    frontier: Frontier = field(default_factory=Frontier)
    roots: dict[int, bytes] = field(default_factory=dict[int, bytes])
    tiles: TileCheck = field(init=False)

    def __post_init__(self) -> None:
        self.tiles = TileCheck(self._get)

    @property
    def size(self) -> int:
        """How many entries were read."""
        return self.frontier.size

    @property
    def sound(self) -> bool:
        """Nothing is wrong with it."""
        return not self.findings

    def read(self, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Read what there is, or what has come since the last time, and check it. Raises nothing."""
        # The head first: what is read afterwards is at least what it stands for.
        self._read_checkpoint()
        wanted = {head.size for _, head in self.older}
        if self.checkpoint is not None:
            wanted.add(self.checkpoint.size)
        tail = self._read_entries(wanted, progress)
        self.roots[self.size] = self.frontier.root()
        self._check_checkpoint()
        if tail is not None:
            self._check_tail(tail)
        for where, head in self.older:
            self._check_older(where, head)
        self._check_tiles()

    def found(self, where: str, what: str, *, untrusted: bool = False) -> None:
        """Add a finding; the same one is said once."""
        finding = Finding(where, what, untrusted)
        if finding not in self.findings and len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding)

    # -- heads -----------------------------------------------------------------------------------------

    def _read_checkpoint(self) -> None:
        try:
            self.note = read_checkpoint(self.directory / CHECKPOINT_NAME)
            self.checkpoint = parse_checkpoint(self.note.text)
        except FileNotFoundError:
            self.note = self.checkpoint = None
        except (LedgerDamaged, OSError) as error:
            self.note = self.checkpoint = None
            self.found(CHECKPOINT_NAME, f"cannot be read: {error}")

    def _check_checkpoint(self) -> None:
        head, note = self.checkpoint, self.note
        if head is None or note is None:
            if newest_tail(self.directory) is None and not self.findings:
                self.found(CHECKPOINT_NAME, "there is none")
            return
        if not self._is_signed(head, note):
            return
        if self.size < head.size:
            self.found(
                CHECKPOINT_NAME,
                f"signs {head.size} entries, and there are {self.size}: {_range(self.size, head.size)} missing",
            )
        elif self.roots[head.size] != head.root:
            self._locate(head)
        else:
            self.signed = max(self.signed, head.size)

    def _is_signed(self, head: Checkpoint, note: Note) -> bool:
        keys = [key for key in self.keys if key.name == head.origin]
        if not keys:
            self.found(
                CHECKPOINT_NAME,
                f"is of {head.origin}, which is not among the trusted ledgers",
                untrusted=True,
            )
            return False
        try:
            note.verified(*keys)
        except LedgerDamaged as error:
            self.found(CHECKPOINT_NAME, str(error))
            return False
        return True

    def _check_tail(self, tail: Tail) -> None:
        """What is under no checkpoint yet is under the signature of the batch that it was appended with."""
        size, signature = self.size if not tail.ends else tail.ends[-1][0], tail.signature
        if size <= self.signed or not signature:
            return
        origins = [self.checkpoint.origin] if self.checkpoint is not None else [key.name for key in self.keys]
        for key in self.keys:
            text = Checkpoint(key.name, size, self.roots.get(size, EMPTY_ROOT)).text.encode()
            if key.name in origins and verify_ed25519(key.public, signature, text):
                self.signed = size
                return
        if self.sound:
            begin = self.checkpoint.size if self.checkpoint is not None else 0
            what = "signed by a key that is not among the trusted ledgers" if not origins else _NOT_SIGNED
            self.found(_range(begin, size), what, untrusted=not origins)

    def _check_tiles(self) -> None:
        """Look at the tiles, if the entries are what was signed: else it is those that are to be told of."""
        head = self.checkpoint
        if head is None or not self.sound:
            return
        wrong = list(self.tiles.wrong(head.size))
        if wrong:
            # A gateway that goes on replaces tiles; those of a head that is not in place any more may go.
            before = self.note
            self._read_checkpoint()
            if self.note != before:
                return
        for where, what in wrong:
            self.found(where, what)

    def _check_older(self, where: str, head: Checkpoint) -> None:
        if head.origin not in {key.name for key in self.keys}:
            self.found(where, f"is of {head.origin}, which is not among the trusted ledgers", untrusted=True)
        elif self.size < head.size:
            self.found(
                where,
                f"signs {head.size} entries, and the ledger has {self.size}: "
                "it was rolled back, or this is an old copy",
            )
        elif self.roots[head.size] != head.root:
            self.found(
                where,
                f"signs other entries before {head.size} than the ledger has: one of the two was forked",
            )

    # -- entries ---------------------------------------------------------------------------------------

    def _read_entries(self, wanted: Iterable[int], progress: Callable[[int, int], None]) -> Tail | None:
        """Read on to the end; gives the tail that it ends with, if this user may see it."""
        sizes = set(wanted)
        total = max(sizes, default=0)
        # Who may not see the tail, as on a mirror, has only what the checkpoint signs.
        limit = MAX_SIZE
        if newest_tail(self.directory) is None:
            limit = self.checkpoint.size if self.checkpoint is not None else 0
        while True:
            if self.size in sizes:
                self.roots[self.size] = self.frontier.root()
            number, skip = divmod(self.size, WIDTH)
            try:
                entries, tail = self._source(number)
            except (LedgerDamaged, OSError) as error:
                self.found(tile_name(ENTRIES, number), f"cannot be read: {error}")
                return None
            for entry in entries[skip : max(limit - number * WIDTH, 0)]:
                self._take(entry, sizes)
            progress(self.size, max(total, self.size))
            if len(entries) < WIDTH or self.size >= limit:
                newest = newest_tail(self.directory)
                if tail is None and newest is not None and newest > number:
                    self.found(tile_name(ENTRIES, number), "is missing, though later entries are there")
                return tail

    def _source(self, number: int) -> tuple[list[bytes], Tail | None]:
        """Give the entries of a bundle, from wherever they are by now, and the tail if they are in one."""
        entries = self._bundle(number)
        if entries is None:
            tail = self._tail(number)
            if tail is not None and len(tail.entries) < WIDTH:
                return tail.entries, tail
            # A tail becomes its bundle before it goes.
            entries = self._bundle(number) or (tail.entries if tail is not None else self._partial(number))
        return entries or [], None

    def _take(self, entry: bytes, sizes: set[int]) -> None:
        self.visit(self.size, entry)
        leaf = leaf_hash(entry)
        self.tiles.add(entry, leaf)
        self.frontier.add(leaf)
        if self.size in sizes:
            self.roots[self.size] = self.frontier.root()

    def _bundle(self, number: int) -> list[bytes] | None:
        """Give a full bundle, or None where there is none."""
        name = tile_name(ENTRIES, number)
        data = self._get(name)
        if data is None:
            return None
        entries = split_entries(data, name)
        if len(entries) != WIDTH:
            raise LedgerDamaged(f"{name} has {len(entries)} entries instead of {WIDTH}")
        return entries

    def _tail(self, number: int) -> Tail | None:
        try:
            return read_tail(tail_path(self.directory, number))
        except (FileNotFoundError, PermissionError, NotADirectoryError):
            return None

    def _partial(self, number: int) -> list[bytes] | None:
        """Give the partial bundle that the checkpoint goes with, as a mirror has it."""
        size = self.checkpoint.size if self.checkpoint is not None else 0
        if size // WIDTH != number or not size % WIDTH:
            return None
        name = tile_name(ENTRIES, number, size % WIDTH)
        data = self._get(name)
        return split_entries(data, name)[: size % WIDTH] if data is not None else None

    def _get(self, name: str) -> bytes | None:
        try:
            with open(self.directory / name, "rb", opener=_open_plain) as file:
                data = file.read(MAX_BUNDLE + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if len(data) > MAX_BUNDLE:
            raise LedgerDamaged(f"{name} is longer than {MAX_BUNDLE} bytes")
        return data

    # -- where -----------------------------------------------------------------------------------------

    def _locate(self, head: Checkpoint) -> None:
        """The entries do not give the root that was signed. If the tiles of hashes do, they say which were changed."""
        frontier = Frontier()
        changed: list[int] = []
        for number in range((head.size + WIDTH - 1) // WIDTH):
            width = min(head.size - number * WIDTH, WIDTH)
            leaves = self._leaves(number, width)
            entries = self._entries(number, width)
            for place in range(width):
                entry = leaf_hash(entries[place]) if place < len(entries) else b""
                leaf = leaves[place] if leaves is not None else entry
                if leaf != entry and len(changed) < MAX_FINDINGS:
                    changed.append(number * WIDTH + place)
                frontier.add(leaf or bytes(HASH))
        if changed and frontier.root() == head.root:
            for index in changed:
                name = tile_name(ENTRIES, index // WIDTH)
                self.found(f"entry {index}", f"is not what was signed ({name}, its number {index % WIDTH})")
            return
        self.found(
            CHECKPOINT_NAME,
            f"signs another root over {head.size} entries than they give: entries were changed and the tiles with "
            "them, or the checkpoint is of another ledger of that name",
        )

    def _leaves(self, number: int, width: int) -> list[bytes] | None:
        for each in (WIDTH, width):
            name = tile_name(0, number, each)
            try:
                data = self._get(name)
                if data is not None:
                    return split_hashes(data, each, name)[:width]
            except (LedgerDamaged, OSError):
                continue
        return None

    def _entries(self, number: int, width: int) -> list[bytes]:
        try:
            return self._source(number)[0][:width]
        except (LedgerDamaged, OSError):
            return []


def read_checkpoint(path: Path) -> Note:
    """Read a signed head from a file. Raises `LedgerDamaged`, `OSError`."""
    with open(path, "rb", opener=_open_plain) as file:
        return parse_note(file.read(MAX_NOTE + 1))


def _range(begin: int, end: int) -> str:
    return f"entry {begin} is" if end - begin == 1 else f"entries {begin} to {end - 1} are"


def _open_plain(path: str, flags: int) -> int:
    # A link in a ledger would make a verifier read, and report on, a file that is not in it.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
