"""`recgate reconcile` at its edges; logs of real servers are in tests/test_reconcile_gateway.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from recgate.cli import main
from recgate.cli.reconcile import reconcile


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--zone", "Mars/Olympus"), "is no time zone"),
        (("--gateway-address", "gate.example"), "is no IP address"),
        (("--skew", "-1"), "is not in the range"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(reconcile, ["--target", "db", "--log", "-", *words])
    assert done.exit_code == 2
    assert said in done.output


def test_a_log_that_is_none_is_no_answer(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    log = tmp_path / "access.log"
    log.write_text("GET / HTTP/1.1\n")
    words = ["reconcile", "--target", "db", "--log", str(log), "--store", str(tmp_path / "store")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert "say --format" in done.output
