"""What stands beside a ledger by witnesses: read as if anybody had written it."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.tests.logs_and_witnesses import SmallLog
from recgate.errors import LedgerDamaged
from recgate.ledger.cosignature import cosign, cosignatures, witness_key
from recgate.ledger.note import Note, parse_note
from recgate.witness.vouching import COSIGNED, MAX_FILES, keep, kept, vouched

ONE, TWO = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))
W1, W2 = witness_key("w1", ONE), witness_key("w2", TWO)


@pytest.fixture
def small_log():
    return SmallLog(count=9)


@pytest.fixture
def put_away(tmp_path, small_log):
    def put(name, key, size, time):
        note = parse_note(small_log.checkpoint(size))
        line = cosign(note.text, name, key, time)
        (said,) = cosignatures(Note(note.text, (line,)), [witness_key(name, key)])
        keep(tmp_path, note, said)

    return put


@pytest.fixture
def say(tmp_path, small_log):
    def vouching(*witnesses):
        def root_at(size):
            return small_log.head(size).root if size <= len(small_log.entries) else None

        found = vouched(tmp_path, [small_log.vkey], witnesses, root_at)
        return [(each.witness, each.size, each.time, each.problem) for each in found]

    return vouching


def test_each_trusted_witness_says_its_largest_head(put_away, say):
    put_away("w1", ONE, 3, 1000)
    put_away("w1", ONE, 7, 2000)
    put_away("w2", TWO, 5, 3000)

    assert say(W1, W2) == [("w1", 7, 2000, ""), ("w2", 5, 3000, "")]
    assert say(W2) == [("w2", 5, 3000, "")]
    assert say() == []


def test_no_witness_has_said_anything(say):
    assert say(W1) == []


def test_a_shorter_and_another_ledger_are_told_apart(put_away, say, small_log):
    put_away("w1", ONE, 7, 1000)
    honest = list(small_log.entries)
    del small_log.entries[6:]
    ((_, size, time, problem),) = say(W1)
    assert (size, time) == (7, 1000)
    assert "rolled back" in problem
    small_log.entries[:] = [*honest[:3], b"forged", *honest[4:]]
    assert "altered" in say(W1)[0][3]
    small_log.entries[:] = honest
    assert say(W1)[0][3] == ""


def test_what_was_changed_is_said_by_the_file_that_it_is_in(put_away, say, tmp_path):
    put_away("w1", ONE, 7, 1000)
    (path,) = (tmp_path / COSIGNED).iterdir()
    whole = path.read_bytes()
    for changed in (b"", b"junk", whole.replace(b"\n7\n", b"\n8\n"), whole[:-1], whole[:-9] + b"AAAAAAA=\n"):
        path.write_bytes(changed)
        ((where, _, _, problem),) = say(W1)
        assert where == f"{COSIGNED}/{path.name}"
        assert problem.startswith(where)


def test_a_head_that_only_the_witness_signed_is_none(say, tmp_path, small_log):
    note = Note(small_log.head(7).text, (cosign(small_log.head(7).text, "w1", ONE, 1000),))
    (tmp_path / "checkpoint").write_bytes(note.encode())

    assert "not signed by" in say(W1)[0][3]


def test_there_is_a_limit_to_what_is_read(tmp_path):
    (tmp_path / COSIGNED).mkdir()
    for number in range(MAX_FILES + 1):
        (tmp_path / COSIGNED / str(number)).touch()

    with pytest.raises(LedgerDamaged, match="more than"):
        kept(tmp_path)
