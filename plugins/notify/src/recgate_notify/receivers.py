"""Receivers: one delivery each time they are asked, and whether another try is worth it when that fails."""

from __future__ import annotations

import json
import secrets
import smtplib
import ssl
import time
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Final, Protocol

import httpx2
import trio

from recgate.audit import AuditEvent
from recgate.errors import ConfigurationError, RecgateError
from recgate.keys.files import read_private
from recgate.model import Secret
from recgate_notify.settings import EmailSettings, SlackSettings, WebhookSettings, checked_url
from recgate_notify.signing import DELIVERY, SIGNATURE, TIMESTAMP, sign
from recgate_notify.wording import lines_of, link_of, subject_of

__all__ = ["Email", "Failed", "Receiver", "Slack", "Webhook", "new_delivery"]

PATIENCE: Final = 10.0  # seconds for a receiver to answer
SMTP_PATIENCE: Final = 15.0  # seconds for each step of SMTP
MAIL: Final = 60.0  # seconds for a whole message
MIN_SECRET: Final = 16
# Statuses that a later try may not meet.
_PASSING: Final = frozenset({408, 425, 429})


class Failed(RecgateError):
    """A delivery failed. `again` says whether another try may succeed. Its words name no address and no secret."""

    def __init__(self, words: str, *, again: bool = True) -> None:
        super().__init__(words)
        self.again = again


class Receiver(Protocol):
    """Somebody who is told."""

    @property
    def name(self) -> str:
        """What audit events and metrics call it."""
        ...

    async def deliver(self, event: AuditEvent, delivery: str) -> None:
        """Deliver once; `delivery` is the same for every try of one event. Raises `Failed`."""
        ...


def _secret(path: Path, what: str) -> Secret:
    try:
        return Secret(read_private(path).strip())
    except FileNotFoundError as exc:
        raise ConfigurationError(f"{path}: is not there. It should hold {what}.") from exc


def _context(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca) if ca is not None else None)
    except OSError as exc:
        raise ConfigurationError(f"{ca}: cannot be read as authorities (PEM).") from exc


async def _post(context: ssl.SSLContext, url: str, headers: Mapping[str, str], body: bytes) -> None:
    """POST once; of the answer only the status is read. Raises `Failed`."""
    try:
        with trio.fail_after(PATIENCE):
            async with (
                httpx2.AsyncClient(verify=context, timeout=PATIENCE, trust_env=False) as client,
                client.stream("POST", url, headers=dict(headers), content=body) as answer,
            ):
                status = answer.status_code
    except trio.TooSlowError:
        raise Failed(f"no answer within {PATIENCE:g} s") from None
    except (httpx2.HTTPError, OSError) as exc:
        raise Failed(f"could not be reached ({type(exc).__name__})") from None
    if not 200 <= status < 300:
        raise Failed(f"answered with status {status}", again=status >= 500 or status in _PASSING)


class Webhook:
    """JSON with a signature over it, when, and which delivery."""

    def __init__(self, settings: WebhookSettings, link: str) -> None:
        self.name = "webhook"
        self._url = settings.url
        self._link = link
        self._context = _context(settings.ca)
        self._secret = _secret(settings.secret_file, "the key of the signature")
        if len(self._secret.reveal()) < MIN_SECRET:
            raise ConfigurationError(
                f"{settings.secret_file}: has less than {MIN_SECRET} bytes. Make one: `openssl rand -hex 32`."
            )

    async def deliver(self, event: AuditEvent, delivery: str) -> None:
        """POST it."""
        body = json.dumps(
            {
                "delivery": delivery,
                "event": event.kind,
                "time": event.time,
                "link": link_of(event, self._link),
                "facts": dict(event.fields),
            },
            default=str,
        ).encode()
        timestamp = int(time.time())
        headers = {
            "content-type": "application/json",
            TIMESTAMP: str(timestamp),
            DELIVERY: delivery,
            SIGNATURE: sign(self._secret, timestamp, delivery, body),
        }
        await _post(self._context, self._url, headers, body)


class Slack:
    """Text for people; the address is the secret."""

    def __init__(self, settings: SlackSettings, link: str) -> None:
        self.name = "slack"
        self._link = link
        self._context = _context(settings.ca)
        self._url = _secret(settings.url_file, "the address of the webhook")
        try:
            checked_url(self._url.reveal().decode("ascii"))
        except ValueError as exc:
            raise ConfigurationError(f"{settings.url_file}: {exc}.") from None

    async def deliver(self, event: AuditEvent, delivery: str) -> None:
        """POST it. What would be markup is spelled out, so that nobody is called who was only named."""
        text = "\n".join([f"*{_plain(subject_of(event))}*", *map(_plain, lines_of(event, self._link))])
        body = json.dumps({"text": text}).encode()
        url = self._url.reveal().decode("ascii")
        await _post(self._context, url, {"content-type": "application/json"}, body)


def _plain(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in "*_~`":
        text = text.replace(mark, f"{mark}\u2060")  # a word joiner: a mark beside it is none
    return text


class Email:
    """Plain text by SMTP, in a thread: the standard library's client knows only waiting."""

    def __init__(self, settings: EmailSettings, link: str) -> None:
        self.name = "email"
        self._settings = settings
        self._link = link
        self._context = _context(settings.ca)
        self._password = (
            None if settings.password_file is None else _secret(settings.password_file, "the password")
        )
        self._one = trio.CapacityLimiter(2)  # one that hangs is left behind, and the next goes on

    async def deliver(self, event: AuditEvent, delivery: str) -> None:
        """Send it."""
        message = self.message(event, delivery)
        with trio.move_on_after(MAIL):
            await trio.to_thread.run_sync(self._send, message, abandon_on_cancel=True, limiter=self._one)
            return
        raise Failed(f"not taken within {MAIL:g} s")

    def message(self, event: AuditEvent, delivery: str) -> EmailMessage:
        """Word it."""
        settings = self._settings
        message = EmailMessage()
        message["From"], message["To"] = settings.sender, ", ".join(settings.to)
        message["Subject"] = subject_of(event)
        message["Date"] = formatdate(event.time)
        message["Message-ID"] = make_msgid(delivery, settings.sender.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5
        message.set_content("\n".join(lines_of(event, self._link)) + "\n")
        return message

    def _send(self, message: EmailMessage) -> None:
        settings = self._settings
        try:
            with self._connected() as server:
                if self._password is not None:
                    server.login(settings.username, self._password.reveal().decode())
                server.send_message(message, settings.sender, list(settings.to))
        except smtplib.SMTPRecipientsRefused:
            raise Failed("no recipient was taken", again=False) from None
        except smtplib.SMTPAuthenticationError:
            raise Failed("the name or the password was not taken", again=False) from None
        except smtplib.SMTPResponseException as exc:
            raise Failed(f"answered with status {exc.smtp_code}", again=exc.smtp_code < 500) from None
        except (smtplib.SMTPException, OSError) as exc:
            raise Failed(f"could not be reached ({type(exc).__name__})") from None

    def _connected(self) -> smtplib.SMTP:
        settings = self._settings
        if settings.tls == "tls":
            return smtplib.SMTP_SSL(
                settings.host, settings.port, timeout=SMTP_PATIENCE, context=self._context
            )
        server = smtplib.SMTP(settings.host, settings.port, timeout=SMTP_PATIENCE)
        if settings.tls == "starttls":
            try:
                server.starttls(context=self._context)
            except BaseException:
                server.close()
                raise
        return server


def new_delivery() -> str:
    """Make the number of a delivery: unguessable, and the same for every try."""
    return secrets.token_hex(16)
