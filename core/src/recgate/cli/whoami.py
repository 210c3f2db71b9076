"""`recgate whoami`: who the stored sign-in proves, until when, and what ends it sooner."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import click

from recgate.cli.context import json_option, print_json
from recgate.cli.home import ClientHome
from recgate.cli.login import answered
from recgate.cli.moments import span, until
from recgate.cli.remote import RemoteGateway, gateway_options, granted_words
from recgate.cli.sshidentity import SshIdentity
from recgate.transcript.neutral import neutralise

__all__ = ["whoami"]


@click.command()
@gateway_options
@json_option
def whoami(url: str, ca: Path | None, as_json: bool) -> None:
    """Say who you are at the gateway, until when, and what ends it sooner."""
    home = ClientHome.of()
    gateway = RemoteGateway(home.gateway(url, ca), home)
    said = answered(gateway.whoami)
    certificate = SshIdentity(home.directory, gateway.slug).expires()
    if as_json:
        print_json({**said, "url": gateway.known.url, "ssh_certificate_expires": certificate})
        return
    now = time.time()
    rows = [
        ("user", str(said.get("user", ""))),
        ("gateway", f"{said.get('gateway', '')} ({gateway.known.url})"),
        ("groups", ", ".join(_words(said.get("groups"))) or "none"),
        ("source", f"{said.get('source', '')} ({said.get('issuer', '')})"),
        ("by", str(said.get("method", ""))),
        ("until", until(_moment(said.get("expires")), now)),
    ]
    if level := " ".join([str(said.get("acr") or ""), *_words(said.get("amr"))]).strip():
        rows.append(("level", level))
    if (since := _moment(said.get("auth_time"))) is not None:
        rows.append(("signed in", time.strftime("%Y-%m-%d %H:%M", time.localtime(since))))
    if certificate is not None:
        rows.append(("ssh", f"certificate until {until(certificate, now)}"))
    rows += _endings(said.get("endings"))
    rows += _grants(said.get("grants"))
    for name, text in rows:
        click.echo(f"{name:<10} {neutralise(text, lines=False)}")


def _endings(value: object) -> Sequence[tuple[str, str]]:
    """Word what ends one's sessions early, and how soon the gateway knows."""
    if not isinstance(value, list):
        return [("ends early", "its source does not say when")]
    found = [
        cast("dict[str, object]", each) for each in cast("list[object]", value) if isinstance(each, dict)
    ]
    if not found:
        return [("ends early", "never: nobody tells the gateway that it was taken back before its end")]
    words = [f"{each.get('what', '')}: within {span(_moment(each.get('within')) or 0.0)}" for each in found]
    return [("ends early" if not number else "", each) for number, each in enumerate(words)]


def _grants(value: object) -> Sequence[tuple[str, str]]:
    found = [cast("dict[str, object]", each) for each in _list(value) if isinstance(each, dict)]
    return [("granted", f"{each.get('target', '')}, {granted_words(each)}") for each in found]


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _words(value: object) -> Sequence[str]:
    return [str(each) for each in cast("list[object]", value)] if isinstance(value, list) else []


def _moment(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
