"""The questions to the identity sources that a door does not show alone: challenges, vouchers, client authorities."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from core.tests.test_gateway import House, house, rest, until
from recgate.errors import AccessDenied, AuthenticationFailed, RecgateError
from recgate.guard import FREE_ATTEMPTS
from recgate.model import (
    ConnectionInfo,
    LoginName,
    PasswordEvidence,
    Principal,
    Secret,
    Voucher,
    VoucherEvidence,
)
from recgate.providers import Challenge
from recgate.signin import SignIn
from recgate.testing.people import SharedSecret

ALICE = Principal("shared", "alice", "alice", frozenset({"dba"}), "password", "shared-1")


@dataclass
class Code:
    """A challenge that the test meets."""

    text: str = "go there"
    met: trio.Event = field(default_factory=trio.Event)
    refuses: bool = False

    async def answer(self) -> Principal:
        await self.met.wait()
        if self.refuses:
            raise AuthenticationFailed("the person said no", tell="ask again")
        return ALICE


class Asking(SharedSecret):
    """The shared secret, and a code."""

    code: Code | None = None
    client_authorities: str = ""

    async def challenge(self, login: LoginName, connection: ConnectionInfo) -> Challenge | None:
        return self.code


def signing_in(home: House, **connection: object) -> SignIn:
    return SignIn(home.gateway, ConnectionInfo("line", "127.0.0.1:1", "10.0.0.9:5", **connection))  # type: ignore[arg-type]


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Asking:
    source = Asking()
    monkeypatch.setattr("recgate.testing.sharedplugin.AUTHENTICATOR", source)
    return source


async def test_without_a_source_that_asks_there_is_no_challenge(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        assert await signing_in(home).challenge("prod") is None


async def test_a_challenge_that_is_met_logs_in(tmp_path: Path, asking: Asking) -> None:
    asking.code = Code()
    async with house(tmp_path) as home:
        here = signing_in(home)
        challenge = await here.challenge("alice+prod")
        assert challenge is not None
        assert challenge is asking.code
        asking.code.met.set()
        assert (await here.answered("alice+prod", challenge)).principal == ALICE


@pytest.mark.parametrize(("name", "refuses", "tell"), [("bob+prod", False, ""), ("prod", True, "ask again")])
async def test_a_challenge_that_somebody_else_met_or_that_was_refused_does_not(
    tmp_path: Path, asking: Asking, name: str, refuses: bool, tell: str
) -> None:
    asking.code = Code(refuses=refuses)
    asking.code.met.set()
    async with house(tmp_path) as home:
        with pytest.raises(AuthenticationFailed) as refused:
            await signing_in(home).answered(name, asking.code)
        assert refused.value.tell == tell
        await home.event("login.failed")


async def test_threat_7_challenges_are_slowed_like_passwords(tmp_path: Path, asking: Asking) -> None:
    asking.code = Code(refuses=True)
    asking.code.met.set()
    async with house(tmp_path) as home:
        for _ in range(FREE_ATTEMPTS):
            with pytest.raises(AuthenticationFailed):
                await signing_in(home).answered("prod", asking.code)
        with pytest.raises(AuthenticationFailed, match="too many failures"):
            await signing_in(home).challenge("prod")


async def test_client_authorities_are_those_of_every_source(tmp_path: Path, asking: Asking) -> None:
    async with house(tmp_path) as home:
        with pytest.raises(AuthenticationFailed, match="no identity source takes"):
            signing_in(home).client_authorities()
        asking.client_authorities = "PEM\n"
        assert signing_in(home).client_authorities() == "PEM\n"


async def test_threat_7_a_guess_that_is_taken_back_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(*_: object) -> None:
        await trio.sleep_forever()

    async with house(tmp_path) as home:
        monkeypatch.setattr(SharedSecret, "authenticate", hangs)
        for _ in range(FREE_ATTEMPTS):
            with trio.move_on_after(0.01):
                await signing_in(home).login("prod", PasswordEvidence(Secret("a guess")))
        with trio.fail_after(5), pytest.raises(AuthenticationFailed, match="too many failures"):
            await signing_in(home).login("prod", PasswordEvidence(Secret("a guess")))
        assert (await home.event("login.failed"))["reason"] == "the client did not wait for the answer"


class Neighbours(SharedSecret):
    """Another source, which knows its users."""

    fails = False

    async def lookup(self, name: str) -> Principal | None:
        if self.fails:
            raise RecgateError("the book is burnt")
        return Principal(self.name, name, name) if name in self.people else None


async def test_threat_5_nobody_comes_in_under_the_name_of_another_sources_user(tmp_path: Path) -> None:
    alice = PasswordEvidence(Secret("alice:secret"))
    async with house(tmp_path) as home:
        neighbours = Neighbours(people={"alicia": frozenset()}, name="book")
        home.gateway.registry.authenticators.append(neighbours)
        assert (await signing_in(home).login("prod", alice)).principal.name == "alice"

        neighbours.people["alice"] = frozenset()
        with pytest.raises(
            AuthenticationFailed, match=r"book has a user called alice as well.*`prefix:` of shared"
        ):
            await signing_in(home).login("prod", alice)
        with pytest.raises(AuthenticationFailed, match="as well"):
            await signing_in(home, voucher=Voucher(ALICE, "prod")).login("prod", VoucherEvidence())

        neighbours.fails = True
        with pytest.raises(AuthenticationFailed, match="cannot be asked"):
            await signing_in(home).login("prod", alice)


# -- tunnels -------------------------------------------------------------------------------------------------


async def test_a_voucher_is_asked_for_where_there_is_one(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        with pytest.raises(AuthenticationFailed, match="no tunnel vouches"):
            await signing_in(home).login("prod", VoucherEvidence())
        vouched = signing_in(home, voucher=Voucher(ALICE, "prod"))
        assert (await vouched.login("prod", VoucherEvidence())).principal == ALICE
        with pytest.raises(AuthenticationFailed, match="the tunnel leads to prod"):
            await vouched.login("other", VoucherEvidence())
        home.people.revoked.add("alice")
        with pytest.raises(AuthenticationFailed, match="no identity source knows"):
            await vouched.login("prod", VoucherEvidence())


async def carried(home: House, nursery: trio.Nursery, target: str = "prod") -> trio.SocketStream:
    near, far = socket.socketpair()
    far.setblocking(False)
    nursery.start_soon(home.gateway.carry, far, "10.0.0.9:5", Voucher(ALICE, target))
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(near))
    home.streams.append(stream)
    return stream


async def test_a_tunnel_carries_its_targets_protocol_and_asks_no_password(tmp_path: Path) -> None:
    async with house(tmp_path) as home, trio.open_nursery() as nursery:
        stream = await carried(home, nursery)
        await stream.send_all(b"HELLO prod\n")
        assert await until(stream, b"\n") == b"OK\n"
        await stream.send_all(b"ASK on\n")
        assert await until(stream, b"on\n") == b"ANSWER to ASK on\n"
        (session,) = home.gateway.live.values()
        assert (session.principal.name, session.connection.peer) == ("alice", "10.0.0.9:5")
        await stream.aclose()
        await home.row(session.id, status="sealed")


async def test_a_tunnel_leads_to_no_other_target(tmp_path: Path) -> None:
    async with house(tmp_path) as home, trio.open_nursery() as nursery:
        stream = await carried(home, nursery)
        await stream.send_all(b"HELLO other\n")
        assert await rest(stream) == b"BYE authentication: authentication failed\n"
        assert not home.gateway.live


async def test_a_tunnel_to_nowhere_is_refused(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        near, far = socket.socketpair()
        with near, pytest.raises(AccessDenied, match='no target "nowhere"'):
            await home.gateway.carry(far, "10.0.0.9:5", Voucher(ALICE, "nowhere"))
        assert far.fileno() == -1
