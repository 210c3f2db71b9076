"""Whoever may approve is told by a real webhook and a real mail server, and a receiver that is dead holds up nobody."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from plugins.notify.tests.receivers import hook
from recgate.model import Secret
from recgate.testing.process import GatewayProcess
from recgate_notify.signing import verify
from tests.peers.postgres import PASSWORD, Cluster, debian_bin
from tests.test_approvals_gateway import configuration, psql, requests, waiting


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=False) as running:
        yield running


class Inbox:
    def __init__(self) -> None:
        self.messages: list[bytes] = []

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.messages.append(envelope.content)
        return "250 OK"


@contextmanager
def mail_server() -> Iterator[tuple[Inbox, int]]:
    inbox = Inbox()
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield inbox, port
    finally:
        controller.stop()


def private(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def steps(gate: GatewayProcess, session: str, step: str) -> list[str]:
    """What the recording of an open session says of one step of its hold."""
    held = [each for each in gate.rows("show", session) if each["kind"] == "held"]
    return sorted(each["reason"] for each in held if each.get("step") == step)


def test_approvers_are_told_and_the_dead_hold_up_nobody(tmp_path: Path, cluster: Cluster) -> None:
    with hook() as receiver, mail_server() as (inbox, port), socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        dead.listen(8)  # takes connections and never answers
        config = configuration(cluster)
        key = private(tmp_path / "key", "k" * 32)
        link = "https://gate.example/api/v1/requests/{id}"
        config["observers"] = [
            {"jsonl": {}},
            {"notify": {"webhook": {"url": receiver.url, "secret_file": key}, "link": link}},
            {"notify": {"webhook": {"url": f"http://127.0.0.1:{dead.getsockname()[1]}/", "secret_file": key}}},
            {
                "notify": {
                    "email": {
                        "host": "127.0.0.1", "port": port, "tls": "off",
                        "from": "gate@example.com", "to": ["leads@example.com"],
                    },
                    "events": ["approval.asked"],
                }
            },
        ]  # fmt: skip
        gate = GatewayProcess(tmp_path, config)
        gate.run("user", "add", "alice")
        gate.run("user", "add", "carol", "--group", "leads")
        gate.run(
            "secret", "set", "prod-db", "--username", "scram_user", "--password-stdin", stdin=PASSWORD + "\n"
        )
        with gate:
            with psql(gate, "DELETE FROM nothing_here", "SELECT 41 + 1") as client:
                row = waiting(gate)
                gate.until(lambda: receiver.got and inbox.messages, "both messages")
                headers, body = receiver.got[0]
                assert verify(Secret(b"k" * 32), headers, body, time.time())
                said = json.loads(body)
                assert (said["event"], said["facts"]["approval"], said["link"]) == (
                    "approval.asked", row["id"], f"https://gate.example/api/v1/requests/{row['id']}",
                )  # fmt: skip
                everything = body + inbox.messages[0]
                assert b"nothing_here" not in everything, (
                    "the text is for those who may approve, and nobody else"
                )
                assert row["id"].encode() in inbox.messages[0]
                told = ["told: email", "told: webhook"]
                gate.until(lambda: steps(gate, row["session"], "told") == told, "the recording says so")
                assert requests(gate, "deny", row["id"], "--reason", "no").returncode == 0
                out, _ = client.communicate(timeout=60)
            assert out.split() == ["42"]
            gate.until(lambda: len(receiver.got) == 2, "the denial")
            assert json.loads(receiver.got[1][1])["event"] == "approval.denied"
            assert len(inbox.messages) == 1
        trail = [json.loads(line) for line in (gate.data_dir / "audit.jsonl").read_text().splitlines()]
        sent = [(each["receiver"], each["about"]) for each in trail if each["event"] == "notification.sent"]
        assert sorted(sent) == [
            ("email", "approval.asked"), ("webhook", "approval.asked"), ("webhook", "approval.denied"),
        ]  # fmt: skip
