"""SCRAM-SHA-256 and -PLUS, both ends (RFC 5802, 7677, 5929): the gateway is server to clients, client to targets."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import Final

from recgate.errors import RemoteProtocolError
from recgate.model import ScramKeys, Secret
from recgate_postgres.saslprep import saslprep

__all__ = ["PLAIN", "PLUS", "ClientExchange", "ServerExchange"]

PLAIN: Final = "SCRAM-SHA-256"
PLUS: Final = "SCRAM-SHA-256-PLUS"

_BINDING: Final = "tls-server-end-point"
# Each iteration is work that the other end orders: 200,000 take about 90 ms, in which nothing else runs.
MAX_ITERATIONS: Final = 200_000
MAX_EXCHANGE: Final = 4_096  # bytes of one SCRAM message; real ones have under 200

_FIRST: Final = re.compile(
    r"(?P<gs2>(?P<flag>[ny]|p=[A-Za-z0-9.-]+),,)(?P<bare>n=[^,]*,r=(?P<nonce>[!-+\--~]+)(,.*)?)\Z", re.S
)
_FINAL: Final = re.compile(
    r"(?P<without>c=(?P<binding>[A-Za-z0-9+/=]+),r=(?P<nonce>[!-+\--~]+)(,[a-z]=[^,]*)*),p=(?P<proof>[A-Za-z0-9+/=]+)\Z"
)
_CHALLENGE: Final = re.compile(
    r"r=(?P<nonce>[!-+\--~]+),s=(?P<salt>[A-Za-z0-9+/=]+),i=(?P<iterations>[1-9][0-9]{0,8})(,.*)?\Z"
)


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise RemoteProtocolError("SCRAM: not base64", hint="08P01") from None


def _parse(pattern: re.Pattern[str], data: bytes, what: str) -> re.Match[str]:
    try:
        match = pattern.match(data.decode()) if len(data) <= MAX_EXCHANGE else None
    except UnicodeDecodeError:
        match = None
    if match is None:
        raise RemoteProtocolError(f"SCRAM: malformed {what}", hint="08P01")
    return match


class ServerExchange:
    """The server's end of one exchange. `binding` is empty where there is no TLS to bind to."""

    def __init__(self, mechanism: str, first: bytes, binding: bytes) -> None:
        """Take the client's first message (RFC 5802 §5, §6).

        Raises:
            RemoteProtocolError: malformed, or a channel binding that is missing, wrong or was withheld.
        """
        match = _parse(_FIRST, first, "client-first-message")
        flag = match["flag"]
        if mechanism == PLUS:
            if flag != f"p={_BINDING}" or not binding:
                raise RemoteProtocolError(f"SCRAM: {PLUS} needs the binding {_BINDING}", hint="08P01")
        elif mechanism != PLAIN or flag.startswith("p"):
            raise RemoteProtocolError("SCRAM: unknown mechanism, or a binding without -PLUS", hint="08P01")
        elif flag == "y" and binding:
            # It can bind and believes that we cannot, though we said so: somebody is in between (§6).
            raise RemoteProtocolError(
                "SCRAM: the offer of channel binding was removed on the way", hint="28000"
            )
        self._expected = match["gs2"].encode() + (binding if mechanism == PLUS else b"")
        self._bare = match["bare"]
        self._nonce = match["nonce"]
        self._challenge = ""
        self._keys = ScramKeys(b"", 0, "")

    def challenge(self, keys: ScramKeys) -> bytes:
        """Give the server's first message for the keys that may match."""
        self._keys = keys
        self._nonce += keys.nonce
        salt = base64.b64encode(keys.salt).decode()
        self._challenge = f"r={self._nonce},s={salt},i={keys.iterations}"
        return self._challenge.encode()

    def verify(self, final: bytes) -> tuple[str, bytes]:
        """Check the client's proof against every key; gives the credential's id (or "") and the server's proof.

        Raises:
            RemoteProtocolError: malformed, or of another exchange.
        """
        match = _parse(_FINAL, final, "client-final-message")
        if match["nonce"] != self._nonce or not hmac.compare_digest(
            _base64(match["binding"]), self._expected
        ):
            raise RemoteProtocolError("SCRAM: nonce or channel binding does not fit", hint="28000")
        signed = f"{self._bare},{self._challenge},{match['without']}".encode()
        proof = _base64(match["proof"])
        found, answer = "", b""
        for credential, stored, server in self._keys.stored:
            # All are tried, so that the time says nothing about which one fits.
            signature = _hmac(stored, signed)
            key = bytes(a ^ b for a, b in zip(signature, proof, strict=False))
            if len(proof) == len(signature) and hmac.compare_digest(hashlib.sha256(key).digest(), stored):
                found, answer = credential, b"v=" + base64.b64encode(_hmac(server, signed))
        return found, answer


class ClientExchange:
    """The client's end of one exchange."""

    def __init__(self, password: Secret, nonce: bytes, binding: bytes, mechanisms: list[str]) -> None:
        """Choose a mechanism. `nonce` is fresh random bytes, `binding` that of the TLS connection, if any.

        Raises:
            RemoteProtocolError: the target offers none that the gateway speaks.
        """
        if binding and PLUS in mechanisms:
            self.mechanism, flag = PLUS, f"p={_BINDING}"
        elif PLAIN in mechanisms:
            # "y": we could bind, and you did not offer it. A server that did offer it now knows of a tamperer.
            self.mechanism, flag = PLAIN, "y" if binding else "n"
        else:
            offered = ", ".join(mechanisms)[:200]
            raise RemoteProtocolError(f"the target offers only {offered or 'nothing'}; {PLAIN} is needed")
        self._gs2 = f"{flag},,".encode()
        self._binding = binding if self.mechanism == PLUS else b""
        self._password = password
        self._nonce = base64.b64encode(nonce).decode()
        self._bare = f"n=,r={self._nonce}"
        self._server_signature = b""

    @property
    def answered(self) -> bool:
        """Whether the server's challenge has been answered."""
        return bool(self._server_signature)

    def first(self) -> bytes:
        """Give the client's first message."""
        return self._gs2 + self._bare.encode()

    def final(self, challenge: bytes) -> bytes:
        """Answer the server's first message.

        Raises:
            RemoteProtocolError: malformed, a nonce that is not ours, or more iterations than are bearable.
        """
        match = _parse(_CHALLENGE, challenge, "server-first-message")
        iterations = int(match["iterations"])
        if not match["nonce"].startswith(self._nonce) or match["nonce"] == self._nonce:
            raise RemoteProtocolError("SCRAM: the target's nonce does not extend ours")
        if iterations > MAX_ITERATIONS:
            raise RemoteProtocolError(
                f"SCRAM: {iterations} iterations are asked for, {MAX_ITERATIONS} are allowed"
            )
        salted = hashlib.pbkdf2_hmac(
            "sha256", saslprep(self._password.reveal()), _base64(match["salt"]), iterations
        )
        binding = base64.b64encode(self._gs2 + self._binding).decode()
        without = f"c={binding},r={match['nonce']}"
        signed = f"{self._bare},{challenge.decode()},{without}".encode()
        key = _hmac(salted, b"Client Key")
        signature = _hmac(hashlib.sha256(key).digest(), signed)
        self._server_signature = _hmac(_hmac(salted, b"Server Key"), signed)
        proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        return f"{without},p={base64.b64encode(proof).decode()}".encode()

    def verify(self, final: bytes) -> bool:
        """Whether the server has proved that it knows the password's keys too."""
        expected = b"v=" + base64.b64encode(self._server_signature)
        return self.answered and hmac.compare_digest(final.split(b",")[0], expected)
