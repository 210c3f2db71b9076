"""The keys of `observers: [{notify: {…}}]`: one receiver an entry."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from recgate.config import ConfiguredPath, Settings, is_loopback

__all__ = ["EmailSettings", "NotifySettings", "SlackSettings", "WebhookSettings", "checked_url"]


def checked_url(url: str) -> str:
    """Give an address that notifications may go to: HTTPS, or HTTP on this machine. Raises `ValueError`."""
    parts = urlsplit(url)
    if not parts.hostname or parts.username is not None or parts.fragment or not url.isascii() or " " in url:
        raise ValueError("should be an https:// address without a user")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise ValueError("should begin with https:// (http:// is taken for this machine alone)")
    return url


def _address(text: str) -> str:
    name, at, host = text.rpartition("@")
    if not (at and name and host) or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("should be an e-mail address")
    return text


Address = Annotated[str, AfterValidator(_address), Field(max_length=254)]


class WebhookSettings(Settings):
    """`webhook:` — JSON, signed with HMAC-SHA256."""

    url: Annotated[str, AfterValidator(checked_url)]
    secret_file: ConfiguredPath = Field(
        description="a file of at least 16 bytes, mode 0600: the key of the signature"
    )
    ca: ConfiguredPath | None = Field(
        default=None, description="authorities that the receiver is believed by (PEM)"
    )


class SlackSettings(Settings):
    """`slack:` — an incoming webhook as Slack, Mattermost and others have it."""

    url_file: ConfiguredPath = Field(
        description="a file with the webhook's address, mode 0600: who has it can post"
    )
    ca: ConfiguredPath | None = Field(
        default=None, description="authorities that the receiver is believed by (PEM)"
    )


class EmailSettings(Settings):
    """`email:` — plain text by SMTP."""

    host: Annotated[str, Field(min_length=1, max_length=253, pattern=r"\A[A-Za-z0-9:._-]+\z")]
    port: int = Field(default=587, ge=1, le=65_535)
    sender: Address = Field(alias="from")
    to: tuple[Address, ...] = Field(min_length=1, max_length=50)
    tls: Literal["starttls", "tls", "off"] = Field(
        default="starttls", description="`off` is taken on loopback alone"
    )
    ca: ConfiguredPath | None = Field(
        default=None, description="authorities that the server is believed by (PEM)"
    )
    username: str = ""
    password_file: ConfiguredPath | None = None

    @model_validator(mode="after")
    def _guarded(self) -> Self:  # noqa: N804 - an "after" validator has the model
        if self.tls == "off" and not is_loopback(self.host):
            raise ValueError("mail leaves this machine inside TLS alone: `tls: starttls` or `tls: tls`")
        if bool(self.username) != (self.password_file is not None):
            raise ValueError("`username` and `password_file` go together")
        return self


class NotifySettings(Settings):
    """`notify:` — exactly one of `webhook`, `slack` and `email`, and what it is told of."""

    webhook: WebhookSettings | None = None
    slack: SlackSettings | None = None
    email: EmailSettings | None = None
    events: tuple[Annotated[str, Field(pattern=r"\A[a-z]+\.([a-z]+|\*)\z")], ...] = Field(
        default=("approval.*",), min_length=1, description="kinds of audit events, such as `approval.*`"
    )
    link: str = Field(
        default="", max_length=500, description="where a request is looked at, `{id}` being its number"
    )

    @model_validator(mode="after")
    def _one(self) -> Self:  # noqa: N804 - an "after" validator has the model
        given = [each for each in (self.webhook, self.slack, self.email) if each is not None]
        if len(given) != 1:
            raise ValueError(
                "has exactly one of `webhook`, `slack` and `email`; make an entry for each receiver"
            )
        if self.link:
            checked_url(self.link.replace("{id}", "ID"))
            if "{id}" not in self.link:
                raise ValueError("`link` has `{id}` where a request's number goes")
        return self
