"""The plugin: what recgate gets when `protocol: postgres` is configured. The only module here that is not pure."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence

from pydantic import BaseModel

from recgate.hookspecs import hookimpl
from recgate.model import ConnectionInfo, Credential, TargetInfo
from recgate.policy import Act
from recgate.policy.obligations import MAX_ROWS, READ_ONLY
from recgate.providers import ProtocolProvider
from recgate.sansio.relay import Relay
from recgate.sansio.surveys import Surveyor
from recgate_postgres.acts import read
from recgate_postgres.options import PostgresListener, PostgresTarget
from recgate_postgres.origin.surveyor import CatalogSurveyor
from recgate_postgres.origin.tracing import trace
from recgate_postgres.relay import PostgresRelay
from recgate_postgres.transcript import PostgresTranscriber

__all__ = ["recgate_api", "recgate_protocols"]

recgate_api = 1


def _relay(listener: BaseModel, connection: ConnectionInfo) -> Relay:
    assert isinstance(listener, PostgresListener)
    return PostgresRelay(listener, connection, secrets.token_bytes, trace=trace)


def _transcriber(opened: Mapping[str, object], state: bytes | None, rows: bool) -> PostgresTranscriber:
    return PostgresTranscriber(opened, state, rows)


def _surveyor(target: TargetInfo, credential: Credential, subject: str) -> Surveyor:
    return CatalogSurveyor(target, credential, subject, secrets.token_bytes(18))


def _acts(text: str) -> Sequence[Act]:
    """What a recorded statement did, as far as its text alone says."""
    return read(text).acts


def _client_line(target: TargetInfo, host: str, port: int, login: str) -> str:
    """The line to type. `{ca}` stands for the path of the gateway's CA certificate."""
    assert isinstance(target.options, PostgresTarget)
    place = f"host={host} port={port} user={login} dbname={target.options.database}"
    # `prefer`, the client's default, would hand a token to whoever answers.
    return f'psql "{place} sslmode=verify-full sslrootcert={{ca}}"'


def _tunnel_line(target: TargetInfo, host: str, port: str) -> str:
    """The line to type at the near end of a tunnel, which has encrypted and authenticated already."""
    assert isinstance(target.options, PostgresTarget)
    return (
        f'psql "host={host} port={port} user={target.name} dbname={target.options.database} sslmode=disable"'
    )


@hookimpl
def recgate_protocols() -> Iterable[ProtocolProvider]:
    """Give the PostgreSQL protocol."""
    return [
        ProtocolProvider(
            name="postgres",
            default_port=5432,
            target_options=PostgresTarget,
            listener_options=PostgresListener,
            transcriber=_transcriber,
            relay=_relay,
            view="sql",
            client_line=_client_line,
            tunnel_line=_tunnel_line,
            masks=True,
            columns=True,
            enforces=frozenset((MAX_ROWS, READ_ONLY)),
            acts=_acts,
            surveyor=_surveyor,
        )
    ]
