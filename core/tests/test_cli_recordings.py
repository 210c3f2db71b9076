"""How every reading command finds a session."""

from __future__ import annotations

from core.tests.recorded import Archive


def test_an_abbreviation_is_enough_if_it_fits_one(archive):
    common = archive.session[:6]  # of one quarter of an hour
    assert archive.run("show", archive.session[:-2].lower()).startswith(archive.session)
    archive.run("show", common, status=1)
    assert "several sessions begin with" in archive.errors
    archive.run("show", "ZZZZ", status=1)
    assert "no session begins with ZZZZ" in archive.errors
    archive.run("show", "\x1b[2J" * 3, status=1)
    assert "\x1b" not in archive.errors


def test_a_recording_that_the_catalog_does_not_know_is_a_recording(archive):
    (archive.data / "catalog.sqlite").rename(archive.data / "away.sqlite")
    try:
        assert "unlisted" in archive.run("show", archive.session[:-1])
    finally:
        (archive.data / "away.sqlite").rename(archive.data / "catalog.sqlite")


def test_without_a_data_directory_nothing_is_made(tmp_path):
    nowhere = Archive(tmp_path)
    nowhere.data.rmdir()
    nowhere.run("show", "01ABC", status=2)
    assert "does not exist, so nothing was recorded there" in nowhere.errors
    assert not nowhere.data.exists()


def test_an_error_does_not_act_on_the_terminal(archive):
    archive.run("search", "\x1b[2Jx:y usr\x1b]0;owned\x07:alice /\x1b(/", status=2)
    assert archive.errors
    assert "\x1b" not in archive.errors
    assert "\x07" not in archive.errors
