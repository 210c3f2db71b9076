"""Which frames are meant, and which names are files."""

from __future__ import annotations

import click
import pytest

from core.tests.recordings import Maker
from core.tests.test_recording_disclosure import recorded
from recgate.cli.proofs import FramesType, are_files, check_proofs
from recgate.errors import RecgateError
from recgate.recording.disclosure import prove
from recgate.recording.reader import Archive
from recgate.recording.trust import Trust


@pytest.mark.parametrize(
    ("text", "ranges"), [("7", ((7, 7),)), ("12-14,20", ((12, 14), (20, 20))), ("0-0, 3", ((0, 0), (3, 3)))]
)
def test_frames_are_numbers_and_ranges(text, ranges) -> None:
    assert FramesType().convert(text, None, None) == ranges


@pytest.mark.parametrize("text", ["", "x", "3-1", "1,", "-1", "1-", "٣"])
def test_what_are_no_frames_is_refused(text) -> None:
    with pytest.raises(click.BadParameter, match="are no frames"):
        FramesType().convert(text, None, None)


def test_files_and_sessions_are_told_apart(tmp_path) -> None:
    (tmp_path / "proof").touch()
    assert are_files([str(tmp_path / "proof")])
    assert not are_files([str(tmp_path / "proof"), "01M87WFTCKEDVAGTSR12H329Y1"])
    assert not are_files([])


def test_a_proof_says_what_it_shows_and_an_untrusted_one_shows_nothing(tmp_path, capsys) -> None:
    maker = Maker(tmp_path)
    file = tmp_path / "proof"
    file.write_bytes(prove(Archive(maker.store), recorded(maker), [(1, 1)]))
    assert check_proofs([str(file)], maker.trust, as_json=False)
    assert "select 0 from segment0" in capsys.readouterr().out
    for as_json in (False, True):
        assert not check_proofs([str(file)], Trust(), as_json=as_json)
        said = capsys.readouterr().out
        assert "untrusted" in said
        assert "select" not in said
    file.write_bytes(b"no proof")
    with pytest.raises(RecgateError, match="proof"):
        check_proofs([str(file)], maker.trust, as_json=False)
