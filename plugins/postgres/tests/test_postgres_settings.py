"""How the target reads texts, and when that leaves a doubt."""

from __future__ import annotations

import pytest

from recgate_postgres.settings import Settings, plain


def reported(**parameters: str) -> Settings:
    settings = Settings()
    for name, value in {
        "client_encoding": "UTF8",
        "server_encoding": "UTF8",
        "standard_conforming_strings": "on",
        "server_version": "15.8 (Debian 15.8-0+deb12u1)",
        **parameters,
    }.items():
        settings.report(name.encode(), value)
    return settings


@pytest.mark.parametrize(
    "name", ["UTF8", "LATIN1", "LATIN10", "WIN1252", "ISO_8859_5", "KOI8R", "EUC_JP", "SQL_ASCII"]
)
def test_encodings_that_keep_ascii_apart(name):
    assert reported(client_encoding=name).safe


@pytest.mark.parametrize(
    "name", ["SJIS", "BIG5", "GBK", "UHC", "GB18030", "JOHAB", "SHIFT_JIS_2004", "", "NEW", "utf8\0"]
)
def test_encodings_that_do_not_or_are_not_known(name):
    assert not reported(client_encoding=name).safe


def test_nothing_is_taken_for_granted_before_it_is_reported():
    settings = Settings()
    assert not settings.safe
    assert not settings.exact
    assert settings.version == 0
    assert settings.doubts(b"select '\\'", behind=False)


@pytest.mark.parametrize(
    ("text", "strings", "behind", "doubt"),
    [
        (b"select 'x'", "off", True, False),
        (b"select '\\'", "on", False, False),
        (b"select '\\'", "off", False, True),
        (b"select '\\'", "on", True, True),
        (b"select '\xc3\xa4'", "on", False, False),
        (b"select '\xc3\xa4'", "off", False, False),
        (b"select '\xc3\xa4'", "on", True, True),
    ],
)
def test_what_may_be_read_otherwise(text, strings, behind, doubt):
    assert reported(standard_conforming_strings=strings).doubts(text, behind=behind) is doubt


def test_plain_texts():
    assert plain(b"select 1")
    assert not plain(b"\\")
    assert not plain("ä".encode())


@pytest.mark.parametrize(
    ("value", "version"),
    [
        ("15.8 (Debian)", 15),
        ("18.0", 18),
        ("19beta1", 0),
        ("18 devel", 18),
        ("9.6.24", 9),
        ("", 0),
        ("9" * 50, 0),
    ],
)
def test_versions(value, version):
    assert reported(server_version=value).version == version


def test_names_beyond_ascii_are_exact_in_utf8_alone():
    assert reported().exact
    assert reported(client_encoding="LATIN1").exact
    assert not reported(server_encoding="LATIN1").exact
    assert not reported(client_encoding="SQL_ASCII").exact
