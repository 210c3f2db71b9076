"""What a witness cosigns, what it refuses and keeps, and that nobody can make it forget."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys

import pytest
from structlog.testing import capture_logs

from core.tests.logs_and_witnesses import SmallLog
from recgate.errors import ConfigurationError
from recgate.ledger.cosignature import cosignatures
from recgate.ledger.merkle import leaf_hash
from recgate.ledger.note import Note, parse_note
from recgate.witness.judging import Witness, add_logs, make_witness
from recgate.witness.memory import FILE, MAX_REFUSALS, WitnessFailed
from recgate.witness.request import SIZE_TYPE, pack_request, parse_answer

NOW = 1_800_000_000


@pytest.fixture
def small_log():
    return SmallLog(count=5)


@pytest.fixture
def witness(tmp_path, small_log):
    make_witness(tmp_path / "w", "witness.example/w1")
    add_logs(tmp_path / "w", [small_log.vkey])
    return Witness(tmp_path / "w", lambda: NOW)


def agreed(witness, data):
    """Give the time of the cosignature that was answered, verified."""
    answer = witness.judge(data)
    assert answer.status == 200, answer
    note = parse_note(data.partition(b"\n\n")[2])
    (said,) = cosignatures(Note(note.text, parse_answer(answer.body.encode())), [witness.vkey])
    return said.time


def test_a_head_is_cosigned_and_what_grows_out_of_it_too(witness, small_log):
    assert agreed(witness, small_log.request(0)) == NOW
    small_log.entries += [b"more", b"and more", b"and yet more"]
    assert agreed(witness, small_log.request(5)) == NOW
    assert agreed(witness, small_log.request(8)) == NOW
    assert [(each.size, each.time) for each in witness.memory.heads()] == [(8, NOW)]


def test_every_size_grows_into_every_other(tmp_path):
    small_log = SmallLog(count=20)
    for old in range(21):
        state = tmp_path / f"{old}"
        make_witness(state, "w")
        add_logs(state, [small_log.vkey])
        witness = Witness(state)
        if old:
            agreed(witness, small_log.request(0, old))
        for size in range(old, 21):
            agreed(
                witness, small_log.request(witness.memory.heads()[0].size if old or size > old else 0, size)
            )


def test_who_does_not_know_the_size_is_told(witness, small_log):
    agreed(witness, small_log.request(0))
    small_log.entries.append(b"more")
    answer = witness.judge(small_log.request(0))

    assert (answer.status, answer.body, answer.kind) == (409, "5\n", SIZE_TYPE)
    assert witness.memory.refusals() == []


def test_a_log_that_went_back_is_told_and_not_cosigned(witness, small_log):
    agreed(witness, small_log.request(0))
    with capture_logs() as logs:
        answer = witness.judge(small_log.request(3, 3))

    assert (answer.status, answer.body) == (409, "5\n")
    assert witness.memory.heads()[0].size == 5
    assert [each["event"] for each in logs] == ["witness.behind"]


def test_another_history_of_the_same_length_is_refused_loudly_and_kept(witness, small_log):
    agreed(witness, small_log.request(0))
    small_log.entries[1] = b"rewritten"
    with capture_logs() as logs:
        answer = witness.judge(small_log.request(5))

    assert answer.status == 422
    assert [(each["event"], each["log_level"]) for each in logs] == [("witness.refused", "error")]
    (refusal,) = witness.memory.refusals()
    for note in (refusal.note, refusal.against):
        parse_note(note).verified(small_log.vkey)  # the log has signed both: that is the proof
    assert parse_note(refusal.note).text != parse_note(refusal.against).text


def test_a_longer_history_that_was_rewritten_is_refused_whatever_proof_comes_with_it(witness, small_log):
    agreed(witness, small_log.request(0))
    honest = SmallLog(small_log.origin, 5).entries
    small_log.entries[1] = b"rewritten"
    small_log.entries += [b"more", b"and more"]

    assert witness.judge(small_log.request(5)).status == 422
    assert witness.judge(pack_request(5, [], small_log.checkpoint())).status == 422
    assert (
        witness.judge(pack_request(5, [leaf_hash(each) for each in honest], small_log.checkpoint())).status
        == 422
    )
    assert witness.memory.heads()[0].size == 5
    assert len(witness.memory.refusals()) == 1  # the same head again is no news


def test_a_proof_where_none_belongs_is_refused(witness, small_log):
    assert witness.judge(pack_request(0, [bytes(32)], small_log.checkpoint())).status == 422
    agreed(witness, small_log.request(0))
    assert witness.judge(pack_request(5, [bytes(32)], small_log.checkpoint())).status == 422


def test_a_stranger_is_not_looked_at(witness):
    assert witness.judge(SmallLog("recgate/other/00", 3).request(0)).status == 404


def test_only_the_logs_own_key_counts(witness, small_log):
    impostor = SmallLog(small_log.origin, 3)
    assert witness.judge(impostor.request(0)).status == 403

    text = small_log.head().text
    (line,) = parse_note(small_log.checkpoint()).lines
    forged = Note(text.replace("\n5\n", "\n4\n"), (line,))
    assert witness.judge(pack_request(0, [], forged.encode())).status == 403
    assert witness.memory.heads() == []


@pytest.mark.parametrize("data", [b"", b"old 0\n", b"GET / HTTP/1.1\r\n\r\n"])
def test_what_is_no_request_is_told_so(witness, data):
    assert witness.judge(data).status == 400


def test_refusals_are_kept_up_to_a_limit_the_newest_first(witness, small_log):
    agreed(witness, small_log.request(0))
    for number in range(MAX_REFUSALS + 3):
        small_log.entries[0] = b"%d" % number
        assert witness.judge(small_log.request(5)).status == 422

    assert len(witness.memory.refusals(10_000)) == MAX_REFUSALS
    assert witness.memory.refusals()[0].note == small_log.checkpoint()


def test_logs_are_told_apart(witness, small_log):
    other = SmallLog("recgate/gate-2/00", 9)
    assert witness.judge(other.request(0)).status == 404
    assert add_logs(witness.state, [other.vkey, small_log.vkey]) == [other.vkey]
    agreed(witness, other.request(0))
    agreed(witness, small_log.request(0))

    assert [each.size for each in witness.memory.heads()] == [5, 9]


def test_nothing_is_cosigned_that_cannot_be_remembered(witness, small_log):
    agreed(witness, small_log.request(0))
    small_log.entries.append(b"more")
    held = sqlite3.connect(witness.state / FILE, isolation_level=None)
    held.execute("DROP TABLE heads")
    held.close()

    with pytest.raises(WitnessFailed):
        witness.judge(small_log.request(5))


def test_two_witnesses_over_one_directory_agree(witness, small_log):
    other = Witness(witness.state, lambda: NOW + 1)
    agreed(witness, small_log.request(0))
    small_log.entries[2] = b"rewritten"

    assert other.judge(small_log.request(5)).status == 422


def test_no_cosignature_is_dated_before_the_last_one(tmp_path, small_log):
    make_witness(tmp_path / "w", "w")
    add_logs(tmp_path / "w", [small_log.vkey])
    times = iter([NOW, NOW - 1, NOW])
    witness = Witness(tmp_path / "w", lambda: next(times))

    statuses = [witness.judge(small_log.request(old)).status for old in (0, 5, 5)]

    assert statuses == [200, 503, 200]


def test_a_witness_keeps_its_key_and_its_name(tmp_path):
    first = make_witness(tmp_path / "w", "one")

    assert make_witness(tmp_path / "w", "one") == first == Witness(tmp_path / "w").vkey
    with pytest.raises(ConfigurationError, match="a witness one already"):
        make_witness(tmp_path / "w", "two")
    with pytest.raises(ConfigurationError, match="no name"):
        make_witness(tmp_path / "v", "a b")
    with pytest.raises(ConfigurationError, match="no witness here"):
        Witness(tmp_path / "v")


def test_keys_that_are_open_or_mixed_up_are_refused(tmp_path):
    make_witness(tmp_path / "w", "one")
    other = make_witness(tmp_path / "v", "one")
    (tmp_path / "w/vkey").write_text(other.text)
    with pytest.raises(ConfigurationError, match="is not of"):
        Witness(tmp_path / "w")
    (tmp_path / "v/key.pem").chmod(0o644)
    with pytest.raises(ConfigurationError, match="others may read"):
        Witness(tmp_path / "v")


def test_a_list_of_logs_with_another_key_in_it_is_refused(tmp_path):
    vkey = make_witness(tmp_path / "w", "one")
    for wrong in (vkey.text, "nonsense"):
        (tmp_path / "w/logs").write_text(f"# my logs\n\n{wrong}\n")
        with pytest.raises(ConfigurationError):
            Witness(tmp_path / "w")


# Cosigns one head after another, and says so only when it has the cosignature.
_CHILD = """
import sys
from pathlib import Path
from recgate.witness.judging import Witness
witness = Witness(Path(sys.argv[1]))
print("up", flush=True)
for number, line in enumerate(sys.stdin, 1):
    assert witness.judge(bytes.fromhex(line)).status == 200
    print(number, flush=True)
"""


def test_what_was_cosigned_is_remembered_through_kill_9_at_any_moment(witness, small_log):
    chance = random.Random(7)
    small_log.entries = [b"entry %d" % number for number in range(400)]
    size = 0
    for _ in range(8):
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(witness.state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        known = size
        requests = [
            small_log.request(each, each + 1).hex().encode() + b"\n" for each in range(known, known + 40)
        ]
        child.stdin.write(b"".join(requests))
        child.stdin.flush()
        for _ in range(chance.randrange(1, 30)):
            size = known + int(child.stdout.readline())
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
        (head,) = witness.memory.heads()
        assert head.size >= size
        size = head.size
        assert head.root == small_log.head(size).root
