"""Lines of any length, times in any dress, and ids that are none."""

from __future__ import annotations

import io
from datetime import UTC, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from recgate.ids import new_session_id
from recgate.targetlog.arrivals import MAX_LINE, read_lines, session_of, time_of

EAST = timezone(timedelta(hours=9))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-24 09:30:00.250 UTC [7] ", 1_795_512_600.25),
        ("2026-11-24T09:30:00Z host sshd[7]: ", 1_795_512_600),
        ("2026-11-24T10:30:00.5+01:00 host", 1_795_512_600.5),
        ("2026-11-24 06:00:00 -03:30 [7]", 1_795_512_600),
        ("2026-11-24 11:30:00 +02 [7]", 1_795_512_600),
        ("2026-11-24 18:30:00 JST [7]", 1_795_512_600),
        ("2026-11-24 18:30:00 [7]", 1_795_512_600),
        ("2026-13-24 18:30:00 [7]", None),
        ("no time at all", None),
    ],
)
def test_times_are_read_with_their_zone_or_the_logs(text: str, seconds: float | None) -> None:
    assert time_of(text, EAST) == seconds


def test_summer_time_is_the_logs_own() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    winter, summer = (time_of(f"2026-{month}-24 12:00:00 X", berlin) for month in ("01", "07"))
    assert winter == time_of("2026-01-24 11:00:00 UTC", UTC)
    assert summer == time_of("2026-07-24 10:00:00 UTC", UTC)


def test_only_what_the_gateway_writes_names_a_session() -> None:
    session = new_session_id()
    assert session_of(f"recgate {session}") == session
    assert session_of(f"recgate {session} psql") == session
    for label in (
        "",
        session,
        f"recgate {session}X",
        f"psql recgate {session}",
        "recgate " + "U" * 26,
        "recgate " + "Z" * 26,
    ):
        assert session_of(label) is None, label


def test_a_line_without_end_is_cut_and_the_next_one_is_read() -> None:
    told: list[int] = []
    data = b"x" * (3 * MAX_LINE + 5) + b"\r\n" + b"second \xff\n" + b"third"
    lines = list(read_lines(io.BytesIO(data), told.append))
    assert [(number, len(text)) for number, text in lines] == [(1, MAX_LINE), (2, 8), (3, 5)]
    assert told == [len(data)]
