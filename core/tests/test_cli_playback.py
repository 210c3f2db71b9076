"""What is played of a session, through `recgate replay` into a pipe."""

from __future__ import annotations

SHOWN = b"$ \x1b[1mls\r\na \xc3\xa9 b\xff\r\n"


def test_a_pipe_gets_exactly_what_was_shown(archive):
    for words in ((), ("--speed", "1000"), ("--at", "00:30"), ("--idle", "0", "--speed", "4")):
        assert archive.run_bytes("replay", archive.terminal, *words) == SHOWN
    assert archive.run_bytes("replay", archive.terminal, "--channel", "1") == b"sftp bytes"


def test_a_database_session_plays_as_text(archive):
    played = archive.run("replay", archive.session)
    assert "DROP DATABASE customers" in played
    assert "\\x1b[2Jevil" in played
    assert "\x1b" not in played
    archive.run("replay", archive.session, "--channel", "1", status=1)
