"""The code in the terminal: somebody without client software signs in elsewhere, and the gateway waits (RFC 8628)."""

from __future__ import annotations

from typing import Final

import trio

from recgate.errors import AuthenticationFailed
from recgate.model import ConnectionInfo, LoginName, Principal
from recgate_oidc.codes import ShownCode
from recgate_oidc.signins import SignIns, as_principal, refusing

__all__ = ["CodeChallenge", "challenge"]

MAX_SHOWN: Final = 63  # characters of a target's name
OTHER: Final = "Whoever entered the code is not the user that the login name says: leave the user out of it."


async def challenge(signins: SignIns, login: LoginName, connection: ConnectionInfo) -> CodeChallenge:
    """Have the provider make a code. Raises `AuthenticationFailed` when it does not, or enough are open."""
    with refusing(signins.source.name):
        handle, shown = await signins.codes.begin(connection.peer_host, {})
    return CodeChallenge(signins, handle, shown, login)


class CodeChallenge:
    """A code that was shown (`Challenge`)."""

    def __init__(self, signins: SignIns, handle: str, shown: ShownCode, login: LoginName) -> None:
        self._signins = signins
        self._handle = handle
        self._shown = shown
        self._login = login

    @property
    def text(self) -> str:
        """Where to go and with which code; and whose connection it lets in, so that nobody says yes to another's."""
        device = self._shown.device
        where = f"To sign in, open\n    {device.uri}\nand enter the code {device.user_code}\n"
        if device.whole_uri:
            where += f"or open\n    {device.whole_uri}\nand compare the code\n"
        target = "".join(
            each if each.isascii() and each.isprintable() else "?" for each in self._login.target
        )
        return (
            f"{where}\nWhoever enters it lets in the connection from {self._shown.address} to "
            f"{target[:MAX_SHOWN]}.\nIf somebody else sent you this code, do not enter it.\n"
        )

    async def answer(self) -> Principal:
        """Wait until it was entered. Raises `AuthenticationFailed`; cancelling gives the code up."""
        codes, source = self._signins.codes, self._signins.source.name
        try:
            with refusing(source):
                granted = await self._shown.entered()
        except trio.Cancelled:
            codes.leave(self._handle)
            raise
        except AuthenticationFailed:
            codes.close(self._handle)
            raise
        codes.close(self._handle)
        with refusing(source):
            login = (await self._signins.begin(granted, lasting=False)).login
            if self._login.claimed in ("", login.name):
                return as_principal(login, "code")
            await self._signins.end(login, "refused")
        raise AuthenticationFailed(f"{source}: somebody else entered the code: {login.name}", tell=OTHER)
