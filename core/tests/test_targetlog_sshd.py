"""sshd's log in syslog's files and journald's exports."""

from __future__ import annotations

import json
import random
from datetime import UTC

import pytest

from recgate.targetlog.arrivals import Arrival
from recgate.targetlog.sshd import read_journal_export, read_journal_json, read_sshd

NOW = 1_795_512_600.0  # 2026-11-24 09:30:00 UTC
PASSWORD = "Accepted password for deploy from 10.0.0.7 port 50412 ssh2"
CERTIFICATE = (
    "Accepted publickey for deploy from 10.0.0.7 port 50412 ssh2: ED25519-CERT SHA256:abc "
    "ID recgate X (serial 1) CA ED25519 SHA256:def (serial 7) CA ED25519 SHA256:def"
)


def read(*lines: str) -> list[Arrival]:
    return list(read_sshd(enumerate(lines, 1), UTC, NOW))


def test_who_got_in_and_how() -> None:
    password, certificate = read(
        f"2026-11-24T09:30:00.5+00:00 web-1 sshd[7]: {PASSWORD}",
        f"Nov 24 09:30:00 web-1 sshd-session[7]: {CERTIFICATE}",
    )
    assert password == Arrival(1, NOW + 0.5, "deploy", "10.0.0.7", 50412, "", "SSH, password")
    assert (certificate.wall, certificate.label) == (NOW, "recgate X (serial 1) CA ED25519 SHA256:def")


@pytest.mark.parametrize(
    ("stamp", "wall"),
    [
        ("Nov 24 09:30:00", NOW),
        ("Dec 24 09:30:00", NOW - 335 * 86_400),
        ("Feb 29 09:30:00", None),
        ("Xxx  1 09:30:00", None),
    ],
)
def test_a_time_without_a_year_is_the_last_one(stamp: str, wall: float | None) -> None:
    (found,) = read(f"{stamp} web-1 sshd[7]: {PASSWORD}")
    assert found.wall == wall


def test_a_line_of_sshds_own_log_has_no_time() -> None:
    (found,) = read(PASSWORD)
    assert found.wall is None


@pytest.mark.parametrize(
    "line",
    [
        f"Nov 24 09:30:00 web-1 sshd[7]: Failed password for invalid user {PASSWORD} from 10.0.0.9 port 1 ssh2",
        f"Nov 24 09:30:00 web-1 sshd[7]: Invalid user sshd[7]: {PASSWORD} from 10.0.0.9 port 1",
        f"Nov 24 09:30:00 web-1 logger: {PASSWORD}",
    ],
)
def test_a_user_name_that_looks_like_the_line_is_none(line: str) -> None:
    assert not read(line)


def test_journald_says_who_wrote_and_when() -> None:
    entry = {"__REALTIME_TIMESTAMP": "1795512600250000", "_COMM": "sshd", "MESSAGE": PASSWORD}
    others = [
        {**entry, "_COMM": "logger", "SYSLOG_IDENTIFIER": "sshd"},
        {**entry, "MESSAGE": list(PASSWORD.encode())},
        {**entry, "MESSAGE": None},
        {**entry, "__REALTIME_TIMESTAMP": "soon"},
    ]
    lines = ["MESSAGE {", "[]MESSAGE", *(json.dumps(each) for each in [entry, *others])]
    found = list(read_journal_json(enumerate(lines), UTC))
    assert [(each.line, each.wall) for each in found] == [(2, NOW + 0.25), (4, NOW + 0.25), (6, None)]
    export = [*(f"{name}={value}" for name, value in entry.items()), ""]
    forged = [each.replace("_COMM=sshd", "_COMM=logger") for each in export]
    found = list(read_journal_export(enumerate([*forged, *export, *forged, *export[:-1]], 1), UTC))
    assert [(each.line, each.wall, each.source) for each in found] == [
        (5, NOW + 0.25, "10.0.0.7"),
        (13, NOW + 0.25, "10.0.0.7"),
    ]


def test_garbage_raises_nothing() -> None:
    chance = random.Random(5)
    words = [
        "sshd[7]: ",
        "Accepted ",
        "password for ",
        " from ",
        " port ",
        "7",
        " ssh2",
        ": ",
        "Nov 24 09:30:00 ",
        "\0",
        "é",
    ]
    lines = ["".join(chance.choices(words, k=chance.randrange(30))) for _ in range(3000)]
    assert all(isinstance(each, Arrival) for each in read(*lines))
