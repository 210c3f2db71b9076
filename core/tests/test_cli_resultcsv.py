"""One result as CSV, through `recgate show`, into a file and onto a terminal."""

from __future__ import annotations

import io
from typing import Any

from core.tests.tinyproto import Tape, tiny
from recgate.cli.entrynumber import EntryNumber
from recgate.cli.resultcsv import write_result
from recgate.transcript.reading import read_entries


def test_one_result_as_csv(archive):
    assert archive.run("show", archive.session, "--entry", "3", "--format", "csv") == (
        "value\nAnn\n\x1b[2Jevil\u202e\nBob\n"
    )
    archive.run("show", archive.session, "--entry", "1", "--format", "csv", status=1)
    assert "returned no rows" in archive.errors
    archive.run("show", archive.session, "--format", "csv", status=2)
    assert "name its statement with --entry" in archive.errors


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self):
        return True


class Taped:
    """Recordings of one tape."""

    def __init__(self, *lines):
        self.tape = Tape()
        self.tape.client("ask one\nask two")
        self.tape.target("\n".join(lines))

    def entries(self, session, *, rows):
        return read_entries(self.tape.frames, tiny(), rows=rows)


def written(number, *lines, out=None):
    out = out or io.StringIO()
    recordings: Any = Taped(*lines)
    write_result(recordings, "01TAPE", number, out)
    return out.getvalue()


def test_of_several_results_of_one_frame_the_first_is_meant(capsys):
    lines = ("row a", "row b", "done 2", "row c", "done 1")
    assert written(EntryNumber(1), *lines) == "value\na\nb\n"
    assert "these are the rows of 1.0; further results begin there: 1.1" in capsys.readouterr().err
    assert written(EntryNumber(1, 1), *lines) == "value\nc\n"
    assert capsys.readouterr().err == ""


def test_a_terminal_is_shown_what_a_file_gets_as_it_is():
    lines = ("row \x1b[2J", "done 1", "done 0")
    assert written(EntryNumber(1), *lines) == "value\n\x1b[2J\n"
    assert written(EntryNumber(1), *lines, out=Terminal()) == "value\n\\x1b[2J\n"
