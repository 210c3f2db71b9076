"""`verify` with witnesses: what they vouch for is said, and what they have seen and is gone is found."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.tests.timestampauthority import TimestampAuthority
from recgate.cli import main
from recgate.ids import session_bytes
from recgate.ledger.cosignature import cosign, cosignatures, witness_key
from recgate.ledger.entries import pack_entry
from recgate.ledger.log import Ledger
from recgate.ledger.note import Note, parse_note
from recgate.recording.ledgered import LedgerIndex
from recgate.recording.report import Answer, Report, Status
from recgate.recording.trust import Trust, statements_in
from recgate.recording.witnessed import Vouching
from recgate.witness.timestamps import Query, authorities, stamp_path
from recgate.witness.vouching import keep

SESSION = "01JD0000000000000000000000"
WITNESS = Ed25519PrivateKey.from_private_bytes(bytes([7]) * 32)
W = witness_key("witness.example/w1", WITNESS)


class House:
    def __init__(self, directory):
        self.directory = directory / "ledger"
        self.key = Ed25519PrivateKey.generate()
        self.ledger = Ledger(self.directory, self.key, "recgate/gate-1/00")
        self.trust = Trust([], [self.ledger.vkey])
        self.trust.witnesses = (W,)

    def log(self, count=1):
        """Log whole sessions, three leaves each."""
        session = session_bytes(SESSION)
        for _ in range(count):
            self.ledger.append(
                [
                    pack_entry("open", 1, session, bytes(32), bytes(16)),
                    pack_entry("seal", 2, session, 1, 0, 3, bytes(32), bytes(32)),
                    pack_entry("close", 3, session, 1, 3, bytes(32)),
                ]
            )
        return parse_note(self.ledger.publish())

    def cosigned(self, note, time=1_800_000_000):
        (said,) = cosignatures(Note(note.text, (cosign(note.text, W.name, WITNESS, time),)), [W])
        keep(self.directory, note, said)

    def verified(self):
        vouching = Vouching(self.directory, self.trust)
        index = LedgerIndex(self.directory, self.trust.ledgers, (), vouching.visit)
        index.read()
        vouching.conclude(index)
        report = Report(SESSION)
        vouching.judge(report, index)
        return (
            report.levels["witnessed"],
            list(vouching.lines()),
            [each.what for each in index.reading.findings],
        )


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


def test_a_witness_vouches_for_what_it_cosigned_and_for_nothing_after_it(house):
    note = house.log()
    assert house.verified() == (
        Answer.UNAVAILABLE,
        [f"{W.name} is trusted as a witness, and vouches for nothing here"],
        [],
    )
    house.cosigned(note)
    level, (line,), findings = house.verified()
    assert (level, findings) == (Answer.OK, [])
    assert line == f"{W.name} vouches for the first 3 entries, as of 2027-01-15 08:00:00 UTC"
    house.trust.witnesses = ()
    assert house.verified()[0] is Answer.UNAVAILABLE


def test_what_was_logged_after_the_last_cosignature_is_not_vouched_for(house):
    house.cosigned(house.log())
    house.directory.joinpath("checkpoint").unlink()
    other = session_bytes("01JD0000000000000000000001")
    house.ledger.append(
        [pack_entry("open", 4, other, bytes(32), bytes(16)), pack_entry("close", 5, other, 1, 3, bytes(32))]
    )
    vouching = Vouching(house.directory, house.trust)
    index = LedgerIndex(house.directory, house.trust.ledgers, (), vouching.visit)
    index.read()
    vouching.conclude(index)
    report = Report("01JD0000000000000000000001")
    vouching.judge(report, index)
    assert report.levels["witnessed"] is Answer.UNAVAILABLE


def test_a_ledger_that_was_rolled_back_past_a_cosigned_head_is_found(house, tmp_path):
    house.log()
    shutil.copytree(house.directory, tmp_path / "older")
    house.cosigned(house.log())
    kept = shutil.copytree(house.directory / "cosigned", tmp_path / "cosigned")
    shutil.rmtree(house.directory)
    (tmp_path / "older").rename(house.directory)
    kept.rename(house.directory / "cosigned")

    level, _, (finding,) = house.verified()
    assert level is Answer.FAILED
    assert "rolled back" in finding


def test_a_ledger_that_was_rewritten_by_the_holder_of_its_key_is_found(house, tmp_path):
    house.cosigned(house.log())
    kept = shutil.copytree(house.directory / "cosigned", tmp_path / "cosigned")
    shutil.rmtree(house.directory)
    forged = Ledger(house.directory, house.key, "recgate/gate-1/00")
    forged.append([pack_entry("node", number, "gate-1") for number in range(9)])
    forged.publish()
    kept.rename(house.directory / "cosigned")

    level, _, (finding,) = house.verified()
    assert level is Answer.FAILED
    assert "was altered" in finding


def test_a_time_stamp_counts_where_its_authority_is_trusted(house, tmp_path):
    authority = TimestampAuthority(tmp_path / "tsa")
    note = house.log()
    stamp_path(house.directory, 3).parent.mkdir()
    stamp_path(house.directory, 3).write_bytes(authority.answer(Query.over(note.text).data))
    assert house.verified()[0] is Answer.UNAVAILABLE
    house.trust.authorities = tuple(authorities(authority.ca))
    level, lines, findings = house.verified()
    assert (level, findings) == (Answer.OK, [])
    assert lines[0].startswith("time stamp vouches for the first 3 entries, as of 20")


def test_a_trust_file_names_witnesses_and_authorities(tmp_path):
    authority = TimestampAuthority(tmp_path / "tsa")
    file = tmp_path / "trust.json"
    file.write_text(
        json.dumps(
            {
                "version": 1,
                "identity": [],
                "witnesses": [W.text, W.text],
                "authorities": [authority.ca.read_text()],
            }
        )
    )
    trust = Trust.load(file)

    assert trust.witnesses == (W,)
    assert [each.subject.rfc4514_string() for each in trust.authorities] == ["CN=ca"]


def test_the_command_says_who_vouches(tmp_path):
    house = House(tmp_path)
    house.log()
    trust = tmp_path / "t.json"
    trust.write_text(
        json.dumps(
            {
                "version": 1,
                "identity": [],
                "ledger": [{"vkey": house.ledger.vkey.text}],
                "witnesses": [W.text],
            }
        )
    )
    store = tmp_path / "store"
    store.mkdir(exist_ok=True)
    words = ["verify", "--store", store, "--ledger", house.directory, "--trust", trust, "--all"]
    done = CliRunner().invoke(main, [str(each) for each in words])

    assert "vouches for nothing here" in done.output


def test_that_no_trusted_witness_says_anything_is_a_failure_of_the_ledger(house):
    house.log()
    vouching = Vouching(house.directory, house.trust)
    index = LedgerIndex(house.directory, house.trust.ledgers, (), vouching.visit)
    index.read()
    vouching.conclude(index)
    report = vouching.silence(index)
    assert report is not None
    assert not report.ok
    assert report.levels["witnessed"] is Answer.FAILED
    assert report.levels["logged"] is Answer.UNAVAILABLE
    house.trust.witnesses = ()
    assert vouching.silence(index) is None


def test_what_a_witness_signed_under_a_head_that_was_kept_elsewhere_counts(house):
    note = house.log()
    held = Note(note.text, (*note.lines, cosign(note.text, W.name, WITNESS, 1_800_000_000))).encode()
    vouching = Vouching(house.directory, house.trust, [("kept", held)])
    index = LedgerIndex(house.directory, house.trust.ledgers, (), vouching.visit)
    index.read()
    vouching.conclude(index)
    assert vouching.silence(index) is None
    report = Report(SESSION)
    vouching.judge(report, index)
    assert report.levels["witnessed"] is Answer.OK


NOW = 1_800_000_000 * 10**9
DAY = 24 * 3600 * 10**9


@pytest.mark.parametrize(
    ("opened", "before", "seen", "status"),
    [
        (NOW, NOW - DAY, 0, Status.COMPLETE),
        (NOW - DAY, NOW - DAY, 0, Status.COMPLETE),
        (NOW - DAY, NOW, 0, Status.UNKNOWN),
        (NOW - 200 * 10**9, NOW, 0, Status.COMPLETE),  # the disk was full for a moment
        (NOW - DAY, NOW + DAY, 0, Status.COMPLETE),  # a clock that was ahead proves nothing
        (NOW - DAY, NOW - 2 * DAY, NOW, Status.UNKNOWN),  # a witness had seen all that there was
        (NOW, NOW - 2 * DAY, NOW, Status.COMPLETE),
    ],
)
def test_a_recording_that_was_dated_back_is_not_known(house, opened, before, seen, status):
    house.ledger.append([pack_entry("policy", before, bytes(32), bytes(16))])
    if seen:
        house.cosigned(parse_note(house.ledger.publish()), seen // 10**9)
    house.ledger.append(
        [
            pack_entry("open", opened, session_bytes(SESSION), bytes(32), bytes(16)),
            pack_entry("close", opened, session_bytes(SESSION), 1, 3, bytes(32)),
        ]
    )
    note = parse_note(house.ledger.publish())
    held = Note(note.text, (*note.lines, cosign(note.text, W.name, WITNESS, NOW // 10**9 + 1))).encode()
    vouching = Vouching(house.directory, house.trust, [] if seen else [("kept", held)])
    index = LedgerIndex(house.directory, house.trust.ledgers, (), vouching.visit, NOW)
    index.read()
    vouching.conclude(index)
    report = Report(SESSION, opened=opened)
    vouching.judge(report, index)
    assert report.status is status
    assert (report.levels["witnessed"] is Answer.FAILED) is (status is Status.UNKNOWN)


@pytest.mark.parametrize("name", ["timestamps", "cosigned"])
@pytest.mark.parametrize("what", ["file", "pipe in it"])
def test_something_else_in_the_place_of_what_was_said_is_no_crash_and_no_wait(house, name, what):
    house.log()
    place = house.directory / name
    if what == "file":
        place.write_bytes(b"")
    else:
        place.mkdir()
        os.mkfifo(place / "5.tsr")
    house.verified()


def test_a_pipe_in_the_place_of_a_file_is_no_wait(house, tmp_path):
    house.log()
    (house.directory / "checkpoint").unlink()
    os.mkfifo(house.directory / "checkpoint")
    _, _, findings = house.verified()
    assert findings
    os.mkfifo(tmp_path / "trust.json")
    assert statements_in(tmp_path / "trust.json") == ()
