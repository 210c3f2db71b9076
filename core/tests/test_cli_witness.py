"""`recgate witness` as its operator has it: a key, the logs it looks at, the server, and what it found."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import contextmanager

import httpx2
import pytest
from click.testing import CliRunner

from core.tests.logs_and_witnesses import SmallLog
from recgate.cli import main
from recgate.ledger.note import COSIGNATURE, Vkey, parse_note


@pytest.fixture
def cli():
    def run(*words, status=0):
        done = CliRunner().invoke(main, ["witness", *map(str, words)])
        assert done.exit_code == status, done.output
        return done.output

    return run


@contextmanager
def serving(state, *words):
    command = [sys.executable, "-m", "recgate", "witness", "serve", "--state", str(state), "--json"]
    process = subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        yield process, f"http://127.0.0.1:{ready['port']}/add-checkpoint"
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def test_a_witness_is_made_told_of_logs_and_found_again_after_kill_9(cli, tmp_path):
    state, small_log = tmp_path / "w", SmallLog(count=3)
    key = cli("new", "--state", state, "--name", "witness.example/w1").strip()
    assert Vkey.parse(key).kind == COSIGNATURE
    assert cli("new", "--state", state, "--name", "witness.example/w1").strip() == key
    trust = tmp_path / "trust.json"
    trust.write_text(json.dumps({"ledger": [{"origin": small_log.origin, "vkey": small_log.vkey.text}]}))
    assert small_log.origin in cli("follow", "--state", state, trust)
    assert cli("follow", "--state", state, small_log.vkey.text) == ""

    with serving(state) as (process, url):
        assert httpx2.post(url, content=small_log.request(0)).status_code == 200
        process.kill()
        process.wait()
    with serving(state) as (_, url):
        small_log.entries[1] = b"rewritten"
        assert httpx2.post(url, content=small_log.request(3)).status_code == 422

    said = cli("show", "--state", state, "--proof", tmp_path / "proof", status=1)
    assert key in said
    assert "REFUSED" in said
    assert "another head of 3 entries" in said
    for name in ("001-cosigned", "001-refused"):
        parse_note((tmp_path / "proof" / name).read_bytes()).verified(small_log.vkey)
    row = json.loads(cli("show", "--state", state, "--json", status=1))
    assert (row["log"], row["size"], row["refused"]) == (small_log.origin, 3, 1)


def test_a_log_may_be_added_while_it_serves(cli, tmp_path):
    state, small_log = tmp_path / "w", SmallLog(count=3)
    with serving(state, "--name", "w") as (_, url):
        assert httpx2.post(url, content=small_log.request(0)).status_code == 404
        cli("follow", "--state", state, small_log.vkey.text)
        assert httpx2.post(url, content=small_log.request(0)).status_code == 200
    assert json.loads(cli("show", "--state", state, "--json"))["size"] == 3


def test_what_is_wrong_is_said_with_what_to_do(cli, tmp_path):
    assert "witness new" in cli("serve", "--state", tmp_path / "none", status=2)
    assert "no name" in cli("new", "--state", tmp_path / "w", "--name", "a b", status=2)
    key = cli("new", "--state", tmp_path / "w", "--name", "w").strip()
    assert "key of a witness" in cli("follow", "--state", tmp_path / "w", key, status=2)
    assert "trust.json" in cli("follow", "--state", tmp_path / "w", "nonsense", status=2)
    (tmp_path / "trust.json").write_text('{"version": 1}')
    assert "names no ledger" in cli("follow", "--state", tmp_path / "w", tmp_path / "trust.json", status=2)
    assert "--listen" in cli("serve", "--state", tmp_path / "w", "--listen", "nowhere", status=2)


def test_an_address_that_is_taken_is_said_so(cli, tmp_path):
    with serving(tmp_path / "w", "--name", "w") as (_, url):
        port = url.split(":")[2].split("/")[0]
        assert "Is another program" in cli(
            "serve", "--state", tmp_path / "w", "--listen", f"127.0.0.1:{port}", status=2
        )
