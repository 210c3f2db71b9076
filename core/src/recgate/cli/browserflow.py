"""Sign in with a browser of this machine: an authorization code with PKCE, brought back to a loopback address.

RFC 8252 (native apps), RFC 7636 (PKCE, S256 alone), RFC 9207 (the answer names its issuer). The code goes to the
gateway, which exchanges it: no token of the provider comes here.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import click
import trio

from recgate.cli.loopback import listening
from recgate.cli.progress import waiting
from recgate.cli.remote import Denied
from recgate.cli.signinsource import SignInSource, Wish
from recgate.errors import RecgateError
from recgate.transcript.neutral import neutralise

__all__ = ["Attempt", "by_browser"]

PATIENCE: Final = 300.0  # seconds for a person to sign in
MAX_CODE: Final = 16 << 10  # characters
MAX_WORDS: Final = 200  # characters of what a provider says that are shown


def _random() -> str:
    return secrets.token_urlsafe(32)  # 256 bits, 43 characters: RFC 7636 §4.1, §7.1


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is unknown to everybody else about one sign-in."""

    state: str = field(default_factory=_random, repr=False)
    nonce: str = field(default_factory=_random, repr=False)
    verifier: str = field(default_factory=_random, repr=False)

    @property
    def challenge(self) -> str:
        """What the provider is told of the verifier (RFC 7636 §4.2, S256)."""
        return base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()

    def address(self, source: SignInSource, redirect_uri: str, wish: Wish) -> str:
        """Give the address of the provider's page (OpenID Connect Core §3.1.2.1)."""
        asked = {
            "response_type": "code",
            "client_id": source.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(source.scopes or ("openid",)),
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": self.challenge,
            "code_challenge_method": "S256",
        }
        if wish.acr:
            asked["acr_values"] = wish.acr
        parts = urlsplit(source.authorization_endpoint)
        # RFC 6749 §3.1: what the endpoint's address has already stays. What protects the sign-in is nobody's to change.
        more = {**dict(parse_qsl(parts.query, keep_blank_values=True)), **(source.parameters or {})}
        # Core §11: without consent a provider leaves `offline_access` out, and with it the refresh token by which the
        # gateway sees whether the sign-in still stands. A source may say another prompt, or none.
        usual = "consent" if "offline_access" in source.scopes else ""
        prompt = [*more.pop("prompt", usual).split(), *(["login"] if wish.fresh else [])]
        if prompt:
            asked["prompt"] = " ".join(dict.fromkeys(prompt))
        if wish.fresh:
            asked["max_age"] = (
                "0"  # only then the ID token must say when the sign-in was (Core §2, auth_time)
            )
        return urlunsplit(parts._replace(query=urlencode({**more, **asked}), fragment=""))

    def code_in(self, answer: Mapping[str, str], source: SignInSource) -> str:
        """Give the code that an answer brought; its state has been compared.

        Raises:
            Denied: the provider says that the person said no.
            RecgateError: another issuer answered (mix-up, RFC 9207 §2.4), or the provider refuses.
        """
        issuer = answer.get("iss")
        if issuer != source.issuer and (issuer is not None or source.says_issuer):
            said = "no issuer" if issuer is None else repr(issuer[:MAX_WORDS])
            raise RecgateError(
                f"the answer names {said} and not {source.issuer}: it is not used. Sign in again, in another browser "
                "profile; if it happens again, somebody may be between you and the provider."
            )
        if error := answer.get("error"):
            words = neutralise(answer.get("error_description", "")[:MAX_WORDS], lines=False)
            told = neutralise(error[:MAX_WORDS], lines=False) + (f": {words}" if words else "")
            if error == "access_denied":
                raise Denied(f"the sign-in was refused at {source.name} ({told})")
            raise RecgateError(f"{source.name} does not sign you in: {told}. Its administrator can say more.")
        code = answer.get("code", "")
        if not code or len(code) > MAX_CODE:
            raise RecgateError(f"{source.name} sent no code. Sign in again, or use --device.")
        return code


async def by_browser(source: SignInSource, wish: Wish, *, display: bool) -> dict[str, object]:
    """Have the person sign in, and give what the gateway needs to make a sign-in of it.

    Args:
        source: where.
        wish: what the sign-in is to show.
        display: whether a browser can be opened here; else its address is shown alone.

    Raises:
        Denied: the person said no.
        RecgateError: nobody came back in time, or somebody else did. Nothing is left behind, also when cancelled.
    """
    attempt = Attempt()
    async with listening(attempt.state) as here:
        address = attempt.address(source, here.redirect_uri, wish)
        click.echo(f"Sign in with a browser of this machine:\n\n  {address}\n", err=True)
        with trio.move_on_after(PATIENCE), waiting("waiting for the browser"):
            async with trio.open_nursery() as nursery:
                if display:
                    nursery.start_soon(_open, address)
                answer = await here.answer()
                nursery.cancel_scope.cancel()
            return {
                "grant": "code",
                "code": attempt.code_in(answer, source),
                "code_verifier": attempt.verifier,
                "redirect_uri": here.redirect_uri,
                "nonce": attempt.nonce,
            }
    raise RecgateError(
        f"nobody came back from the browser within {PATIENCE / 60:.0f} minutes. Run it again; --device gives a code "
        "for a browser on another machine."
    )


async def _open(address: str) -> None:
    # Some browsers stay in the foreground: the thread is left to them.
    await trio.to_thread.run_sync(webbrowser.open, address, abandon_on_cancel=True)
