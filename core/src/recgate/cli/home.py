"""What a client keeps between commands: which gateways it knows, by which CA it believes them, and its tokens.

`~/.config/recgate` (XDG Base Directory), 0700: `gateways.json` holds addresses and CAs, `tokens.json` (0600) what
signs in. Both are replaced whole, so that a command that reads while another signs in sees the old or the new.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self, cast
from urllib.parse import urlsplit

from recgate.errors import RecgateError
from recgate.keys.files import make_private_directory, read_private, write_atomically
from recgate.model import Secret

__all__ = ["DEFAULT_PORT", "ClientHome", "KnownGateway", "StoredToken", "gateway_url"]

DEFAULT_PORT: Final = 8443
PUBLIC: Final = 0o644
MAX_FILE: Final = 4 << 20  # bytes of gateways.json

TOKEN: Final = "RECGATE_TOKEN"  # noqa: S105 - the name of a variable
URL: Final = "RECGATE_URL"
CA: Final = "RECGATE_CA"


def gateway_url(text: str) -> str:
    """Give a gateway's address as it is kept: `https://gate.example:8443` from any spelling of it.

    Raises:
        RecgateError: it is not the address of an HTTPS listener.
    """
    parts = urlsplit(text if "://" in text else f"https://{text}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if parts.scheme != "https" or not host or parts.username is not None or parts.path.strip("/"):
        raise RecgateError(f"{text[:200]}: is no gateway's address. Give https://HOST:{DEFAULT_PORT}.")
    shown = f"[{host}]" if ":" in host else host
    return f"https://{shown}:{port or DEFAULT_PORT}"


@dataclass(frozen=True, slots=True)
class KnownGateway:
    """A gateway's HTTPS address, and the CA that proves it: PEM text, or empty for the system's own."""

    url: str
    ca: str = ""
    name: str = ""

    @property
    def host(self) -> str:
        """The host of its address."""
        return urlsplit(self.url).hostname or ""


@dataclass(frozen=True, slots=True)
class StoredToken:
    """What signs in at a gateway. `expires` is wall-clock seconds, or None; `refresh` what renews it, if anything.

    `source` is the identity source that it was signed in by, which the next sign-in takes again.
    """

    token: Secret = field(repr=False)
    expires: float | None = None
    user: str = ""
    refresh: Secret | None = field(default=None, repr=False)
    source: str = ""

    def stands(self, now: float) -> bool:
        """Whether it has not expired."""
        return self.expires is None or self.expires > now


class ClientHome:
    """The directory. Every method reads the files anew: another command may have signed in meanwhile.

    Environment variables stand before what is kept, for programs that never sign in: RECGATE_URL, RECGATE_CA (a
    file), RECGATE_TOKEN.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self._environment = environment or {}

    @classmethod
    def of(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Give this person's: `$XDG_CONFIG_HOME/recgate`, else `~/.config/recgate`."""
        environment = os.environ if environment is None else environment
        base = environment.get("XDG_CONFIG_HOME", "")
        root = (
            Path(base) if base.startswith("/") else Path.home() / ".config"
        )  # relative ones are ignored, XDG
        return cls(root / "recgate", environment)

    # -- gateways ----------------------------------------------------------------------------------------

    def knows_any(self) -> bool:
        """Whether there is a gateway to go to without being told one."""
        return bool(self._environment.get(URL) or self._gateways())

    def gateway(self, url: str = "", ca: Path | None = None) -> KnownGateway:
        """Give the gateway named, or the one signed in to last.

        Args:
            url: its address, in any spelling; empty for the last one.
            ca: a file to believe it by (PEM), in place of what is kept.

        Raises:
            RecgateError: none is known, or the file cannot be read; says how to sign in.
        """
        kept = self._gateways()
        named = url or self._environment.get(URL, "") or self._last(kept)
        if not named:
            raise RecgateError("no gateway is known yet: run `recgate login https://GATEWAY:8443`")
        address = gateway_url(named)
        known = kept.get(address, KnownGateway(address))
        file = ca or (Path(given) if (given := self._environment.get(CA, "")) else None)
        return known if file is None else KnownGateway(address, _read_ca(file), known.name)

    def remember(self, gateway: KnownGateway) -> None:
        """Keep a gateway, which becomes the one that commands go to. Raises `RecgateError`."""
        kept = {**self._gateways(), gateway.url: gateway}
        self._write(kept, gateway.url)

    def forget(self, url: str) -> None:
        """Drop a gateway and its token. Raises `RecgateError`."""
        kept = self._gateways()
        kept.pop(url, None)
        self._write(kept, next(reversed(kept), ""))
        self.drop_token(url)

    def _write(self, kept: Mapping[str, KnownGateway], last: str) -> None:
        rows = [{"url": each.url, "ca": each.ca, "name": each.name} for each in kept.values()]
        text = json.dumps({"last": last, "gateways": rows}, indent=2)
        self._prepare()
        write_atomically(self.directory / "gateways.json", text.encode() + b"\n", PUBLIC)

    def _read(self) -> dict[str, object]:
        path = self.directory / "gateways.json"
        try:
            with path.open("rb") as stream:
                value: object = json.loads(stream.read(MAX_FILE))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as exc:
            raise RecgateError(f"{path}: cannot be read: {exc}. Remove it and sign in again.") from exc
        return cast("dict[str, object]", value) if isinstance(value, dict) else {}

    def _gateways(self) -> dict[str, KnownGateway]:
        rows = cast("list[dict[str, object]]", self._read().get("gateways", []))
        found = [
            KnownGateway(str(row.get("url", "")), str(row.get("ca", "")), str(row.get("name", "")))
            for row in rows
        ]
        return {each.url: each for each in found}

    def _last(self, kept: Mapping[str, KnownGateway]) -> str:
        last = str(self._read().get("last", ""))
        return last if last in kept else ""

    # -- tokens ------------------------------------------------------------------------------------------

    def token(self, url: str) -> StoredToken:
        """Give what signs in at a gateway.

        Raises:
            RecgateError: there is nothing, or it has expired; says how to sign in again.
        """
        if given := self._environment.get(TOKEN, ""):
            return StoredToken(Secret(given))
        found = self.stored_token(url)
        if found is None:
            raise RecgateError(f"you are not signed in at {url}: run `recgate login {url}`")
        if not found.stands(time.time()):
            raise RecgateError(f"your sign-in at {url} has ended: run `recgate login {url}`")
        return found

    def stored_token(self, url: str) -> StoredToken | None:
        """Give what is kept for a gateway, whether it still stands or not, or None."""
        row = self._tokens().get(url)
        if row is None:
            return None
        expires, refresh = row.get("expires"), row.get("refresh")
        return StoredToken(
            Secret(str(row.get("token", ""))),
            float(expires) if isinstance(expires, (int, float)) else None,
            str(row.get("user", "")),
            Secret(refresh) if isinstance(refresh, str) else None,
            str(row.get("source", "")),
        )

    def keep_token(self, url: str, token: StoredToken) -> None:
        """Keep what signs in at a gateway, and nobody but its owner may read it. Raises `RecgateError`."""
        row: dict[str, object] = {
            "token": token.token.reveal().decode(),
            "expires": token.expires,
            "user": token.user,
            "source": token.source,
        }
        if token.refresh is not None:
            row["refresh"] = token.refresh.reveal().decode()
        self._write_tokens({**self._tokens(), url: row})

    def drop_token(self, url: str) -> None:
        """Forget what signs in at a gateway. Raises `RecgateError`."""
        tokens = self._tokens()
        if tokens.pop(url, None) is not None:
            self._write_tokens(tokens)

    def _tokens(self) -> dict[str, dict[str, object]]:
        path = self.directory / "tokens.json"
        try:
            value: object = json.loads(read_private(path))
        except FileNotFoundError:
            return {}
        except ValueError:
            # `from None`: the decoder's words quote what it read.
            raise RecgateError(f"{path}: is damaged. Remove it and sign in again.") from None
        return cast("dict[str, dict[str, object]]", value) if isinstance(value, dict) else {}

    def _write_tokens(self, tokens: Mapping[str, Mapping[str, object]]) -> None:
        self._prepare()
        write_atomically(self.directory / "tokens.json", json.dumps(tokens).encode() + b"\n")

    def _prepare(self) -> None:
        make_private_directory(self.directory)


def _read_ca(file: Path) -> str:
    try:
        text = file.read_text()
    except (OSError, ValueError) as exc:
        raise RecgateError(f"{file}: cannot be read as a CA: {exc}") from exc
    if "BEGIN CERTIFICATE" not in text:
        raise RecgateError(f"{file}: holds no certificate. Give the gateway's ca.pem.")
    return text
