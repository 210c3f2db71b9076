"""The address that a browser comes back to: one answer, with this sign-in's state, under the address's own name."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import trio

from recgate.cli import loopback
from recgate.cli.loopback import Loopback, listening

STATE = "s" * 43


def port_of(here: Loopback) -> int:
    return int(here.redirect_uri.removeprefix("http://127.0.0.1:").removesuffix("/callback"))


async def asked(here: Loopback, target: str, *, method: str = "GET", host: str = "") -> str:
    """Send a request as a browser does, and give the answer."""
    port = port_of(here)
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        head = f"{method} {target} HTTP/1.1\r\nHost: {host or f'127.0.0.1:{port}'}\r\n\r\n"
        await stream.send_all(head.encode("latin-1"))
        return b"".join([part async for part in stream]).decode()


async def test_the_answer_with_the_state_is_given_and_a_page_says_where_to_look() -> None:
    async with listening(STATE) as here:
        page = await asked(here, f"/callback?code=c%2B1&state={STATE}&iss=https%3A%2F%2Fidp.example")
        given: Mapping[str, str] = await here.answer()

    assert given == {"code": "c+1", "state": STATE, "iss": "https://idp.example"}
    assert page.startswith("HTTP/1.1 200 ")
    assert "Back to the terminal" in page
    for header in ("referrer-policy: no-referrer", "cache-control: no-store", "default-src 'none'"):
        assert header in page.lower()
    assert "c+1" not in page


@pytest.mark.parametrize(
    "target",
    [
        "/callback?code=c&state=another",
        "/callback?code=c",
        f"/callback?code=c&state={STATE}&state=x",
        f"/callback?code=c&code=d&state={STATE}",
        f"/?code=c&state={STATE}",
        f"/callback/more?code=c&state={STATE}",
        f"/callback?state={STATE}&" + "&".join(f"f{n}=1" for n in range(40)),
        f"/callback?code=%ff&state={STATE}",
        "/callback?state=%C3%A4",
        "/favicon.ico",
    ],
)
async def test_what_is_not_this_sign_ins_answer_changes_nothing(target: str) -> None:
    async with listening(STATE) as here:
        page = await asked(here, target)
        assert page.startswith("HTTP/1.1 400 ")
        assert "This is not for you" in page
        assert (await asked(here, f"/callback?code=good&state={STATE}")).startswith("HTTP/1.1 200 ")
        assert (await here.answer())["code"] == "good"


async def test_another_name_for_this_address_is_turned_away() -> None:
    async with listening(STATE) as here:
        target = f"/callback?code=c&state={STATE}"
        for host in ("evil.example", f"localhost:{port_of(here)}", "127.0.0.1"):
            assert (await asked(here, target, host=host)).startswith("HTTP/1.1 400 ")
        for method in ("POST", "HEAD", "DELETE"):
            assert (await asked(here, target, method=method)).startswith("HTTP/1.1 400 ")


async def test_one_answer_is_taken() -> None:
    async with listening(STATE) as here:
        await asked(here, f"/callback?code=first&state={STATE}")
        assert (await asked(here, f"/callback?code=second&state={STATE}")).startswith("HTTP/1.1 400 ")
        assert (await here.answer())["code"] == "first"
        port = port_of(here)
    with pytest.raises(OSError, match=r"refused|failed"):
        await trio.open_tcp_stream("127.0.0.1", port)


async def test_nonsense_ends_its_own_connection_alone() -> None:
    async with listening(STATE) as here:
        for sent in (b"\x16\x03\x01\x00", b"GET /\r\n\r\n", b"GET / HTTP/1.1\r\nx: " + b"y" * 100_000):
            async with await trio.open_tcp_stream("127.0.0.1", port_of(here)) as stream:
                try:
                    await stream.send_all(sent)
                    await stream.send_eof()
                    assert not (await stream.receive_some()).startswith(b"HTTP/1.1 200")
                except trio.BrokenResourceError:
                    pass  # it was closed while we wrote
        await asked(here, f"/callback?code=good&state={STATE}")
        assert (await here.answer())["code"] == "good"


async def test_byte_by_byte_is_the_same() -> None:
    async with listening(STATE) as here:
        port = port_of(here)
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            for byte in f"GET /callback?code=c&state={STATE} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n":
                await stream.send_all(byte.encode())
            assert (await here.answer())["code"] == "c"


async def test_silent_connections_keep_nobody_out_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback, "PATIENCE", 0.05)
    async with listening(STATE) as here:
        silent = [
            await trio.open_tcp_stream("127.0.0.1", port_of(here))
            for _ in range(loopback.MAX_CONNECTIONS + 4)
        ]
        await asked(here, f"/callback?code=good&state={STATE}")
        assert (await here.answer())["code"] == "good"
        for each in silent:
            await trio.aclose_forcefully(each)
