"""Any single mutation of any stored file, and which of them mean nothing, each with its reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hypothesis import strategies as st

from recgate.errors import LedgerDamaged
from recgate.ledger.note import parse_note
from recgate.ledger.tiles import ENTRIES, WIDTH, tile_name, widths
from recgate.recording.trust import Trust
from tests.tamperhouse import Tree

__all__ = ["ACTS", "Mutation", "mutated", "mutations", "void"]

ACTS: Final = ("flip", "cut", "splice", "insert", "duplicate", "rename", "swap", "remove")


@dataclass(frozen=True)
class Mutation:
    """What is done to a file. `place` and `size` are shares of its length, `other` is a file that takes part."""

    act: str
    name: str
    other: str
    place: float
    size: float
    bit: int

    def changed(self, data: bytes, other: bytes) -> bytes:
        """Give what the file has in it afterwards."""
        at = min(int(self.place * len(data)), max(len(data) - 1, 0))
        length = max(int(self.size * 64), 1)
        match self.act:
            case "flip":
                return data[:at] + bytes([data[at] ^ 1 << self.bit]) + data[at + 1 :] if data else data
            case "cut":
                return data[:at]
            case "splice":
                return data[:at] + other[:length] + data[at + length :]
            case "insert":
                return data[:at] + data[at : at + length] + data[at:]
            case _:
                raise AssertionError(self.act)


def files(tree: Tree) -> list[str]:
    found = [path for place in (tree.recordings, tree.ledger) for path in place.rglob("*") if path.is_file()]
    return sorted(str(path.relative_to(tree.root)) for path in found)


def mutations(tree: Tree) -> st.SearchStrategy[Mutation]:
    """Give mutations of the files that a tree has."""
    name, share = st.sampled_from(files(tree)), st.floats(0, 1, exclude_max=True)
    return st.builds(Mutation, st.sampled_from(ACTS), name, name, share, share, st.integers(0, 7))


@contextmanager
def mutated(tree: Tree, mutation: Mutation) -> Iterator[bool]:
    """Have a tree mutated for a while; gives whether anything is other than before."""
    path, other = tree.root / mutation.name, tree.root / mutation.other
    # Beside it, by a name as such files have.
    beside = path.with_name(_next_name(path))
    before = {each: each.read_bytes() if each.exists() else None for each in (path, other, beside)}
    data, theirs = path.read_bytes(), other.read_bytes()
    after: dict[Path, bytes | None]
    match mutation.act:
        case "duplicate":
            after = {beside: data}
        case "rename":
            after = {path: None, beside: data}
        case "swap":
            after = {path: theirs, other: data}
        case "remove":
            after = {path: None}
        case _:
            after = {path: mutation.changed(data, theirs)}
    try:
        _put(after)
        yield any(before[each] != content for each, content in after.items())
    finally:
        _put(before)


def _put(contents: Mapping[Path, bytes | None]) -> None:
    for path, content in contents.items():
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)


def _next_name(path: Path) -> str:
    digits = "".join(character for character in path.stem if character.isdigit())
    if digits and path.stem == digits:
        return f"{int(digits) + 1:0{len(digits)}d}{path.suffix}"
    return f"{path.stem}2{path.suffix}"


def void(tree: Tree, mutation: Mutation) -> str:
    """Say why a mutation need not be reported: nothing that anybody reads says anything else. Empty if it must be."""
    parts = Path(mutation.name).parts
    if parts[0] == "recordings":
        return ""
    touched = {mutation.name, mutation.other} if mutation.act == "swap" else {mutation.name}
    reasons = [_void_in_ledger(tree, mutation, name) for name in touched]
    return reasons[0] if all(reasons) else ""


def _void_in_ledger(tree: Tree, mutation: Mutation, name: str) -> str:
    rest = Path(name).parts[1:]
    for fits, why in _VOID:
        if fits(rest, mutation, tree):
            return why
    return ""


def _is_old_partial(rest: tuple[str, ...], mutation: Mutation, tree: Tree) -> bool:
    size = int((tree.ledger / "checkpoint").read_text().splitlines()[1])
    newest = {tile_name(level, number, width) for level, number, width in widths(size)}
    newest.add(tile_name(ENTRIES, size // WIDTH, size % WIDTH))
    return rest[0] == "tile" and rest[-2].endswith(".p") and "/".join(rest) not in newest


def _is_same_head(rest: tuple[str, ...], mutation: Mutation, tree: Tree) -> bool:
    """The ledger's own line and what it signs are left."""
    if rest != ("checkpoint",) or mutation.act in ("remove", "rename"):
        return False
    genuine, other = ((tree.root / name).read_bytes() for name in (mutation.name, mutation.other))
    if mutation.act == "swap":
        genuine, data = (other, genuine) if mutation.other == "ledger/checkpoint" else (genuine, other)
    else:
        data = mutation.changed(genuine, other)
    try:
        return parse_note(data).verified(*Trust.load(tree.trust).ledgers) == parse_note(genuine).text
    except LedgerDamaged:
        return False


def _is_broken_append(rest: tuple[str, ...], mutation: Mutation, tree: Tree) -> bool:
    """More bytes than there were, behind all that there were."""
    if rest[0] != "writing" or mutation.act not in ("insert", "splice"):
        return False
    data = (tree.root / mutation.name).read_bytes()
    return mutation.changed(data, (tree.root / mutation.other).read_bytes()).startswith(data[:-1]) and (
        mutation.place * len(data) >= len(data) - 1
    )


_VOID: Final[list[tuple[Callable[[tuple[str, ...], Mutation, Tree], bool], str]]] = [
    (
        lambda rest, _, __: rest == ("writing", "lock"),
        "an empty file that writers hold on to; nobody reads it",
    ),
    (_is_old_partial, "a partial tile of an older head, which tlog-tiles lets anybody remove"),
    (
        lambda rest, mutation, _: (
            mutation.act == "duplicate" and rest[0] in ("tile", "checkpoint", "writing")
        ),
        "a file by a name that nothing of the ledger has",
    ),
    (
        lambda rest, mutation, _: rest[0] == "writing" and mutation.act in ("remove", "rename"),
        "without its tail a ledger is a mirror: the partial bundle has the same entries",
    ),
    (_is_broken_append, "bytes behind the last whole batch are an append that nobody was told of"),
    (
        lambda rest, _, __: rest[0] == "cosigned",
        "the checkpoint has the same cosignature, and vouches as well",
    ),
    (_is_same_head, "the head is what it was, and what the witness signed under it is in `cosigned`, too"),
]
