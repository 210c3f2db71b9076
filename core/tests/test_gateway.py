"""The gateway as a whole, with the smallest protocol, a real target on loopback, and real recordings."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest
import trio
import yaml

from recgate import config as configuration
from recgate.control import MAX_REQUEST
from recgate.door import Door
from recgate.errors import ConfigurationError, LocalProtocolError
from recgate.gateway import Gateway
from recgate.model import ConnectionInfo, PasswordEvidence, Secret
from recgate.plugins import Registry
from recgate.sansio.frames import Frame
from recgate.testing import lineplugin, sharedplugin, vaultplugin
from recgate.testing.people import FakeVault, SharedSecret

PATIENCE = 30


@dataclass
class Target:
    """A line target that answers every ASK and keeps every byte it got."""

    got: bytearray = field(default_factory=bytearray)
    greeting: bytes = b"OK\n"
    port: int = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            greeted = False
            while data := await stream.receive_some():
                self.got += data
                if not greeted:
                    greeted = True
                    await stream.send_all(self.greeting)
                elif data.startswith(b"ASK"):
                    with suppress(
                        trio.BrokenResourceError
                    ):  # the gateway may leave before it has been answered
                        await stream.send_all(b"ANSWER to " + data)


@dataclass
class House:
    """A running gateway with its surroundings."""

    gateway: Gateway
    target: Target
    path: Path
    people: SharedSecret
    vault: FakeVault
    streams: list[trio.SocketStream] = field(default_factory=list)

    async def connect(self) -> trio.SocketStream:
        bound = next(b for b in self.gateway.bound if b.protocol == "line")
        self.streams.append(await trio.open_tcp_stream(bound.host, bound.port))
        return self.streams[-1]

    async def login(self, name: str = "prod", secret: str = "alice:secret") -> trio.SocketStream:
        stream = await self.connect()
        await stream.send_all(f"HELLO {name} {secret}\n".encode())
        return stream

    async def opened(self) -> trio.SocketStream:
        stream = await self.login()
        assert await until(stream, b"\n") == b"OK\n"
        return stream

    def audit(self) -> list[dict[str, object]]:
        path = self.gateway.config.data_dir / "audit.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    async def eventually(self, true: Callable[[], object]) -> None:
        """Wait until it is true; what is waited for happens in other tasks and processes."""
        with trio.fail_after(PATIENCE):
            while not true():  # noqa: ASYNC110 - what is waited for happens in other processes
                await trio.sleep(0.01)

    async def event(self, kind: str) -> dict[str, object]:
        """Wait for an audit event."""
        await self.eventually(lambda: any(event["event"] == kind for event in self.audit()))
        return next(event for event in self.audit() if event["event"] == kind)

    async def row(self, session: str, *, status: str):
        with trio.fail_after(PATIENCE):
            while True:
                row = self.gateway.registry.catalog.get(session)
                if row is not None and row.status == status:
                    return row
                await trio.sleep(0.01)


async def until(stream: trio.SocketStream, ending: bytes) -> bytes:
    data = b""
    with trio.fail_after(PATIENCE):
        while not data.endswith(ending):
            more = await stream.receive_some()
            if not more:
                break
            data += more
    return data


async def rest(stream: trio.SocketStream) -> bytes:
    data = b""
    with trio.fail_after(PATIENCE):
        while True:
            try:
                more = await stream.receive_some()
            except trio.BrokenResourceError:
                return data
            if not more:
                return data
            data += more


@asynccontextmanager
async def house(
    tmp_path: Path, extra: Mapping[str, ModuleType] | None = None, **changes: object
) -> AsyncIterator[House]:
    people, vault = sharedplugin.AUTHENTICATOR, vaultplugin.VAULT
    people.__init__()
    vault.__init__()
    target = Target()
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, target.serve, [listener])
        target.port = listener.socket.getsockname()[1]
        path = tmp_path / "recgate.yaml"
        write(path, target.port, **changes)
        plugins = {"line": lineplugin, "shared": sharedplugin, "test": vaultplugin, **(extra or {})}
        registry = Registry(extra=plugins)
        config = configuration.load(path, registry)
        registry.bind(config)
        gateway = Gateway(config, registry, path=path)
        await nursery.start(gateway.run)
        home = House(gateway, target, path, people, vault)
        yield home
        for stream in home.streams:
            await stream.aclose()
        nursery.cancel_scope.cancel()


def write(path: Path, port: int, **changes: object) -> None:
    target = {
        "name": "prod",
        "protocol": "line",
        "address": f"127.0.0.1:{port}",
        "credential": "test:prod",
        "allow": ["group:dba"],
    }
    config = {
        "gateway": {"name": "gate", "data_dir": str(path.parent / "data")},
        "listeners": [{"protocol": "line", "bind": "127.0.0.1:0"}],
        "identity": [{"shared": {}}],
        "vaults": [{"test": {}}],
        "limits": {"recheck": "100ms"},
        "targets": [{**target, **changes.pop("target", {})}],  # type: ignore[dict-item]
        **changes,
    }
    path.write_text(yaml.safe_dump(config))


async def test_a_session_from_login_to_seal(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        stream = await home.opened()
        await stream.send_all(b"ASK how much\n")
        assert await until(stream, b"much\n") == b"ANSWER to ASK how much\n"
        await stream.aclose()
        closed = await home.event("session.closed")
        row = await home.row(str(closed["session"]), status="sealed")
        assert (row.user, row.groups, row.target, row.reason) == ("alice", ("dba",), "prod", "client-closed")
        assert home.target.got.startswith(b"HELLO app target-secret\n"), (
            "the target got the leased credential"
        )
        assert home.vault.revoked == ["lease-1"]
        assert closed["requests"] == 2  # opening the session, and the question
    everything = b"".join(
        p.read_bytes() for p in (tmp_path / "data").rglob("*") if p.is_file() and "keys" not in p.parts
    )
    assert b"target-secret" not in everything
    assert b"alice:secret" not in everything


@pytest.mark.parametrize(
    ("name", "secret", "word", "event"),
    [
        ("prod", "alice:wrong", b"BYE authentication: authentication failed", "login.failed"),
        ("prod", "mallory:secret", b"BYE authentication: authentication failed", "login.failed"),
        ("bob+prod", "alice:secret", b"BYE authentication: authentication failed", "login.failed"),
        (
            "elsewhere",
            "alice:secret",
            b'BYE access: no line target "elsewhere" is open to you',
            "access.denied",
        ),
        ("Prod", "alice:secret", b'BYE access: no line target "Prod" is open to you', "access.denied"),
    ],
)
async def test_who_may_not_is_told_no_more_than_that(tmp_path: Path, name, secret, word, event) -> None:
    async with house(tmp_path) as home:
        assert word in await rest(await home.login(name, secret))
        assert (await home.event(event))["source"]
        assert home.target.got == b"", "the target is not touched before access is granted"
        assert home.vault.lent == []


async def test_who_is_not_in_allow_hears_the_same_as_of_a_target_that_is_not_there(tmp_path: Path) -> None:
    async with house(tmp_path, target={"allow": ["user:bob"]}) as home:
        assert b'BYE access: no line target "prod" is open to you' in await rest(await home.login())
        assert (await home.event("access.denied"))["reason"] == "not in the target's allow list"


async def test_guessing_is_slowed_and_the_reason_is_in_the_audit_trail_only(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        for _ in range(8):
            assert b"authentication failed" in await rest(await home.login(secret="alice:wrong"))
        reasons = [str(e["reason"]) for e in home.audit() if e["event"] == "login.failed"]
        assert any("too many failures" in reason for reason in reasons)


async def test_a_vault_that_has_nothing_ends_the_session_with_its_reason(tmp_path: Path) -> None:
    async with house(tmp_path, target={"credential": "test:missing"}) as home:
        said = await rest(await home.login())
        assert said.startswith(b"BYE vault: no credential could be had")
        assert b"missing" not in said, "what the vault says is not the client's to know"
        closed = await home.event("session.closed")
        assert closed["reason"] == "vault: test: nothing is kept at missing"
        await home.row(str(closed["session"]), status="sealed")


async def test_a_target_that_is_down_is_said_and_the_lease_given_back(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with house(tmp_path, target={"address": f"127.0.0.1:{port}"}) as home:
        assert b"BYE upstream: prod: cannot connect" in await rest(await home.login())
        await home.event("session.closed")
        assert home.vault.revoked == ["lease-1"]


async def test_a_target_that_refuses_the_credential(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.target.greeting = b"NO\n"
        assert b"BYE protocol: the target refused" in await rest(await home.login())
        assert "protocol-error" in str((await home.event("session.closed"))["reason"])


@pytest.mark.parametrize("how", ["revoked", "target removed", "allow changed", "source broken"])
async def test_threat_6_the_session_ends_when_its_ground_is_gone(tmp_path: Path, how: str) -> None:
    async with house(tmp_path) as home:
        stream = await home.opened()
        if how == "revoked":
            home.people.revoked.add("alice")
        elif how == "source broken":
            home.people.broken = True
        elif how == "allow changed":
            write(home.path, home.target.port, target={"allow": ["user:bob"]})
            home.gateway.reload()
        else:
            write(home.path, home.target.port, target={"name": "other"})
            home.gateway.reload()
        assert b"BYE revoked:" in await rest(stream)
        assert (await home.event("session.closed"))["reason"] == "revoked"


async def test_a_bad_file_keeps_the_old_configuration(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        before = home.gateway.config
        home.path.write_text("targets: [{nmae: prod}]")
        with pytest.raises(ConfigurationError):
            home.gateway.reload()
        assert home.gateway.config is before
        await (await home.opened()).aclose()


async def test_who_remembers_live_sessions_is_told_at_a_reload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    async with house(tmp_path) as home:
        monkeypatch.setattr(
            type(home.people), "inherit", lambda self, before: told.append(before), raising=False
        )
        home.gateway.reload()
        assert told == [home.people]


async def test_shutdown_says_farewell_and_seals(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        stream = await home.opened()
        async with trio.open_nursery() as nursery:
            said: list[bytes] = []

            async def listen() -> None:
                said.append(await rest(stream))

            nursery.start_soon(listen)
            for session in home.gateway.live.values():
                last = session.id
            home.gateway.stop()
        assert b"BYE shutdown: the gateway is shutting down" in said[0]
    row = home.gateway.registry.catalog.get(last)
    assert row is not None
    assert (row.status, row.reason) == ("sealed", "shutdown")


async def test_a_lease_that_cannot_be_kept_ends_the_session(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.vault.ttl = 0.2
        stream = await home.opened()
        await home.eventually(lambda: home.vault.renewals >= 2)
        home.vault.away = True
        assert b"BYE vault: the credential's lease could not be kept" in await rest(stream)
        assert (await home.event("lease.unrevoked"))["lease"] == "lease-1"


async def test_threat_12_a_silent_client_is_closed_and_others_are_served(tmp_path: Path) -> None:
    listeners = [{"protocol": "line", "bind": "127.0.0.1:0", "handshake_timeout": "200ms"}]
    async with house(tmp_path, listeners=listeners) as home:
        silent = await home.connect()
        other = await home.opened()  # arrived later, so its deadline would be over with the silent one's
        assert await rest(silent) == b""
        assert await rest(await home.connect()) == b""
        await other.send_all(b"ASK on\n")
        assert await until(other, b"on\n") == b"ANSWER to ASK on\n"


async def test_threat_35_a_plugin_that_breaks_ends_its_own_session_only(tmp_path: Path, monkeypatch) -> None:
    from recgate.testing.lineproto import LineRelay

    async with house(tmp_path) as home:
        healthy = await home.opened()
        broken = await home.opened()

        def explode(self: LineRelay, frame: Frame) -> None:
            if b"explode" in frame.data:
                raise ZeroDivisionError
            original(self, frame)

        original = LineRelay.send
        monkeypatch.setattr(LineRelay, "send", explode)
        await broken.send_all(b"ASK explode\n")
        assert await rest(broken) == b""
        assert (await home.event("session.crashed"))["reason"] == "error: ZeroDivisionError"
        await healthy.send_all(b"ASK still here\n")
        assert await until(healthy, b"here\n") == b"ANSWER to ASK still here\n"


async def control(home: House, **request: object) -> list[dict[str, object]]:
    stream = await trio.open_unix_socket(str(home.gateway.config.data_dir / "control.sock"))
    async with stream:
        await stream.send_all(json.dumps(request).encode() + b"\n")
        return [json.loads(line) for line in (await rest(stream)).splitlines()]  # type: ignore[arg-type]


async def test_the_control_socket_lists_watches_and_kills(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        stream = await home.opened()
        row, done = await control(home, do="sessions")
        assert row["user"] == "alice"
        assert done == {"done": True}
        async with trio.open_nursery() as nursery:
            seen: list[dict[str, object]] = []

            async def watch() -> None:
                seen.extend(await control(home, do="watch", session=row["session"]))

            nursery.start_soon(watch)
            await home.event("session.watched")
            await stream.send_all(b"ASK watched\n")
            await until(stream, b"watched\n")
            assert (await control(home, do="kill", session=row["session"], reason="enough"))[0][
                "done"
            ] is True
        assert [line["kind"] for line in seen[1:3]] == ["line", "line"]
        assert seen[-1] == {"done": True}
        assert b"BYE killed: enough" in await rest(stream)
        assert (await home.event("session.killed"))["by"] == f"local:{os.getuid()}"
        assert os.stat(home.gateway.config.data_dir / "control.sock").st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "request_", [{"do": "erase"}, {}, {"do": "kill", "session": ""}, {"do": "watch", "session": "nobody"}]
)
async def test_the_control_socket_refuses_what_it_does_not_know(tmp_path: Path, request_) -> None:
    async with house(tmp_path) as home:
        (answer,) = await control(home, **request_)
        assert "error" in answer


async def test_the_control_socket_refuses_a_line_without_end(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        (answer,) = await control(home, do="x" * (MAX_REQUEST + 10_000))
        assert "expected one line" in str(answer["error"])


async def test_a_door_opens_one_session(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        door = Door(home.gateway, ConnectionInfo("line", "127.0.0.1:1", "127.0.0.1:2"))
        who = await door.login("prod", PasswordEvidence(Secret("alice:secret")))
        await door.open(who, {})
        with pytest.raises(LocalProtocolError):
            await door.open(who, {})
        await door.finish("client-closed")
        await door.finish("again")
        await home.event("session.closed")
        closed = [event for event in home.audit() if event["event"] == "session.closed"]
        assert [event["reason"] for event in closed] == ["client-closed"]


async def test_more_sessions_than_the_limit_are_refused_with_the_reason_in_the_audit_trail(
    tmp_path: Path,
) -> None:
    async with house(tmp_path, limits={"max_sessions": 1}) as home:
        await home.opened()
        assert b"BYE recording: the session cannot be recorded" in await rest(await home.login())
        assert "limits.max_sessions" in str((await home.event("session.refused"))["reason"])


async def test_reload_through_the_control_socket_says_what_is_wrong(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        assert (await control(home, do="reload"))[0]["configuration"] == home.gateway.config.digest
        home.path.write_text("nonsense: 1")
        assert "nonsense" in str((await control(home, do="reload"))[0]["error"])


async def test_plaintext_behind_the_request_for_tls_is_refused(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        stream = await home.connect()
        await stream.send_all(b"TLS\nHELLO prod alice:secret\n")
        assert b"plaintext behind the request for TLS" in await rest(stream)
        assert home.vault.lent == []
