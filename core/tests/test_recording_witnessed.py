"""`verify` with witnesses: what they vouch for is said, and what they have seen and is gone is found."""

from __future__ import annotations

import json
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
from recgate.recording.report import Answer, Report
from recgate.recording.trust import Trust
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
