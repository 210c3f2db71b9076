"""A gateway elsewhere that answers oddly: what it says is checked before anything is made of it."""

from __future__ import annotations

import gzip
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from core.tests.logingateway import command, stub_gateway
from recgate.cli.home import ClientHome, KnownGateway
from recgate.cli.remote import Denied, RemoteGateway, is_client
from recgate.errors import RecgateError
from recgate.keys import GatewayKeys

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"


@asynccontextmanager
async def answering(
    tmp_path: Path, status: int, value: object, headers: str = ""
) -> AsyncIterator[RemoteGateway]:
    """A server that gives everybody the same answer."""
    keys = GatewayKeys(tmp_path / "data")
    keys.prepare()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(keys.certificate_file, keys.certificate_key_file)
    body = value if isinstance(value, bytes) else json.dumps(value).encode()

    async def serve(stream: trio.SocketStream) -> None:
        secure = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        async with secure:
            await secure.receive_some()
            head = f"HTTP/1.1 {status} X\r\n{headers}content-length: {len(body)}\r\n\r\n"
            await secure.send_all(head.encode() + body)

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        url = f"https://127.0.0.1:{listener.socket.getsockname()[1]}"
        environment = {"XDG_CONFIG_HOME": str(tmp_path), "RECGATE_TOKEN": "t"}
        yield RemoteGateway(KnownGateway(url, keys.ca_file.read_text()), ClientHome.of(environment))
        nursery.cancel_scope.cancel()


async def test_it_says_who_it_is(tmp_path: Path) -> None:
    async with answering(tmp_path, 200, {"name": "gate-1", "ssh_host_ca": KEY + " comment"}) as gateway:
        about = await gateway.about()
        assert (about.name, about.ssh_host_ca) == ("gate-1", KEY)


@pytest.mark.parametrize(
    "value",
    [
        {"name": "gate-1\n@cert-authority *", "ssh_host_ca": KEY},
        {"name": "*", "ssh_host_ca": KEY},
        {"name": "gate-1", "ssh_host_ca": KEY + "\n* ssh-ed25519 BBBB"},
        {"name": "gate-1"},
        [],
        b"<html>",
    ],
)
async def test_what_would_be_more_than_a_word_is_refused(tmp_path: Path, value: object) -> None:
    async with answering(tmp_path, 200, value) as gateway:
        with pytest.raises(RecgateError, match="does not answer as a recgate gateway does"):
            await gateway.about()


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (401, RecgateError, "has ended or was revoked: run `recgate login https://127.0.0.1"),
        (403, Denied, "not for you"),
        (429, RecgateError, "not for you"),
    ],
)
async def test_a_refusal_is_told_in_its_own_words(
    tmp_path: Path, status: int, kind: type[RecgateError], said: str
) -> None:
    async with answering(tmp_path, status, {"detail": "not for you"}) as gateway:
        with pytest.raises(kind, match=said):
            await gateway.targets()


async def test_a_target_that_can_be_none_is_refused(tmp_path: Path) -> None:
    async with answering(tmp_path, 200, {"targets": [{"name": "-oProxyCommand=x"}]}) as gateway:
        with pytest.raises(RecgateError, match="no target's name"):
            await gateway.targets()


@pytest.mark.parametrize(
    "value", [{}, {"targets": None}, {"targets": [1]}, {"targets": {"name": "web"}}, b"[" * 100_000]
)
async def test_an_answer_of_another_shape_is_none(tmp_path: Path, value: object) -> None:
    async with answering(tmp_path, 200, value) as gateway:
        with pytest.raises(RecgateError, match="does not answer as a recgate gateway does"):
            await gateway.targets()


async def test_labels_of_another_shape_are_none(tmp_path: Path) -> None:
    async with answering(tmp_path, 200, {"targets": [{"name": "web", "labels": ["x"]}]}) as gateway:
        (target,) = await gateway.targets()
        assert target.labels == {}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_compressed_answer_is_not_unpacked(tmp_path: Path) -> None:
    """Twice packed, a kilobyte fills the memory before its size can be looked at."""
    bomb = gzip.compress(gzip.compress(bytes(10 << 20)))
    async with answering(tmp_path, 200, bomb, "content-encoding: gzip, gzip\r\n") as gateway:
        with pytest.raises(RecgateError, match="answers compressed"):
            await gateway.about()


@pytest.mark.parametrize("needs", ["\x1b]0;owned\x07", "\rroot@host# ", "\u202elmth"])
async def test_nothing_that_a_gateway_says_acts_on_the_terminal(tmp_path: Path, needs: str) -> None:
    async with stub_gateway(tmp_path) as gateway:
        row = {"name": "web", "protocol": needs, "line": needs, "tunnel": needs, "needs": needs}
        gateway.answers["/api/v1/targets"] = [(200, {"targets": [row, {**row, "needs": ""}]})]
        gateway.known_by(tmp_path)._home.remember(KnownGateway(gateway.url, gateway.ca))
        for words in (["targets"], ["targets", "--json"], ["connect", "web"]):
            done = await command(tmp_path, *words, RECGATE_TOKEN="t")
            assert needs not in done.output
            assert "web" in done.output


# The client library leaves its own generators to the collector when an answer is not read to its end.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_an_answer_without_end_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recgate.cli.remote.MAX_ANSWER", 1000)
    async with answering(tmp_path, 200, b"x" * 5000) as gateway:
        with pytest.raises(RecgateError, match="answers without end"):
            await gateway.about()


async def test_nobody_there_is_said_plainly(tmp_path: Path) -> None:
    async with answering(tmp_path, 200, {}) as gateway:
        pass
    with pytest.raises(RecgateError, match=r"https://127\.0\.0\.1:\d+: .+"):
        await gateway.about()


def test_a_url_makes_it_a_client() -> None:
    assert is_client("https://gate.example")
