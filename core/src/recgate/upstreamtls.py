"""The TLS context towards a session's target, from that target's options and the leased credential."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Protocol, cast

from recgate.errors import LocalProtocolError
from recgate.model import Credential
from recgate.session import Session
from recgate.tls import UpstreamTls, client_context

__all__ = ["UpstreamTlsOptions", "upstream_context"]


class UpstreamTlsOptions(Protocol):
    """What the target options of a protocol with upstream TLS have."""

    @property
    def tls(self) -> UpstreamTls:
        """How far the target's certificate is verified."""
        ...

    @property
    def ca(self) -> Path | None:
        """The authorities to believe; None is the system's."""
        ...


def upstream_context(
    session: Session, alpn: tuple[str, ...] = (), credential: Credential | None = None
) -> ssl.SSLContext:
    """Make the context, with the session's own credential or with another one.

    Raises `UpstreamFailed`, or `LocalProtocolError` for a target without TLS.
    """
    options = cast("UpstreamTlsOptions", session.target.options)
    lent = session.credential if credential is None else credential
    context = client_context(options.tls, ca=options.ca, credential=lent, alpn=alpn)
    if context is None:
        raise LocalProtocolError("the relay asked for TLS to a target that is configured without")
    return context
