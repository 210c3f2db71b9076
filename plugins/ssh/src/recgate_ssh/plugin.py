"""The entry point: what this distribution adds to recgate."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from pydantic import BaseModel

from recgate.hookspecs import hookimpl
from recgate.model import TargetInfo
from recgate.providers import Driver, ProtocolProvider
from recgate_ssh.options import SshListenerOptions, SshTargetOptions
from recgate_ssh.transcript import SshTranscriber

__all__ = ["client_line", "recgate_api", "recgate_protocols"]

recgate_api = 1


def client_line(target: TargetInfo, host: str, port: int, login: str) -> str:
    """Give the line that reaches `target`: `ssh -p 2222 prod-web@gate`."""
    name = login or target.name
    return f"ssh -p {port} {shlex.quote(f'{name}@{host}')}"


def _driver(options: BaseModel) -> Driver:
    # asyncssh takes half a second to import, and every command that reads the configuration comes through here.
    from recgate_ssh.driver import SshDriver

    return SshDriver(options)


def _transcriber(opened: Mapping[str, object], state: bytes | None, rows: bool) -> SshTranscriber:
    return SshTranscriber(state)


@hookimpl
def recgate_protocols() -> Iterable[ProtocolProvider]:
    """Give the protocol `ssh`."""
    return [
        ProtocolProvider(
            name="ssh",
            default_port=22,
            target_options=SshTargetOptions,
            listener_options=SshListenerOptions,
            transcriber=_transcriber,
            driver=_driver,
            view="terminal",
            client_line=client_line,
            default_listener_tls="off",
            masks=True,
        )
    ]
