"""The client that targets meet: it verifies the host key first and then uses the leased credential."""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false, reportPrivateImportUsage=false
# ruff: noqa: ANN401 - asyncssh's private parts, half typed, are this package's business (see its docstring)

from __future__ import annotations

import socket
from typing import Any

import asyncssh
from asyncssh.connection import SSHClientConnection
from asyncssh.public_key import SSHKey

from recgate.errors import UpstreamFailed
from recgate.model import Credential
from recgate_ssh.wire.algorithms import GCM, HOST_KEYS, KEX, MACS, STRICT_ONLY
from recgate_ssh.wire.keys import credential_keys, fingerprint, key_line
from recgate_ssh.wire.lean import name_local_user
from recgate_ssh.wire.link import Link, LinkEvents
from recgate_ssh.wire.loop import Loop, Spawn, settled
from recgate_ssh.wire.transport import SocketTransport

__all__ = ["TargetLink", "connect", "target_options"]


def target_options(
    host: str, port: int, credential: Credential, username: str, known_hosts: bytes
) -> asyncssh.SSHClientConnectionOptions:
    """Build what one connection to a target needs. Raises `ValueError` for a credential that cannot be used.

    `known_hosts` is text in OpenSSH's format and may be empty: then no key is trusted. Nothing of the gateway's
    own user (configuration, agent, keys, known hosts) is looked at.
    """
    name_local_user()
    password = credential.password.reveal().decode("utf-8") if credential.password is not None else None
    return asyncssh.SSHClientConnectionOptions(
        config=None,
        client_version="recgate",
        host=host,
        port=port,
        username=username,
        password=password,
        client_keys=credential_keys(credential) or None,
        known_hosts=_matched(known_hosts),
        agent_path=None,
        kex_algs=KEX,
        encryption_algs=[name.decode() for name in GCM + STRICT_ONLY],
        mac_algs=MACS,
        compression_algs=["none"],
        login_timeout=0,
        keepalive_interval=0,
        gss_host=None,
        preferred_auth=("publickey", "password", "keyboard-interactive"),
        x509_trusted_certs=None,
        x509_trusted_cert_paths=[],
        encoding=None,
    )


def _matched(known_hosts: bytes) -> Any:
    """Parse known hosts. A method even for empty text: asyncssh reads the user's own file for anything empty."""
    parsed = asyncssh.import_known_hosts(known_hosts.decode("utf-8", "replace"))
    return parsed.match


async def connect(link: TargetLink, sock: socket.socket, spawn: Spawn) -> None:
    """Log in to a target over a connected socket. The caller sets the deadline and closes the socket.

    Raises `UpstreamFailed`. Cancelled or failed, the connection is aborted.
    """
    name, transport = link.name, SocketTransport(sock, link, spawn)
    spawn(transport.run)
    done = False
    try:
        await settled(link.waiter)
        done = True
        link.settle()
    except asyncssh.HostKeyNotVerifiable as exc:
        raise UpstreamFailed(exc.reason) from None
    except asyncssh.PermissionDenied:
        raise UpstreamFailed(f"{name} did not accept the credential for {link.account!r}") from None
    except asyncssh.ConnectionLost:
        raise UpstreamFailed(f"{name} closed the connection during its SSH handshake") from None
    except Exception as exc:  # noqa: BLE001 - whatever asyncssh stumbled over, it is the target that sent it
        raise UpstreamFailed(f"{name}: SSH handshake failed: {exc or type(exc).__name__}") from None
    finally:
        if not done:
            link.abort()


class TargetLink(Link, SSHClientConnection):
    """The connection to a target; `name` is the target's, `account` the one to log in to there."""

    def __init__(
        self, loop: Loop, options: asyncssh.SSHClientConnectionOptions, events: LinkEvents, name: str
    ) -> None:
        options.waiter = loop.create_future()
        SSHClientConnection.__init__(self, loop, options, wait="auth")
        self.start_link(events)
        self.waiter: Any = options.waiter
        self.name = name
        self.account: str = options.username

    def _connection_made(self) -> None:
        super()._connection_made()
        # A DSA or SHA-1 host key is not worth asking for, whatever a known-hosts file lists.
        wanted = [name for name in self._server_host_key_algs or () if _host_algorithm(name)]
        self._server_host_key_algs = wanted or [name.encode() for name in HOST_KEYS]

    def validate_server_host_key(self, key_data: bytes) -> SSHKey:
        """Accept the target's key if it is known; else say which it is and what to add."""
        try:
            return super().validate_server_host_key(key_data)
        except asyncssh.HostKeyNotVerifiable as exc:
            raise asyncssh.HostKeyNotVerifiable(self._unverified(key_data, str(exc))) from None

    def _unverified(self, key_data: bytes, why: str) -> str:
        try:
            key = asyncssh.public_key.decode_ssh_public_key(key_data)
        except asyncssh.KeyImportError:
            return f"{self.name} shows a host certificate that is not trusted ({why})"
        shown = f"{key.algorithm.decode()} {fingerprint(key)}"
        if key in self._revoked_host_keys:
            return f"{self.name} shows a revoked host key: {shown}. It may be an impostor"
        if self._trusted_host_keys or self._trusted_ca_keys:
            return (
                f"the host key of {self.name} has changed to {shown}. It may be an impostor; if it is not, "
                f'replace its host_key in the configuration by "{key_line(key)}"'
            )
        return (
            f"the host key of {self.name} is not known: {shown}. If that is the target's, add to its options: "
            f'host_key: "{key_line(key)}"'
        )


def _host_algorithm(name: bytes) -> bool:
    text = name.decode("ascii").replace("-cert-v01@openssh.com", "")
    return text in HOST_KEYS
