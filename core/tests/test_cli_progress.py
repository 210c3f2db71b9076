"""Progress on a terminal, and none elsewhere."""

from __future__ import annotations

import io

from recgate.cli.progress import counted


def test_a_file_gets_what_is_written_and_the_person_sees_how_much(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    file = io.StringIO()
    with counted(file) as out:
        out.write("x" * 3_000_000)
        out.writelines(["a\n", "b\n"])
    assert file.getvalue().endswith("xa\nb\n")
    assert len(file.getvalue()) == 3_000_004
    assert "MB written" in capsys.readouterr().err


def test_without_a_terminal_nothing_is_said(capsys):
    file = io.StringIO()
    with counted(file) as out:
        out.write("x")
    assert (file.getvalue(), capsys.readouterr()) == ("x", ("", ""))
