"""The line protocol as a plugin module: `Registry(extra={"line": lineplugin})`, in the sealing worker too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import BaseModel

from recgate.hookspecs import hookimpl
from recgate.model import ConnectionInfo, TargetInfo
from recgate.providers import ProtocolProvider
from recgate.testing.lineproto import LineListener, LineRelay, LineTarget, LineTranscriber

__all__ = ["recgate_protocols"]

recgate_api = 1


def _relay(options: BaseModel, connection: ConnectionInfo) -> LineRelay:
    return LineRelay(vouched=connection.voucher is not None)


def _transcriber(opened: Mapping[str, object], state: bytes | None, rows: bool) -> LineTranscriber:
    return LineTranscriber(state)


def _client_line(target: TargetInfo, host: str, port: int, login: str) -> str:
    return f"nc {host} {port}"


def _tunnel_line(target: TargetInfo, host: str, port: str) -> str:
    return f"nc {host} {port}"


@hookimpl
def recgate_protocols() -> Iterable[ProtocolProvider]:
    """The one protocol."""
    return [
        ProtocolProvider(
            name="line",
            default_port=7,
            target_options=LineTarget,
            listener_options=LineListener,
            transcriber=_transcriber,
            relay=_relay,
            client_line=_client_line,
            tunnel_line=_tunnel_line,
        )
    ]
