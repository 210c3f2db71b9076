"""What a verification says: the worst that was found, every level, and where."""

from __future__ import annotations

import base64
import json

import pytest

from core.tests.recordings import Maker
from recgate.errors import ConfigurationError
from recgate.recording.contents import ContentsCheck
from recgate.recording.cose import key_id
from recgate.recording.report import LEVELS, MAX_PROBLEMS, Answer, Report, Status
from recgate.recording.segment import read_segment
from recgate.recording.trust import Trust, fingerprint


def test_the_worst_is_the_answer():
    report = Report("s")
    assert report.ok
    for status, answer in [
        (Status.UNSEALED, Status.UNSEALED),
        (Status.INCOMPLETE, Status.INCOMPLETE),
        (Status.UNSEALED, Status.INCOMPLETE),
        (Status.ALTERED, Status.ALTERED),
        (Status.MISSING, Status.ALTERED),
    ]:
        report.found(status, "there", "something")
        assert report.status is answer
        assert not report.ok
    assert report.levels["file"] is Answer.FAILED
    assert len(report.problems) == 5


def test_problems_are_bounded_and_the_status_is_not_lost():
    report = Report("s")
    for _ in range(MAX_PROBLEMS * 2):
        report.found(Status.INCOMPLETE, "there", "something")
    report.found(Status.ALTERED, "last", "the worst")
    assert len(report.problems) == MAX_PROBLEMS
    assert report.status is Status.ALTERED


def test_json_has_every_level():
    line = json.loads(json.dumps(Report("s").as_json()))
    assert list(line["levels"]) == list(LEVELS)
    assert set(line["levels"].values()) == {"not available"}
    assert (line["session"], line["status"], line["problems"]) == ("s", "complete", [])


def test_contents_are_checked_segment_by_segment(tmp_path):
    maker = Maker(tmp_path)
    session = maker.record([(0, "F", b"x")])
    segment = read_segment(maker.store.get(session, "000001.seg"))
    report = Report(session)
    ContentsCheck(report).segment(segment, "here", None, sound=True)
    assert report.problems == []


KEY = bytes(range(32))


def trust_file(path, **changes):
    entry = {"algorithm": "Ed25519", "public": base64.b64encode(KEY).decode()}
    path.write_text(json.dumps({"version": 1, "gateway": "g", "identity": [entry], **changes}))
    return path


def test_trust_is_read_from_several_files(tmp_path):
    other = bytes(32)
    second = trust_file(
        tmp_path / "b",
        gateway="h",
        identity=[
            {"algorithm": "Ed25519", "public": base64.b64encode(other).decode()},
            {"algorithm": "ML-DSA-44", "public": "later"},
        ],
    )
    trust = Trust.load(trust_file(tmp_path / "a"), second)
    assert len(trust) == 2
    assert (trust.key(key_id(KEY)), trust.gateway(key_id(KEY))) == (KEY, "g")
    assert trust.gateway(key_id(other)) == "h"
    assert (trust.key(bytes(32)), trust.gateway(bytes(32))) == (None, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"identity": None},
        {"identity": ["x"]},
        {"identity": [{"algorithm": "Ed25519", "public": "???"}]},
        {"identity": [{"algorithm": "Ed25519", "public": "AAAA"}]},
        {"identity": [{"algorithm": "Ed25519"}]},
    ],
)
def test_what_is_no_trust_file_is_said_so(tmp_path, changes):
    with pytest.raises(ConfigurationError, match="is not a trust file"):
        Trust.load(trust_file(tmp_path / "a", **changes))


@pytest.mark.parametrize("content", [b"", b"[]", b"nonsense", b"[" * 100_000, b"\xff\xfe"])
def test_garbage_is_no_trust_file(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ConfigurationError, match="is not a trust file"):
        Trust.load(tmp_path / "a")


def test_a_trust_file_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(ConfigurationError, match=r"Get trust\.json from the gateway"):
        Trust.load(tmp_path / "gone")


def test_fingerprints_look_like_those_of_openssh():
    assert fingerprint(key_id(KEY)).startswith("SHA256:")
    assert "=" not in fingerprint(key_id(KEY))
