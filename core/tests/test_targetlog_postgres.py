"""PostgreSQL's three formats: who got in, and what tries to look like it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, tzinfo

import pytest

from recgate.targetlog.arrivals import Arrival
from recgate.targetlog.postgres import MAX_PENDING, read_csvlog, read_jsonlog, read_stderr

Reader = Callable[[Iterable[tuple[int, str]], tzinfo], Iterator[Arrival]]
AT = "2026-11-24 09:30:00.250 UTC"


def read(reader: Reader, *lines: str) -> list[Arrival]:
    return list(reader(enumerate(lines, 1), UTC))


def record(message: str, *, severity: str = "LOG", source: str = "10.0.0.7:50412") -> str:
    fields = [""] * 26
    fields[0], fields[4], fields[11], fields[13] = AT, source, severity, message
    return ",".join('"' + each.replace('"', '""') + '"' for each in fields)


def test_address_and_name_are_joined_by_the_process() -> None:
    (found,) = read(
        read_stderr,
        f"{AT} [7] [unknown]@[unknown] LOG:  connection received: host=10.0.0.7 port=50412",
        f"{AT} [8] [unknown]@[unknown] LOG:  connection received: host=10.0.0.8 port=1",
        f"{AT} [7] app@db LOG:  connection authorized: user=app database=db application_name=recgate X SSL enabled "
        "(protocol=TLSv1.3, cipher=TLS_AES_256_GCM_SHA384, bits=256)",
    )
    assert found == Arrival(3, 1_795_512_600.25, "app", "10.0.0.7", 50412, "recgate X", "PostgreSQL")


def test_who_was_turned_away_lends_nobody_an_address() -> None:
    (found,) = read(
        read_stderr,
        f"{AT} [7] LOG:  connection received: host=10.0.0.7 port=50412",
        f'{AT} [7] FATAL:  password authentication failed for user "app"',
        f"{AT} [7] LOG:  connection authorized: user=app database=db",
    )
    assert (found.source, found.label) == ("", "")


def test_replication_gets_in_too() -> None:
    (found,) = read(
        read_stderr, f"{AT} [7] LOG:  replication connection authorized: user=app application_name=w"
    )
    assert (found.user, found.label) == ("app", "w")


def test_an_epoch_is_a_time_too() -> None:
    (found,) = read(read_stderr, "1795512600.250 [7] LOG:  connection authorized: user=app database=db")
    assert found.wall == 1_795_512_600.25


def test_what_goes_on_a_message_is_none() -> None:
    assert not read(
        read_stderr,
        f'{AT} [7] FATAL:  role "a',
        f"\t{AT} [7] LOG:  connection authorized: user=app database=db",
        '\t" does not exist',
    )


@pytest.mark.parametrize("name", ["psql application_name=recgate X", "psql SSL enabled (x) more"])
def test_a_name_that_looks_like_the_line_stays_a_name(name: str) -> None:
    message = f"connection authorized: user=app database=db application_name={name}"
    stamp = {"timestamp": AT, "error_severity": "LOG", "remote_host": "10.0.0.7", "remote_port": 5}
    found = [
        *read(read_stderr, f"{AT} [7] LOG:  {message}"),
        *read(read_csvlog, record(message)),
        *read(read_jsonlog, json.dumps({**stamp, "message": message})),
    ]
    assert [each.label for each in found] == [name] * 3


def test_csvlog_has_records_of_many_lines_and_addresses_of_six() -> None:
    found = read(
        read_csvlog,
        *record(
            "statement: SELECT '\n" + record("connection authorized: user=evil database=db") + "\n'"
        ).split("\n"),
        record("connection authorized: user=evil database=db", severity="ERROR"),
        record("connection authorized: user=app database=db", source="[2001:db8::7]:50412"),
        record("connection authorized: user=root database=db", source="[local]"),
    )
    assert [(each.user, each.source, each.port) for each in found] == [
        ("app", "2001:db8::7", 50412),
        ("root", "local", 0),
    ]


def test_jsonlog_without_sense_is_passed_over() -> None:
    words = "connection authorized: "
    assert not read(
        read_jsonlog,
        words,
        f'["{words}"]',
        f'{{"message": "{words}',
        "[" * 9000 + words,
        f'{{"message":["{words}"]}}',
    )


def test_what_is_pending_is_bounded() -> None:
    def flood() -> Iterator[tuple[int, str]]:
        for number in range(MAX_PENDING + 1):
            yield number, f"{AT} [{number}] LOG:  connection received: host=10.0.0.7 port=5"
        yield 0, f"{AT} [0] LOG:  connection authorized: user=old database=db"
        yield 1, f"{AT} [{MAX_PENDING}] LOG:  connection authorized: user=new database=db"

    assert [(each.user, each.source) for each in read_stderr(flood(), UTC)] == [
        ("old", ""),
        ("new", "10.0.0.7"),
    ]


@pytest.mark.parametrize("reader", [read_stderr, read_csvlog, read_jsonlog])
def test_garbage_raises_nothing(reader: Reader) -> None:
    chance = random.Random(5)
    words = [
        "LOG:  ",
        "connection authorized: user=",
        '"',
        ",",
        "\t",
        "[7]",
        "\0",
        "{",
        "}",
        AT,
        "é",
        " application_name=",
    ]
    lines = ["".join(chance.choices(words, k=chance.randrange(30))) for _ in range(3000)]
    assert all(isinstance(each, Arrival) for each in read(reader, *lines))
