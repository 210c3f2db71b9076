"""Believe a gateway for the first time: by a CA that the person brings, or by the system's; never because it answers.

What an unknown gateway says of its own CA is shown, as a fingerprint to compare, and used for nothing before the person
has said that fingerprint.
"""

from __future__ import annotations

import hashlib
import re
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import trio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from recgate.cli.home import ClientHome, KnownGateway
from recgate.cli.remote import About, RemoteGateway, Unproven
from recgate.errors import RecgateError
from recgate.transcript.neutral import neutralise
from recgate.websocketclient import gateway_context

__all__ = ["fingerprint", "proven"]

MAX_HEAD: Final = 64 << 10  # bytes of an answer that nobody has proven
PATIENCE: Final = 15.0  # seconds
# OpenSSL's X509_V_ERR_…: the issuer is unknown. Anything else is wrong with a certificate, whoever issued it.
UNKNOWN_ISSUER: Final = frozenset({2, 18, 19, 20, 21})
_HEX: Final = re.compile(r"[0-9A-F]{64}\Z")


async def proven(
    home: ClientHome, url: str, ca: Path | None, pinned: str = ""
) -> tuple[RemoteGateway, About]:
    """Give a gateway that has proven itself, and what it says of itself.

    Args:
        home: what is known of gateways.
        url: its address; empty for the last one.
        ca: a file to believe it by, in place of what is kept.
        pinned: the SHA-256 fingerprint of its CA, which is then taken from the gateway itself.

    Raises:
        RecgateError: it did not; says its fingerprint, and how to believe it.
    """
    known = home.gateway(url, ca)
    if pinned:
        known = KnownGateway(known.url, await _pinned(known.url, _plain(pinned)))
    gateway = RemoteGateway(known, home)
    try:
        return gateway, await gateway.about()
    except Unproven as exc:
        if exc.code not in UNKNOWN_ISSUER:
            raise RecgateError(
                f"{exc}. No CA helps here: its administrator must renew its certificate, or list the name that you use "
                "under `gateway.hosts`."
            ) from None
        raise RecgateError(await _refusal(known, exc)) from None


def fingerprint(certificate: bytes) -> str:
    """Give the SHA-256 of a certificate (DER) as openssl prints it: `AB:CD:…`."""
    digest = hashlib.sha256(certificate).hexdigest().upper()
    return ":".join(digest[here : here + 2] for here in range(0, len(digest), 2))


async def _refusal(known: KnownGateway, exc: Unproven) -> str:
    """Word why a gateway is not believed, and what to do."""
    url = known.url
    if known.ca:
        return (
            f"{url} is not believed by the CA given or stored for it ({exc.reason}). Nothing was sent. If its "
            f"administrator made a new CA, get that file from them and run `recgate login {url} --ca ca.pem`; "
            "if not, somebody else answers there."
        )
    shown = await _offered(url)
    by_file = f"`recgate login {url} --ca ca.pem`"
    if not shown:
        return (
            f"{url} is not known yet, and no authority of this system vouches for it ({exc.reason}). Nothing was sent. "
            f"It shows no CA of its own either: get the file from its administrator, and run {by_file}."
        )
    mark = fingerprint(_der(shown))
    return (
        f"{url} is not known yet, and no authority of this system vouches for it ({exc.reason}). Nothing was sent.\n"
        f"Its CA has the SHA-256 fingerprint\n  {mark}\n"
        "Do not take it from here: ask its administrator for it (there: `openssl x509 -in ca.pem -noout -fingerprint "
        f"-sha256`), and run `recgate login {url} --fingerprint SHA256` with theirs; or get ca.pem from them, and run "
        f"{by_file}."
    )


async def _pinned(url: str, wanted: str) -> str:
    shown = await _offered(url)
    if not shown or _plain(fingerprint(_der(shown))) != wanted:
        found = (
            f"its CA says {fingerprint(_der(shown))}"
            if shown
            else "it shows no CA that its certificate is from"
        )
        raise RecgateError(
            f"{url}: not the fingerprint given: {found}. Nothing was sent. Ask its administrator again, another way."
        )
    return shown


def _plain(text: str) -> str:
    """Give a fingerprint's digits, however it is written. Raises `RecgateError`."""
    digits = text.upper().removeprefix("SHA256:").removeprefix("SHA-256:").replace(":", "").replace(" ", "")
    if not _HEX.match(digits):
        raise RecgateError(
            f"{neutralise(text[:100], lines=False)!r} is no SHA-256 fingerprint: it has 64 hexadecimal digits"
        )
    return digits


# -- what nobody has proven --------------------------------------------------------------------------------


async def _offered(url: str) -> str:
    """Give the CA (PEM) that a gateway shows, if the certificate it uses is from it, or the empty string.

    Nothing secret is sent, and nothing that comes back counts for anything but this: whoever answers can only show
    a CA that it has a certificate of, so that to compare the fingerprint is to tell who answers.
    """
    parts = urlsplit(url)
    unproven = ssl.create_default_context()
    unproven.check_hostname = False
    unproven.verify_mode = ssl.CERT_NONE
    request = f"GET /.well-known/recgate HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
    try:
        ca = _ca_in(await _said(url, unproven, request.encode()))
        if ca:
            await _said(url, gateway_context(ca), b"")
    except (OSError, trio.BrokenResourceError, trio.TooSlowError):
        return ""
    return ca


async def _said(url: str, context: ssl.SSLContext, request: bytes) -> bytes:
    """Connect by `context`, and give what is answered to `request`, if there is one."""
    parts = urlsplit(url)
    said = bytearray()
    with trio.fail_after(PATIENCE):
        transport = await trio.open_tcp_stream(parts.hostname or "", parts.port or 443)
        stream = trio.SSLStream(
            transport, context, server_hostname=parts.hostname or "", https_compatible=True
        )
        try:
            await stream.do_handshake()
            if request:
                await stream.send_all(request)
                while len(said) < MAX_HEAD and (part := await stream.receive_some(MAX_HEAD)):
                    said += part
        finally:
            await trio.aclose_forcefully(transport)
    return bytes(said)


def _ca_in(said: bytes) -> str:
    """Find the one CA in an answer. It is JSON of unknown framing, so the certificate itself is looked for."""
    text = said.decode("utf-8", "replace").replace("\\n", "\n")
    found = re.search(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]{1,16384}-----END CERTIFICATE-----", text)
    if found is None:
        return ""
    try:
        return x509.load_pem_x509_certificate(found[0].encode()).public_bytes(Encoding.PEM).decode()
    except ValueError:
        return ""


def _der(pem: str) -> bytes:
    return x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)
