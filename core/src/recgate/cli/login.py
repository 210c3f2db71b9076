"""`recgate login` and `logout`: a sign-in at the gateway's identity provider, kept here until its end."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar, cast

import click
import trio

from recgate.cli.browserflow import by_browser
from recgate.cli.deviceflow import LOGIN, by_device
from recgate.cli.home import TOKEN, ClientHome, KnownGateway, StoredToken
from recgate.cli.moments import until
from recgate.cli.remote import Denied, RemoteGateway, gateway_options
from recgate.cli.signinsource import SignInSource, Wish, chosen
from recgate.cli.sshidentity import SshIdentity
from recgate.cli.trust import proven
from recgate.errors import RecgateError
from recgate.model import Secret
from recgate.transcript.neutral import neutralise

__all__ = ["answered", "has_display", "login", "logout"]

LOGOUT: Final = "/api/v1/oidc/logout"
NEXT: Final = (
    ("recgate targets", "where you may go, and the line to type for each"),
    ("recgate connect TARGET", "a local port, for psql and other programs"),
    ("recgate ssh TARGET", "ssh through the gateway's HTTPS port"),
    ("recgate whoami", "who you are there, and until when"),
)
_TOKEN: Final = re.compile(r"[A-Za-z0-9\-._~+/]{16,16384}=*\Z")  # RFC 6750 §2.1

T = TypeVar("T")


@click.command()
@click.argument("url", default="", metavar="[URL]")
@click.option(
    "--ca",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="The gateway's CA (its ca.pem), believed from now on.",
)
@click.option(
    "--fingerprint",
    "pinned",
    default="",
    metavar="SHA256",
    help="The CA's fingerprint, in place of the file: the gateway shows its CA, and it must be this one.",
)
@click.option("--source", default="", metavar="NAME", help="Where to sign in, if there are several.")
@click.option("--browser/--device", default=None, help="A browser of this machine, or a code for any other.")
@click.option(
    "--acr", default="", metavar="LEVEL", help="How strong the sign-in must be, as a target demands."
)
@click.option("--fresh", is_flag=True, help="Prove yourself anew, even if the provider still knows you.")
@click.option("--no-ssh", is_flag=True, help="Make no SSH key and get no certificate.")
def login(
    url: str,
    ca: Path | None,
    pinned: str,
    source: str,
    browser: bool | None,
    acr: str,
    fresh: bool,
    no_ssh: bool,
) -> None:
    """Sign in at the gateway URL, or at the one signed in to last, by its identity provider.

    A browser is opened if there is a display, else a code is shown for a browser elsewhere. The gateway must be proven
    by --ca, by --fingerprint, by what is stored, or by an authority of this system.
    """
    if ca is not None and pinned:
        raise click.UsageError("--ca and --fingerprint say the same: give one of them")
    home = ClientHome.of()
    how = _How(source, browser, Wish(acr, fresh), not no_ssh)
    signed_in = answered(partial(_login, home, url, ca, pinned, how))
    _say(signed_in, home)


@click.command()
@gateway_options
def logout(url: str, ca: Path | None) -> None:
    """End the sign-in: at the gateway, whose sessions by it end too, and on this machine."""
    home = ClientHome.of()
    gateway = RemoteGateway(home.gateway(url, ca), home)
    where = gateway.known.url
    stored = home.stored_token(where)
    SshIdentity(home.directory, gateway.slug).drop()
    if stored is None:
        raise RecgateError(f"nobody is signed in at {where} from this machine")
    # First what cannot fail: a token that is forgotten here is used by nobody here, whatever comes of the rest.
    home.drop_token(where)
    if stored.stands(time.time()):
        _end(gateway, stored)
    click.echo(f"signed out at {where}")
    if os.environ.get(TOKEN):
        click.echo(f"{TOKEN} is still set, and signs in for every command", err=True)


def answered(work: Callable[[], Awaitable[T]]) -> T:
    """Run what asks a gateway; exit status 1 if its answer is no. Raises `RecgateError`."""
    try:
        return trio.run(work)
    except* Denied as group:
        told = neutralise(_first(group), lines=True)
    except* KeyboardInterrupt:
        told = "given up"
    click.echo(f"recgate: {told}", err=True)
    raise click.exceptions.Exit(1)


def has_display(environment: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether a browser that is opened here is seen by the person: not from afar, nor where there is no screen."""
    if environment.get("SSH_CONNECTION") or environment.get("SSH_TTY"):
        return False
    return platform == "darwin" or bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


# -- signing in --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _How:
    """What the person asked for. `browser` is None where it is ours to choose."""

    source: str
    browser: bool | None
    wish: Wish
    ssh: bool


@dataclass(frozen=True, slots=True)
class _SignedIn:
    gateway: KnownGateway
    token: StoredToken
    groups: tuple[str, ...]
    certificate: float | None


async def _login(home: ClientHome, url: str, ca: Path | None, pinned: str, how: _How) -> _SignedIn:
    gateway, about = await proven(home, url, ca, pinned)
    known = KnownGateway(gateway.known.url, gateway.known.ca, about.name)
    before = home.stored_token(known.url)
    source = chosen(about.login, how.source, before.source if before is not None else "")
    identity = SshIdentity(home.directory, gateway.slug)
    key = identity.public_key() if how.ssh else ""
    said = await _by(gateway, source, how, key)
    token, groups = _token_in(said, source), _groups_in(said)
    line = said.get("ssh_certificate")
    # A sign-in that came to nothing leaves everything as it was: what can be refused comes first.
    certificate = identity.keep(line) if key and isinstance(line, str) and line else None
    if certificate is None:
        identity.drop_certificate()  # an older sign-in's would stand for that one
    home.remember(known)
    home.keep_token(known.url, token)
    return _SignedIn(known, token, groups, certificate)


async def _by(gateway: RemoteGateway, source: SignInSource, how: _How, key: str) -> dict[str, object]:
    """Sign in by the flow that was asked for, else by the one that fits this machine."""
    display = has_display(os.environ)
    browser = (display and source.browser) or not source.device if how.browser is None else how.browser
    if not (source.browser if browser else source.device):
        flow = "browser" if browser else "device"
        raise RecgateError(f"{source.name} cannot be signed in by with --{flow} at {gateway.known.url}")
    if not browser:
        return await by_device(gateway, source, how.wish, key)
    body: dict[str, object] = {"source": source.name}
    body |= await by_browser(source, how.wish, display=display)
    if key:
        body["ssh_public_key"] = key
    return (await gateway.ask(LOGIN, body))[1]


def _token_in(said: Mapping[str, object], source: SignInSource) -> StoredToken:
    token, expires = said.get("token"), said.get("expires")
    if not isinstance(token, str) or not _TOKEN.match(token):
        raise RecgateError("the gateway sent no token. Ask its administrator; its log says why.")
    moment = float(expires) if isinstance(expires, (int, float)) else None
    return StoredToken(Secret(token), moment, str(said.get("user", "")), source=source.name)


def _groups_in(said: Mapping[str, object]) -> tuple[str, ...]:
    groups = said.get("groups")
    return tuple(str(each) for each in cast("list[object]", groups)) if isinstance(groups, list) else ()


def _say(done: _SignedIn, home: ClientHome) -> None:
    """Say what came of it, and what one can do next."""
    now = time.time()
    who = neutralise(f"{done.token.user} by {done.token.source}", lines=False)
    click.echo(f"signed in at {done.gateway.url} as {who}, until {until(done.token.expires, now)}")
    click.echo("groups: " + (neutralise(", ".join(sorted(done.groups)), lines=False) or "none"))
    if done.certificate is not None:
        file = SshIdentity(home.directory, RemoteGateway(done.gateway, home).slug).file
        click.echo(f"ssh certificate until {until(done.certificate, now)}: ssh -i {file} …")
    click.echo()
    for command, what in NEXT:
        click.echo(f"  {command:<24} {what}")
    if os.environ.get(TOKEN):
        click.echo(
            f"{TOKEN} is set and stands before this sign-in: unset it to use what was stored", err=True
        )


# -- signing out -------------------------------------------------------------------------------------------


def _end(gateway: RemoteGateway, stored: StoredToken) -> None:
    """Tell the gateway. Raises `RecgateError` if it could not be told: the token would live on there."""
    try:
        answered(partial(gateway.ask, LOGOUT, {}, token=stored.token))
    except RecgateError as exc:
        if "has ended or was revoked" in str(exc):
            return  # it had ended there already
        raise RecgateError(
            f"forgotten on this machine, but the gateway could not be told: {exc}. Until "
            f"{until(stored.expires, time.time())} the token would be taken if somebody had copied it; "
            "an administrator can end it at once."
        ) from None


def _first(exc: BaseException) -> str:
    if isinstance(exc, BaseExceptionGroup):
        return _first(cast("BaseExceptionGroup[BaseException]", exc).exceptions[0])
    return str(exc)
