"""The ledger's writer: its tree is the one of RFC 6962, and no death in between changes what it has promised."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from core.tests.plaintree import consistent, plain_root
from recgate.errors import LedgerDamaged, RecordingFailed
from recgate.ledger.checkpointtext import parse_checkpoint
from recgate.ledger.log import Ledger
from recgate.ledger.note import parse_note, sign_note
from recgate.ledger.proof import consistency_proof, inclusion_proof, verify_consistency, verify_inclusion
from recgate.ledger.tail import WRITING, newest_tail, tail_path
from recgate.ledger.tiles import split_entries, split_hashes, tile_name

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ORIGIN = "recgate/gate-1/0011223344556677"


def ledger_in(path: Path) -> Ledger:
    return Ledger(path / "ledger", KEY, ORIGIN)


def entries_of(count: int, start: int = 0) -> list[bytes]:
    return [b"entry %d" % number for number in range(start, start + count)]


def head_of(ledger: Ledger):
    note = parse_note((ledger.directory / "checkpoint").read_bytes())
    return parse_checkpoint(note.verified(ledger.vkey))


def published(ledger: Ledger, size: int) -> list[bytes]:
    """Read the entries as a mirror's client does: bundles alone, and the partial one of that size."""
    found: list[bytes] = []
    while len(found) < size:
        number = len(found) // 256
        width = min(size - number * 256, 256)
        name = tile_name("entries", number, width)
        found += split_entries((ledger.directory / name).read_bytes(), name)
    return found


def check_published(ledger: Ledger, entries: list[bytes]) -> None:
    """Everything that is served for the checkpoint in place is what the entries give."""
    head = head_of(ledger)
    assert published(ledger, head.size) == entries[: head.size]
    assert head.root == plain_root(entries[: head.size])
    unit, level = 1, 0
    while head.size // unit:
        count = head.size // unit
        for number in range((count + 255) // 256):
            width = min(count - number * 256, 256)
            hashes = split_hashes(
                (ledger.directory / tile_name(level, number, width)).read_bytes(), width, ""
            )
            begin = number * 256
            wanted = [plain_root(entries[unit * (begin + i) : unit * (begin + i + 1)]) for i in range(width)]
            assert hashes == wanted
        unit, level = unit * 256, level + 1


@pytest.mark.parametrize("sizes", [[1], [3, 1, 4], [255], [256], [257], [200, 200, 200], [1000], [256, 256]])
def test_what_is_published_is_the_tree_of_the_entries(tmp_path, sizes):
    ledger, entries = ledger_in(tmp_path), []
    for count in sizes:
        more = entries_of(count, len(entries))
        assert ledger.append(more) == len(entries)
        entries += more
        ledger.publish()
        check_published(ledger, entries)
    assert ledger.size == len(entries)


def test_a_third_level_is_begun(tmp_path):
    """65,536 entries fill a tile of the second level; the few before and after are where off-by-ones would be."""
    ledger = ledger_in(tmp_path)
    entries = entries_of(65_535)
    ledger.append(entries)
    for _ in range(3):
        entries += entries_of(1, len(entries))
        ledger_in(tmp_path).append(entries[-1:])
        ledger_in(tmp_path).publish()
        assert head_of(ledger).root == plain_root(entries)
    second = (ledger.directory / tile_name(1, 0)).read_bytes()
    assert split_hashes(second, 256, "")[7] == plain_root(entries[7 * 256 : 8 * 256])
    assert split_hashes((ledger.directory / tile_name(2, 0, 1)).read_bytes(), 1, "") == [
        plain_root(entries[:65_536])
    ]


@settings(max_examples=25, deadline=None)
@given(st.data(), st.integers(1, 700))
def test_proofs_from_tiles_hold_and_no_other_does(tmp_path_factory, data, size):
    path = tmp_path_factory.mktemp("proofs")
    ledger, entries = ledger_in(path), entries_of(size)
    ledger.append(entries)
    root = plain_root(entries)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    older = plain_root(entries[:old])
    inclusion = inclusion_proof(ledger.subtree, index, size)
    consistency = consistency_proof(ledger.subtree, old, size)
    leaf = plain_root([entries[index]])
    assert verify_inclusion(leaf, index, size, inclusion, root)
    assert verify_consistency(old, older, size, root, consistency)
    assert consistent(entries, old, size) == consistency
    assert not verify_inclusion(leaf, index, size, [*inclusion, root], root)
    assert not verify_inclusion(plain_root([b"other"]), index, size, inclusion, root)
    assert not verify_inclusion(leaf, (index + 1) % size, size, inclusion, root) or size == 1
    if 0 < old < size:
        assert not verify_consistency(old, plain_root([b"x"]), size, root, consistency)
        assert not verify_consistency(old, older, size, plain_root([b"x"]), consistency)
        assert not verify_consistency(old, older, size, root, consistency[:-1])
        assert not verify_consistency(old, older, size, root, [*consistency, root])
    shutil.rmtree(path)


def test_a_checkpoint_that_stands_keeps_its_cosignatures(tmp_path):
    ledger = ledger_in(tmp_path)
    ledger.append([b"one"])
    text = parse_note(ledger.publish()).text
    line = sign_note(text, "other", Ed25519PrivateKey.generate())
    assert ledger.countersign(text, [line])
    assert line in parse_note(ledger.publish()).lines
    ledger.append([b"two"])
    ledger.publish()
    assert not ledger.countersign(text, [line])
    assert head_of(ledger).size == 2


def test_the_first_entry_of_a_new_ledger_is_made_once(tmp_path):
    for _ in range(2):
        Ledger(tmp_path / "ledger", KEY, ORIGIN, first=lambda: b"node").append([b"one"])
    ledger = ledger_in(tmp_path)
    ledger.publish()
    assert published(ledger, 3) == [b"node", b"one", b"one"]


def test_an_entry_that_is_too_long_is_refused(tmp_path):
    for wrong in (b"", bytes(4097)):
        with pytest.raises(LedgerDamaged):
            ledger_in(tmp_path).append([b"fits", wrong])
    assert ledger_in(tmp_path).size == 0


# -- several writers ---------------------------------------------------------------------------------------


def _append_many(path: str, name: str) -> None:
    ledger = ledger_in(Path(path))
    for number in range(150):
        ledger.append([f"{name} {number}".encode()])
        if number % 40 == 0:
            ledger.publish()


def test_processes_take_turns(tmp_path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append_many, args=(str(tmp_path), name)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
        assert writer.exitcode == 0
    ledger = ledger_in(tmp_path)
    ledger.publish()
    found = published(ledger, 450)
    for name in "abc":
        own = [entry for entry in found if entry.startswith(name.encode())]
        assert own == [f"{name} {number}".encode() for number in range(150)]
    check_published(ledger, found)


# -- deaths ------------------------------------------------------------------------------------------------

# Dies at the write, sync, rename or removal of that number, after half of a write.
_DYING = """
import os, signal, sys
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from recgate.ledger.log import Ledger
left = int(sys.argv[2])
def watch(name):
    real = getattr(os, name)
    def act(*args, **more):
        global left
        left -= 1
        if left == 0:
            if name == "write":
                real(args[0], bytes(args[1])[: len(args[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **more)
    setattr(os, name, act)
for name in ("write", "fdatasync", "fsync", "rename", "unlink", "mkdir", "truncate"):
    watch(name)
ledger = Ledger(Path(sys.argv[1]), Ed25519PrivateKey.from_private_bytes(bytes(range(32))), sys.argv[3])
for number in range(254, 259):
    ledger.append([b"entry %d" % number])
    print(number, flush=True)
    ledger.publish()
print("end", left, flush=True)
"""


def test_killed_between_any_two_writes_it_opens_and_goes_on(tmp_path):
    """From 254 entries to 259: over the end of a bundle, with a checkpoint behind each."""
    start = ledger_in(tmp_path / "start")
    start.append(entries_of(254))
    start.publish()
    deaths = 0
    for step in range(1, 400):
        place = tmp_path / "now"
        shutil.copytree(tmp_path / "start", place)
        ledger = ledger_in(place)
        before = (ledger.directory / "checkpoint").read_bytes()
        done = subprocess.run(
            [sys.executable, "-c", _DYING, str(ledger.directory), str(step), ORIGIN],
            stdout=subprocess.PIPE,
            check=False,
        )
        words = done.stdout.decode().split()
        if "end" in words:
            break
        deaths += 1
        assert done.returncode == -9
        acknowledged = 254 + len(words)
        # What was published before, or while dying, is all in place as a reader finds it.
        head = head_of(ledger)
        assert head.size >= parse_checkpoint(parse_note(before).text).size
        size = ledger.size
        assert size in (acknowledged, acknowledged + 1)
        ledger.append(entries_of(2, size))
        ledger.publish()
        check_published(ledger, entries_of(size + 2))
        assert consistent(entries_of(size + 2), head.size, size + 2) == consistency_proof(
            ledger.subtree, head.size, size + 2
        )
        shutil.rmtree(place)
    assert deaths > 30


def test_a_full_disk_loses_nothing_and_says_what_to_do(tmp_path, monkeypatch):
    ledger = ledger_in(tmp_path)
    ledger.append([b"one"])
    real = os.write

    def full(descriptor, data):
        real(descriptor, bytes(data)[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(RecordingFailed, match="no space left; add some"):
        ledger.append([b"two"])
    monkeypatch.setattr(os, "write", real)
    assert ledger.append([b"two"]) == 1
    ledger.publish()
    check_published(ledger, [b"one", b"two"])


def test_what_could_not_be_synced_does_not_stand_there_twice(tmp_path, monkeypatch):
    ledger = ledger_in(tmp_path)
    ledger.append([b"one"])

    def broken(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        with pytest.raises(RecordingFailed, match="check the disk"):
            ledger.append([b"two"])
    assert ledger.append([b"two"]) == 1
    assert ledger_in(tmp_path).size == 2


def test_tiles_that_were_damaged_are_made_again_from_the_entries(tmp_path):
    ledger, entries = ledger_in(tmp_path), entries_of(512)
    ledger.append(entries)
    (ledger.directory / tile_name(0, 0)).write_bytes(b"torn")
    (ledger.directory / tile_name(0, 1)).unlink()
    again = ledger_in(tmp_path)
    again.publish()
    check_published(again, entries)


# -- what somebody changed -----------------------------------------------------------------------------------


def test_a_tail_that_was_changed_is_not_gone_on_with(tmp_path):
    ledger_in(tmp_path).append([b"one", b"two"])
    path = tail_path(tmp_path / "ledger", 0)
    # With the lengths and the check sum of an honest file: only the key is missing.
    Ledger(tmp_path / "other", Ed25519PrivateKey.generate(), ORIGIN).append([b"one", b"twi"])
    path.write_bytes(tail_path(tmp_path / "other", 0).read_bytes())
    with pytest.raises(LedgerDamaged, match="not what this gateway's key has signed"):
        ledger_in(tmp_path).append([b"three"])


def test_damage_in_the_middle_is_no_torn_end(tmp_path):
    ledger = ledger_in(tmp_path)
    for entry in (b"one", b"two", b"three"):
        ledger.append([entry])
    path = tail_path(tmp_path / "ledger", 0)
    data = bytearray(path.read_bytes())
    data[data.index(b"two")] ^= 1
    path.write_bytes(data)
    with pytest.raises(LedgerDamaged, match="is damaged at byte"):
        ledger_in(tmp_path).append([b"four"])


def test_a_ledger_that_is_older_than_its_checkpoint_is_not_published(tmp_path):
    ledger_in(tmp_path).append([b"one"])
    shutil.copytree(tmp_path / "ledger" / WRITING, tmp_path / "older")
    ledger_in(tmp_path).append([b"two"])
    ledger_in(tmp_path).publish()
    shutil.rmtree(tmp_path / "ledger" / WRITING)
    shutil.copytree(tmp_path / "older", tmp_path / "ledger" / WRITING)
    with pytest.raises(LedgerDamaged, match="older than its checkpoint"):
        ledger_in(tmp_path).publish()
    ledger_in(tmp_path).append([b"another two"])
    with pytest.raises(LedgerDamaged, match="signs other entries"):
        ledger_in(tmp_path).publish()


def test_a_ledger_whose_tail_is_gone_is_not_begun_anew(tmp_path):
    ledger_in(tmp_path).append([b"one"])
    ledger_in(tmp_path).publish()
    shutil.rmtree(tmp_path / "ledger" / WRITING)
    with pytest.raises(LedgerDamaged, match="begin a new one"):
        ledger_in(tmp_path).append([b"two"])
    assert newest_tail(tmp_path / "ledger") is None
