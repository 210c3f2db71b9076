"""One line per event, for machines or for people; a peer's control characters stay inert in both (threat 33)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from recgate.logs import configure_logs

HOSTILE = "evil\x1b[2J\nforged line"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("json")
    structlog.get_logger().info("login.failed", claimed=HOSTILE)
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["claimed"] == HOSTILE
    assert "\x1b" not in line


def test_people_get_a_line_that_cannot_be_forged(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("console")
    structlog.get_logger().info("login.failed", claimed=HOSTILE)
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert "\x1b[2J" not in err
    assert "login.failed" in err


def test_the_level_is_kept_and_standard_output_stays_clean(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("json", "warning")
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [json.loads(line)["event"] for line in captured.err.splitlines()] == ["loud"]


@pytest.mark.parametrize("form", ["json", "console"])
def test_an_exception_is_told_by_kind_and_place_and_not_by_what_it_quotes(
    form: Literal["json", "console"], capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(form)

    def read(password: bytes) -> str:
        return password.decode()

    try:
        read(b"hunter2\xff")
    except UnicodeDecodeError as exc:
        structlog.get_logger().error("session.crashed", exc_info=ExceptionGroup("several", [exc]))
    err = capsys.readouterr().err
    assert "UnicodeDecodeError at test_logs.py:" in err
    assert "hunter2" not in err
