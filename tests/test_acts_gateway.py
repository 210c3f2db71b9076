"""Administration of a gateway, running or stopped, is in its ledger; what cannot be put there is not done."""

from __future__ import annotations

import json
import os
import signal

import pytest

from recgate.ledger.entries import NOBODY, who_is
from recgate.testing.process import GatewayProcess

CONFIG = {"listeners": [{"protocol": "postgres", "bind": "127.0.0.1:0"}]}


def acts(gate, *kinds):
    words = [word for kind in kinds for word in ("--kind", kind)]
    trail = gate.data_dir / "audit.jsonl"
    done = gate.run("ledger", "entries", *words, "--audit", str(trail), "--json")
    return [json.loads(line) for line in done.splitlines()]


def entered(gate):
    done = gate.command("ledger", "head", "--json")
    return json.loads(done.stdout)["size"] if done.stdout else 0


@pytest.fixture
def gate(tmp_path):
    with GatewayProcess(tmp_path, CONFIG) as gate:
        yield gate


def test_acts_of_a_running_gateway_and_of_a_stopped_one(gate):
    gate.until(lambda: entered(gate) >= 2, "the configuration in the ledger")
    assert [each["who"] for each in acts(gate, "policy")] == [NOBODY.hex()]
    gate.run("user", "add", "alice", "--group", "dba")
    token = gate.token("alice")
    before = entered(gate)
    os.kill(gate.pid, signal.SIGHUP)
    gate.until(lambda: entered(gate) > before, "the configuration that was read again")
    assert len(acts(gate, "policy")) == 2
    gate.stop()
    gate.run("user", "rm", "alice")
    found = acts(gate, "admin")
    assert [each["act"] for each in found] == ["user.added", "token.issued", "user.removed"]
    assert [each["words"]["user"] for each in found] == ["alice"] * 3
    subjects = (gate.data_dir / "keys" / "subjects").read_bytes()
    assert {each["who"] for each in found} == {who_is(subjects, "unix", str(os.getuid())).hex()}
    everything = gate.run("ledger", "entries")
    assert "alice" not in everything
    assert token not in gate.run("ledger", "entries", "--audit", str(gate.data_dir / "audit.jsonl"))
    gate.run("ledger", "check")


def test_what_cannot_be_put_on_record_is_not_done_and_what_takes_away_is(gate):
    gate.token("alice")
    os.rename(gate.data_dir / "ledger", gate.data_dir / "away")
    (gate.data_dir / "ledger").write_text("in the way")
    refused = gate.command("token", "issue", "--user", "bob")
    assert refused.returncode != 0
    assert "Nothing was done" in refused.stderr
    assert "bob" not in gate.run("user", "ls")
    removed = gate.command("user", "rm", "alice")
    assert removed.returncode == 0
    assert "not on record" in removed.stderr
    assert "alice" not in gate.run("user", "ls")
