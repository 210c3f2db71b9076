"""`recgate targets`: what somebody may reach, and the line to type."""

import json
import socket
import threading
from contextlib import contextmanager, suppress

import pytest
from click.testing import CliRunner

from core.tests.small_plugins import BASE, everything, plugin, tiny_provider
from recgate.cli import main
from recgate.cli.targets import targets
from recgate.providers import Directory

TARGETS = """\
targets:
  - {name: db, protocol: tiny, address: a, allow: ["group:dba"], labels: {env: prod}}
  - {name: web, protocol: tiny, address: a, allow: ["user:bob"]}
  - {name: mail, protocol: mute, address: a}
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RECGATE_CONFIG", raising=False)
    modules = {**everything(), "mute": plugin("mute", recgate_protocols=[tiny_provider("mute")])}

    def invoke(*arguments, text=BASE + TARGETS, extra=None):
        (tmp_path / "recgate.yaml").write_text(text)
        return CliRunner().invoke(main, ["targets", *arguments], obj={**modules, **(extra or {})})

    return invoke


def names(found):
    return [json.loads(line)["name"] for line in found.stdout.splitlines()]


def test_all_of_them_with_the_line_to_type(run):
    found = [json.loads(line) for line in run("--json").stdout.splitlines()]

    assert [row["name"] for row in found] == ["db", "web", "mail"]
    assert found[0] == {
        "name": "db",
        "protocol": "tiny",
        "allow": ["group:dba"],
        "labels": {"env": "prod"},
        "line": "tiny db@127.0.0.1:7000",
    }
    assert found[2]["line"] == ""
    assert "no listener speaks its protocol" in run().stdout


def test_those_of_a_user_that_an_identity_source_knows(run):
    assert names(run("--user", "alice", "--json")) == ["db"]


def test_those_of_a_user_that_none_knows_are_by_name_and_given_groups(run):
    assert names(run("--user", "bob", "--json")) == ["web"]
    assert names(run("--user", "bob", "--group", "dba", "--json")) == ["db", "web"]
    assert names(run("--group", "dba", "--json")) == ["db"]


def test_nothing_to_reach_is_a_no(run):
    found = run("--user", "eve")

    assert found.exit_code == 1
    assert "there is no target for eve" in found.stderr
    assert run(text=BASE).exit_code == 1


def test_where_every_address_is_bound_the_gateways_own_name_is_printed(run):
    text = BASE.replace("127.0.0.1:7000", "0.0.0.0:7000") + TARGETS

    assert "tiny db@gate-1:7000" in run(text=text).stdout
    assert (
        "tiny db@gate.example:7000"
        in run(text=text.replace("name: gate-1", "name: gate-1, hosts: [gate.example]")).stdout
    )


def test_a_listener_with_scram_needs_the_user_in_the_login(run):
    text = BASE.replace('"127.0.0.1:7000"', '"127.0.0.1:7000", auth: scram') + TARGETS

    assert "tiny alice+db@127.0.0.1:7000" in run("--user", "alice", text=text).stdout
    assert targets.name == "targets"
    assert not isinstance(object(), Directory)


def test_the_line_verifies_the_gateway_with_its_ca(run, tmp_path):
    verified = tiny_provider(
        "tiny", client_line=lambda target, host, port, login: f"tiny --ca={{ca}} {login}"
    )
    extra = {"tiny": plugin("tiny", recgate_protocols=[verified])}

    assert f"tiny --ca={tmp_path}/data/ca.pem db" in run(extra=extra).stdout
    own = (BASE + TARGETS).replace("data_dir: data", "data_dir: data, tls: {certificate: c.pem, key: k.pem}")
    assert "tiny --ca=system db" in run(extra=extra, text=own).stdout
    spaced = (BASE + TARGETS).replace("data_dir: data", "data_dir: my data")
    assert f"tiny --ca='{tmp_path}/my data/ca.pem' db" in run(extra=extra, text=spaced).stdout


def test_a_port_that_is_taken_at_start_is_asked_of_the_running_gateway(run, tmp_path):
    text = (BASE + TARGETS).replace(":7000", ":0")
    (tmp_path / "data").mkdir()
    bound = [
        {"name": "ssh@127.0.0.1:0", "port": 1},
        {"name": "tiny@127.0.0.1:0", "port": 40123},
        {"name": "tiny@127.0.0.1:0", "port": 40124},
    ]
    with answering(tmp_path / "data", *bound) as asked:
        assert "tiny db@127.0.0.1:40123" in run(text=text).stdout
    assert asked == [{"do": "listeners"}]  # once, for all targets

    with answering(tmp_path / "data"):
        assert "the running gateway has no such listener" in run(text=text).stdout.splitlines()[0]


def test_without_a_gateway_it_is_said_why_there_is_no_line(run):
    line = run(text=(BASE + TARGETS).replace(":7000", ":0")).stdout.splitlines()[0]

    assert "tiny@127.0.0.1:0 takes its port when it starts" in line
    assert "no gateway is running there; start it with `recgate serve`" in line


@contextmanager
def answering(data_dir, *lines):
    """A running gateway's control socket that gives these lines to whoever asks."""
    asked = []
    path = data_dir / "control.sock"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve():
            with suppress(OSError):
                while True:
                    peer, _ = listener.accept()
                    with peer:
                        asked.append(json.loads(peer.recv(4096)))
                        for line in (*lines, {"done": True}):
                            peer.sendall(json.dumps(line).encode() + b"\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield asked
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
