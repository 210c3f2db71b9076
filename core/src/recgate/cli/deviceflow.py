"""Sign in with a browser anywhere: the provider's page takes a code that is shown here (RFC 8628)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import click
import trio

from recgate.cli.progress import waiting
from recgate.cli.remote import RemoteGateway, Unreachable
from recgate.cli.signinsource import SignInSource, Wish, is_web_address
from recgate.errors import RecgateError
from recgate.transcript.neutral import neutralise

__all__ = ["DeviceCode", "by_device", "read_code"]

PATH: Final = "/api/v1/oidc/device"
LOGIN: Final = "/api/v1/oidc/login"
MAX_LIFE: Final = 1_800.0  # seconds for which it waits, whatever the gateway says
INTERVAL: Final = (1.0, 60.0)  # seconds between two questions
USUAL: Final = 5.0  # seconds where nobody says (RFC 8628 §3.2)
MAX_CODE: Final = 64  # characters


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """A code to enter, and where. `life` and `interval` are in seconds."""

    handle: str
    user_code: str
    uri: str
    whole_uri: str
    life: float
    interval: float


def read_code(said: dict[str, object]) -> DeviceCode:
    """Read the gateway's answer; `expires` is seconds from now, as RFC 8628 §3.2 has it. Raises `RecgateError`."""
    handle, code = said.get("handle"), said.get("user_code")
    uri, whole = said.get("verification_uri"), said.get("verification_uri_complete") or ""
    if not (isinstance(handle, str) and handle and isinstance(code, str) and 0 < len(code) <= MAX_CODE):
        raise RecgateError("the gateway sent no code. Ask its administrator, or try --browser.")
    if not isinstance(uri, str) or not is_web_address(uri):
        raise RecgateError("the gateway sent no address to enter the code at. Ask its administrator.")
    expires = said.get("expires")
    life = MAX_LIFE
    if isinstance(expires, (int, float)) and 0 < expires < MAX_LIFE:
        life = float(expires)
    whole = whole if isinstance(whole, str) and is_web_address(whole) else ""
    return DeviceCode(handle, code, uri, whole, life, _interval(said, USUAL))


async def by_device(
    gateway: RemoteGateway, source: SignInSource, wish: Wish, public_key: str
) -> dict[str, object]:
    """Show a code, wait until it has been approved, and give what the gateway made of it.

    Raises:
        Denied: the person said no.
        RecgateError: nobody entered the code in time.
    """
    body: dict[str, object] = {"source": source.name}
    if wish.acr:
        body["acr"] = wish.acr
    if wish.fresh:
        body["fresh"] = True
    _, said = await gateway.ask(PATH, body)
    code = read_code(said)
    _show(code)
    asked = {"source": source.name, "grant": "device", "handle": code.handle}
    if public_key:
        asked["ssh_public_key"] = public_key
    with trio.move_on_after(code.life), waiting("waiting for the approval"):
        return await _approved(gateway, asked, code.interval)
    raise RecgateError("nobody entered the code in time. Run `recgate login` again for a new one.")


async def _approved(gateway: RemoteGateway, asked: dict[str, str], interval: float) -> dict[str, object]:
    """Ask, not more often than is wished, until there is an answer."""
    while True:
        await trio.sleep(interval)
        try:
            status, said = await gateway.ask(LOGIN, asked)
        except Unreachable:
            interval = min(interval * 2, INTERVAL[1])  # RFC 8628 §3.5: ask less often after a time-out
            continue
        if status != HTTPStatus.ACCEPTED:
            return said
        interval = _interval(said, interval)


def _interval(said: dict[str, object], otherwise: float) -> float:
    given = said.get("interval")
    if not isinstance(given, (int, float)) or not math.isfinite(given):
        return otherwise
    return min(max(float(given), INTERVAL[0]), INTERVAL[1])


def _show(code: DeviceCode, echo: Callable[[str], None] = lambda text: click.echo(text, err=True)) -> None:
    shown = neutralise(code.user_code, lines=False)
    echo("Sign in with any browser, and approve only if the page shows this code:\n")
    if code.whole_uri:
        echo(f"  {code.whole_uri}\n\nor go to {code.uri} and enter\n\n  {shown}\n")
    else:
        echo(f"  {code.uri}\n\n  {shown}\n")
