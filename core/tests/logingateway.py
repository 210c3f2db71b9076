"""A stub of the gateway's login API: it speaks HTTPS with a CA of its own, and answers as a test says.

It checks nothing: whether the real gateway takes what a client sends is shown in tests/test_login.py.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import click.testing
import h11
import trio
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from recgate.cli.home import ClientHome, KnownGateway
from recgate.cli.main import main
from recgate.cli.remote import RemoteGateway
from recgate.cli.sshidentity import SshIdentity
from recgate.keys import GatewayKeys
from recgate.keys.usercertificates import Proven, new_serial, sign

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"
TOKEN = "rgl_" + "t" * 43
CORP = {
    "source": "corp",
    "kind": "oidc",
    "issuer": "https://idp.example",
    "client_id": "recgate",
    "authorization_endpoint": "https://idp.example/auth?tenant=7",
    "scopes": ["openid", "groups"],
    "flows": ["browser", "device"],
}
DEVICE = "/api/v1/oidc/device"
LOGIN = "/api/v1/oidc/login"
LOGOUT = "/api/v1/oidc/logout"
Answer = tuple[int, dict[str, Any]]


@dataclass
class StubGateway:
    """`answers` by path: one after the other, the last again and again. `asked` is what came: path, body, token."""

    url: str
    keys: GatewayKeys
    answers: dict[str, list[Answer | Callable[[dict[str, Any]], Answer]]] = field(default_factory=dict)
    asked: list[tuple[str, Any, str]] = field(default_factory=list)

    def advertise(self, **more: Any) -> None:
        """Say of itself what a gateway does, and more."""
        about = {"name": "gate-1", "ssh_host_ca": KEY, "ca": self.ca, "login": [CORP], **more}
        self.answers["/.well-known/recgate"] = [(200, about)]

    @property
    def ca(self) -> str:
        return self.keys.ca_file.read_text()

    def known_by(self, tmp_path: Path, **environment: str) -> RemoteGateway:
        home = ClientHome.of({"XDG_CONFIG_HOME": str(tmp_path), **environment})
        return RemoteGateway(KnownGateway(self.url, self.ca), home)

    def signed(self, public_key: str, expires: float, user: str = "alice") -> str:
        """A certificate as the gateway's user CA signs it."""
        key = load_ssh_public_key(public_key.encode())
        proven = Proven(user, new_serial(), expires, "recgate-sign-in x")
        return sign(self.keys.ssh_user_ca, key, proven, expires - 600).decode()  # type: ignore[arg-type]

    def answer(self, path: str, body: Any, token: str) -> Answer:
        self.asked.append((path, body, token))
        left = self.answers.get(path, [(404, {"detail": "no such thing here"})])
        now = left.pop(0) if len(left) > 1 else left[0]
        return now(body) if callable(now) else now


@asynccontextmanager
async def stub_gateway(tmp_path: Path, *, host: str = "127.0.0.1") -> AsyncIterator[StubGateway]:
    """Run one on a free port."""
    keys = GatewayKeys(tmp_path / "data")
    keys.prepare()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(keys.certificate_file, keys.certificate_key_file)
    gateway = StubGateway("", keys)

    async def serve(stream: trio.SocketStream) -> None:
        try:
            async with trio.SSLStream(stream, context, server_side=True, https_compatible=True) as secure:
                await _exchange(gateway, secure)
        except trio.BrokenResourceError:
            return  # a client that does not believe it

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host=host))
        gateway.url = f"https://{host}:{listener.socket.getsockname()[1]}"
        gateway.advertise()
        yield gateway
        nursery.cancel_scope.cancel()


async def _exchange(gateway: StubGateway, stream: trio.SSLStream[trio.SocketStream]) -> None:
    connection = h11.Connection(h11.SERVER)
    request, body = None, b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(bytes(await stream.receive_some()))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            break
        else:
            return
    assert request is not None
    token = dict(request.headers).get(b"authorization", b"").decode().removeprefix("Bearer ")
    status, said = gateway.answer(request.target.decode(), json.loads(body) if body else None, token)
    sent = b"" if status == 204 else json.dumps(said).encode()
    headers = [("connection", "close")] + ([] if status == 204 else [("content-length", str(len(sent)))])
    parts = [
        connection.send(h11.Response(status_code=status, headers=headers)),
        connection.send(h11.Data(data=sent)),
        connection.send(h11.EndOfMessage()),
    ]
    await stream.send_all(b"".join(part or b"" for part in parts))


async def command(tmp_path: Path, *words: str, **environment: str) -> click.testing.Result:
    """Run `recgate` with a home of its own, without a display."""
    empty = (
        "RECGATE_URL",
        "RECGATE_CA",
        "RECGATE_TOKEN",
        "DISPLAY",
        "WAYLAND_DISPLAY",
        "SSH_CONNECTION",
        "SSH_TTY",
    )
    env: dict[str, str | None] = {**dict.fromkeys(empty), "XDG_CONFIG_HOME": str(tmp_path), **environment}
    runner = click.testing.CliRunner(env=env)
    return await trio.to_thread.run_sync(lambda: runner.invoke(main, words))


def home(tmp_path: Path) -> ClientHome:
    return ClientHome.of({"XDG_CONFIG_HOME": str(tmp_path)})


def offering(gateway: StubGateway, status: int = 200, **more: Any) -> float:
    """Have a device approved at once; gives when the sign-in ends."""
    end = float(int(time.time()) + 28_800)
    code = {"handle": "h", "user_code": "ABCD", "verification_uri": "https://idp.example/d", "interval": 0.01}
    gateway.answers[DEVICE] = [(200, code)]

    def made(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        said = {
            "token": TOKEN,
            "expires": end,
            "user": "alice",
            "groups": ["sre", "dba"],
            "source": "corp",
            **more,
        }
        if key := body.get("ssh_public_key"):
            said.setdefault("ssh_certificate", gateway.signed(key, time.time() + 600))
        return status, said

    gateway.answers[LOGIN] = [made]
    return end


async def signed_in(gateway: StubGateway, tmp_path: Path) -> SshIdentity:
    offering(gateway)
    done = await command(tmp_path, "login", gateway.url, "--ca", str(gateway.keys.ca_file))
    assert done.exit_code == 0, done.output
    return SshIdentity(home(tmp_path).directory, gateway.known_by(tmp_path).slug)
