"""Each kind of receiver, with a real server at the other end: what it is told, and what comes of a failure."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from plugins.notify.tests.receivers import hook
from recgate.audit import AuditEvent
from recgate.errors import ConfigurationError
from recgate.model import Secret
from recgate_notify.receivers import Email, Failed, Slack, Webhook
from recgate_notify.settings import EmailSettings, SlackSettings, WebhookSettings
from recgate_notify.signing import verify

LINK = "https://gate.example/api/v1/requests/{id}"
ASKED = AuditEvent(
    "approval.asked",
    1_000.0,
    {
        "approval": "01JABC", "user": "alice\r\nBcc: x@example.com", "target": "prod-db", "rule": "unbounded <@U1>",
        "approvers": ["group:leads"], "needed": 1, "until": 4e9, "session": "01JS", "asks": "sql", "digest": "d",
        "reason": "clean *up*\x1b[2J",
    },
)  # fmt: skip


def private(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def webhook(tmp_path: Path, url: str) -> Webhook:
    key = private(tmp_path / "key", "k" * 32 + "\n")
    return Webhook(WebhookSettings(url=url, secret_file=key), LINK)


async def test_a_webhook_is_signed_and_says_where_to_look(tmp_path: Path) -> None:
    with hook() as server:
        await webhook(tmp_path, server.url).deliver(ASKED, "d1")
    ((headers, body),) = server.got
    assert verify(Secret(b"k" * 32), headers, body, time.time())
    said = json.loads(body)
    assert (said["delivery"], said["event"], said["link"]) == (
        "d1",
        "approval.asked",
        "https://gate.example/api/v1/requests/01JABC",
    )
    assert said["facts"]["user"] == ASKED.fields["user"]


@pytest.mark.parametrize(
    ("status", "again"), [(500, True), (503, True), (429, True), (400, False), (404, False), (302, False)]
)
async def test_a_receiver_that_does_not_take_it_is_asked_again_where_that_helps(
    tmp_path: Path, status: int, again: bool
) -> None:
    with hook(status) as server:
        with pytest.raises(Failed, match=f"answered with status {status}") as found:
            await webhook(tmp_path, server.url).deliver(ASKED, "d1")
    assert found.value.again is again
    assert len(server.got) == 1, "no redirect is followed: the signature is for this receiver"


async def test_a_receiver_that_is_away_may_come_back(tmp_path: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}/secret-path"
        with pytest.raises(Failed) as found:
            await webhook(tmp_path, url).deliver(ASKED, "d1")
    assert found.value.again
    assert "secret-path" not in str(found.value)


async def test_slack_gets_text_that_calls_nobody(tmp_path: Path) -> None:
    with hook() as server:
        file = private(tmp_path / "url", server.url + "\n")
        receiver = Slack(SlackSettings(url_file=file), LINK)
        await receiver.deliver(ASKED, "d1")
    text = json.loads(server.got[0][1])["text"]
    assert "unbounded &lt;@U1&gt;" in text
    assert "https://gate.example/api/v1/requests/01JABC" in text
    assert "recgate requests show 01JABC" in text
    assert "\x1b" not in text
    assert "clean *up*" not in text
    assert server.url not in repr(vars(receiver))


def test_keys_and_addresses_that_are_no_good_refuse_the_start(tmp_path: Path) -> None:
    url = "https://hooks.example/x"
    with pytest.raises(ConfigurationError, match="less than 16 bytes"):
        Webhook(WebhookSettings(url=url, secret_file=private(tmp_path / "short", "short")), "")
    with pytest.raises(ConfigurationError, match="is not there"):
        Webhook(WebhookSettings(url=url, secret_file=tmp_path / "none"), "")
    open_to_all = private(tmp_path / "open", "k" * 32)
    open_to_all.chmod(0o644)
    with pytest.raises(ConfigurationError, match="others may read it"):
        Webhook(WebhookSettings(url=url, secret_file=open_to_all), "")
    with pytest.raises(ConfigurationError, match="https"):
        Slack(SlackSettings(url_file=private(tmp_path / "url", "http://slack.example/x")), "")
    with pytest.raises(ConfigurationError, match="authorities"):
        Slack(SlackSettings(url_file=private(tmp_path / "url", url), ca=tmp_path / "none"), "")


# -- e-mail --------------------------------------------------------------------------------------------------


class Inbox:
    """What the mail server keeps, and what it says."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.answer = "250 OK"

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.messages.append(envelope)
        return self.answer


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, int]]:
    made = Inbox()
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    controller = Controller(made, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield made, port
    finally:
        controller.stop()


def mail(port: int, **more: object) -> Email:
    given = {
        "host": "127.0.0.1",
        "port": port,
        "from": "gate@example.com",
        "to": ["a@example.com", "b@example.com"],
    }
    return Email(EmailSettings.model_validate({**given, "tls": "off", **more}), LINK)


async def test_mail_goes_to_all_and_its_headers_are_its_own(inbox: tuple[Inbox, int]) -> None:
    box, port = inbox
    await mail(port).deliver(ASKED, "d1")
    (envelope,) = box.messages
    assert envelope.rcpt_tos == ["a@example.com", "b@example.com"]
    message = message_from_bytes(envelope.content, policy=policy.default)
    assert message["Bcc"] is None
    assert (
        message["Subject"].strip()
        == "recgate: alice\\x0d\\x0aBcc: x@example.com at prod-db waits for approval"
    )
    assert message["Auto-Submitted"] == "auto-generated"
    text = message.get_content()
    assert "https://gate.example/api/v1/requests/01JABC" in text
    assert "until: 2096-10-02 07:06:40 UTC" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(("answer", "again"), [("451 later", True), ("550 never", False)])
async def test_a_mail_server_that_does_not_take_it(
    inbox: tuple[Inbox, int], answer: str, again: bool
) -> None:
    box, port = inbox
    box.answer = answer
    with pytest.raises(Failed, match=answer[:3]) as found:
        await mail(port).deliver(ASKED, "d1")
    assert found.value.again is again


async def test_a_mail_server_without_tls_gets_nothing(inbox: tuple[Inbox, int]) -> None:
    box, port = inbox
    with pytest.raises(Failed, match="could not be reached"):
        await mail(port, tls="starttls").deliver(ASKED, "d1")
    assert box.messages == []
