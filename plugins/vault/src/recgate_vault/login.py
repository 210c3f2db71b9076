"""Log in to the vault, each way in a function of its own. All block; what they read is read at each login."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from recgate.errors import ConfigurationError, VaultFailed
from recgate.keys.files import MAX_KEY_FILE, read_private
from recgate.model import Secret
from recgate_vault.connection import Answer, Connection, Deadline, Refused
from recgate_vault.settings import (
    AppRoleAuth,
    AuthSettings,
    CertificateAuth,
    JwtAuth,
    KubernetesAuth,
    TokenAuth,
)

__all__ = ["Grant", "log_in"]

LOOKUP: Final = "auth/token/lookup-self"


@dataclass(frozen=True, slots=True)
class Grant:
    """A token of the vault. `accessor` names it without being it; `ends` is on the monotonic clock.

    `span` is how long it was good for when it was had or last renewed, 0 when that is not known.
    """

    token: Secret
    accessor: str = ""
    renewable: bool = False
    span: float = 0.0
    ends: float | None = None
    given: bool = field(
        default=False, kw_only=True
    )  # made by somebody else, who keeps it alive or replaces it

    @property
    def left(self) -> float | None:
        """Seconds until it ends, or None if it does not, as far as is known."""
        return None if self.ends is None else self.ends - time.monotonic()


def log_in(connection: Connection, auth: AuthSettings, deadline: Deadline) -> Grant:
    """Get a token. Raises `VaultFailed`."""
    if auth.token is not None:
        return _given(connection, auth.token, deadline)
    way, path, body = _request(connection, auth)
    try:
        answer = connection.ask("post", path, deadline, body=body)
    except Refused as exc:
        if exc.status in (400, 401, 403, 404):
            raise VaultFailed(
                f"vault {connection.name}: {path} did not let the gateway in by {way} ({exc.status}). Check that "
                "the method is mounted there, the role's bounds, and whether what it logs in with has ended."
            ) from None
        raise
    return granted(connection, answer)


def granted(connection: Connection, answer: Answer, *, given: bool = False) -> Grant:
    """Take a token from the answer to a login or a renewal."""
    token, accessor = answer.auth.get("client_token"), answer.auth.get("accessor")
    span = answer.auth.get("lease_duration")
    if not isinstance(token, str) or not token:
        raise VaultFailed(
            f"vault {connection.name}: a login gave no token. Does the role want more than one step?"
        )
    seconds = float(span) if isinstance(span, int | float) else 0.0
    return Grant(
        Secret(token),
        str(accessor or ""),
        answer.auth.get("renewable") is True,
        seconds,
        time.monotonic() + seconds if seconds > 0 else None,
        given=given,
    )


def _given(connection: Connection, auth: TokenAuth, deadline: Deadline) -> Grant:
    if auth.file is not None:
        source, token = str(auth.file), _read(connection, auth.file)
    else:
        source = f"the variable {auth.environment}"
        token = os.environ.get(auth.environment or "", "").strip()
    if not token:
        raise VaultFailed(f"vault {connection.name}: there is no token in {source}. Put one there.")
    try:
        found = connection.ask("get", LOOKUP, deadline, token=Secret(token))
    except Refused as exc:
        if exc.status != 403:
            raise
        # Ended, or one whose policies do not let it look at itself: what it is used for will tell.
        return Grant(Secret(token), given=True)
    left = found.data.get("ttl")
    seconds = float(left) if isinstance(left, int | float) else 0.0
    return Grant(
        Secret(token),
        found.text("accessor"),
        found.data.get("renewable") is True,
        seconds,
        time.monotonic() + seconds if seconds > 0 else None,  # 0: a root token does not end
        given=True,
    )


def _request(connection: Connection, auth: AuthSettings) -> tuple[str, str, dict[str, object]]:
    """Which way, where, and with what."""
    if auth.approle is not None:
        return "AppRole", f"auth/{auth.approle.mount}/login", _approle(connection, auth.approle)
    if auth.kubernetes is not None:
        return "Kubernetes", f"auth/{auth.kubernetes.mount}/login", _signed(connection, auth.kubernetes)
    if auth.jwt is not None:
        return "JWT", f"auth/{auth.jwt.mount}/login", _signed(connection, auth.jwt)
    assert auth.certificate is not None
    return "certificate", f"auth/{auth.certificate.mount}/login", _certificate(auth.certificate)


def _approle(connection: Connection, auth: AppRoleAuth) -> dict[str, object]:
    role = auth.role_id or _open(connection, auth.role_id_file)
    body: dict[str, object] = {"role_id": role}
    if auth.secret_id_file is not None:
        body["secret_id"] = Secret(_read(connection, auth.secret_id_file))
    return body


def _signed(connection: Connection, auth: KubernetesAuth | JwtAuth) -> dict[str, object]:
    return {"role": auth.role, "jwt": Secret(_open(connection, auth.token_file))}


def _certificate(auth: CertificateAuth) -> dict[str, object]:
    # Which certificate it is was said in the handshake.
    return {"name": auth.role} if auth.role is not None else {}


def _read(connection: Connection, path: Path) -> str:
    """Read what only the gateway may read."""
    try:
        return _decoded(read_private(path))
    except FileNotFoundError:
        raise VaultFailed(f"vault {connection.name}: {path} is not there. Put it there.") from None
    except ConfigurationError as exc:
        raise VaultFailed(f"vault {connection.name}: {exc}") from None


def _open(connection: Connection, path: Path | None) -> str:
    """Read what a platform puts there, readable as it sees fit."""
    assert path is not None
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_KEY_FILE + 1)
    except OSError as exc:
        raise VaultFailed(f"vault {connection.name}: {path}: {exc.strerror}. Put it there.") from None
    if len(data) > MAX_KEY_FILE:
        raise VaultFailed(f"vault {connection.name}: {path} has more than {MAX_KEY_FILE} bytes.")
    return _decoded(data)


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace").strip()
