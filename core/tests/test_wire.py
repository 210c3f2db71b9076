"""One side's socket: order, back-pressure, TLS on the same path, and how it ends."""

from __future__ import annotations

import socket
import ssl
import subprocess
from functools import partial

import pytest
import trio
import trio.testing

from recgate.keys import GatewayKeys
from recgate.tls import server_context
from recgate.wire import MAX_ANSWERS, MAX_READ, Wire, WireClosed

BIG = bytes(range(256)) * 40_000  # 10 MB: more than any socket buffer takes


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    wire = Wire(ours)
    yield wire, theirs
    ours.close()
    theirs.close()


@pytest.fixture
def contexts(tmp_path):
    keys = GatewayKeys(tmp_path, "gate")
    keys.prepare()
    client = ssl.create_default_context(cafile=keys.ca_file)
    return server_context(keys.certificate_file, keys.certificate_key_file, alpn=("postgresql",)), client


async def test_reading_gives_what_is_there_and_then_eof(pair) -> None:
    wire, theirs = pair
    theirs.send(b"hello")
    assert await wire.receive() == b"hello"
    theirs.shutdown(socket.SHUT_WR)
    assert await wire.receive() == b""


async def test_a_peer_that_has_left_is_seen_although_nothing_is_read(pair) -> None:
    wire, theirs = pair
    theirs.send(b"said before")
    assert not wire.departed
    theirs.shutdown(socket.SHUT_WR)
    assert wire.departed
    assert await wire.receive() == b"said before"


async def test_a_read_never_exceeds_its_limit(pair) -> None:
    wire, theirs = pair
    ours = wire.socket
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * MAX_READ)
    sent = theirs.send(BIG)
    got = 0
    while got < sent:
        data = await wire.receive()
        assert len(data) <= MAX_READ
        got += len(data)


async def test_what_the_kernel_does_not_take_is_kept_in_order(pair) -> None:
    wire, theirs = pair
    assert not wire.send_now([b"first ", BIG, b" last"])
    assert not wire.send_now([b"!"]), "behind a full queue nothing overtakes"
    got = bytearray()

    async def read() -> None:
        while len(got) < len(BIG) + 12:
            await trio.lowlevel.wait_readable(theirs)
            got.extend(theirs.recv(1 << 20))

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            nursery.start_soon(wire.drain)
            nursery.start_soon(wire.drain)  # two tasks may wait for one wire
    assert bytes(got) == b"first " + BIG + b" last!"
    assert not wire.unsent


async def test_a_reset_is_an_end_and_a_broken_pipe_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    wire = Wire(ours)
    theirs.close()
    with trio.fail_after(5):
        assert await wire.receive() == b""
    with pytest.raises(WireClosed, match=r"pipe|reset"):
        wire.send_now([b"x"] * 2)
    wire.close()
    wire.close()


async def _client(
    sock: socket.socket, context: ssl.SSLContext, alpn: str = ""
) -> trio.SSLStream[trio.SocketStream]:
    if alpn:
        context.set_alpn_protocols([alpn])
    stream = trio.SSLStream(
        trio.SocketStream(trio.socket.from_stdlib_socket(sock)), context, server_hostname="localhost"
    )
    await stream.do_handshake()
    return stream


async def test_tls_carries_both_ways_and_half_closes(contexts) -> None:
    server, client = contexts
    ours, theirs = socket.socketpair()
    wire = Wire(ours)
    streams = []
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:

            async def connect() -> None:
                streams.append(await _client(theirs, client, "postgresql"))

            nursery.start_soon(connect)
            await wire.start_tls(server, server_side=True)
        stream = streams[0]
        assert wire.tls is not None
        assert wire.tls.selected_alpn_protocol() == "postgresql"
        await stream.send_all(b"question")
        assert await wire.receive() == b"question"
        got = bytearray()
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                while len(got) < len(BIG):
                    got.extend(await stream.receive_some(1 << 20))

            nursery.start_soon(read)
            if not wire.send_now([BIG]):
                await wire.drain()
        assert bytes(got) == BIG
        wire.half_close()
        assert await stream.receive_some(10) == b""
    wire.close()
    theirs.close()
    stream.transport_stream.socket.close()


async def test_bytes_read_before_tls_are_fed_to_it(contexts) -> None:
    server, client = contexts
    ours, theirs = socket.socketpair()
    wire = Wire(ours)
    streams = []
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:

            async def connect() -> None:
                streams.append(await _client(theirs, client))

            nursery.start_soon(connect)
            hello = await wire.receive()
            assert hello[0] == 0x16
            await wire.start_tls(server, server_side=True, leftover=hello)
        await streams[0].send_all(b"in")
        assert await wire.receive() == b"in"
    wire.close()
    streams[0].transport_stream.socket.close()


async def test_a_certificate_that_does_not_fit_is_named(contexts) -> None:
    server, _ = contexts
    ours, theirs = socket.socketpair()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:

            async def serve() -> None:
                wire = Wire(theirs)
                with pytest.raises(WireClosed):
                    await wire.start_tls(server, server_side=True)
                wire.close()

            nursery.start_soon(serve)
            wire = Wire(ours)
            with pytest.raises(WireClosed, match="certificate not accepted"):
                await wire.start_tls(ssl.create_default_context(), server_side=False, server_name="localhost")
            wire.close()


async def test_plain_bytes_instead_of_tls_fail_the_handshake(contexts) -> None:
    server, _ = contexts
    ours, theirs = socket.socketpair()
    wire = Wire(ours)
    theirs.send(b"GET / HTTP/1.1\r\n\r\n")
    with trio.fail_after(5), pytest.raises(WireClosed, match="TLS"):
        await wire.start_tls(server, server_side=True)
    wire.close()
    theirs.close()


async def test_what_tls_answers_by_itself_does_not_wait_for_data(contexts) -> None:
    """A client that asks for a renegotiation waits for the no. (A key update's answer may wait: RFC 8446 §4.6.3.)"""
    server, _ = contexts
    with socket.create_server(("127.0.0.1", 0)) as listener, trio.fail_after(20):
        port = listener.getsockname()[1]
        words = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-msg", "-tls1_2"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        async with trio.open_nursery() as nursery:
            process = await nursery.start(partial(trio.run_process, words, check=False, **pipes))
            assert process.stdin is not None
            assert process.stdout is not None
            accepted, _ = await trio.to_thread.run_sync(listener.accept)
            wire = Wire(accepted)
            await wire.start_tls(server, server_side=True)

            async def read() -> None:
                with pytest.raises(WireClosed, match="HANDSHAKE_FAILURE"):  # what this client makes of the no
                    await wire.receive()

            nursery.start_soon(read)
            await process.stdin.send_all(b"R\n")
            shown = b""
            while b"warning no_renegotiation" not in shown:
                more = await process.stdout.receive_some()
                assert more
                shown += more
        wire.close()


async def test_threat_12_answers_that_nobody_reads_are_bounded(contexts) -> None:
    server, client = contexts
    ours, theirs = socket.socketpair()
    wire = Wire(ours)
    streams = []
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:

            async def connect() -> None:
                streams.append(await _client(theirs, client))

            nursery.start_soon(connect)
            await wire.start_tls(server, server_side=True)
        assert not wire.send_now([BIG]), "the client reads nothing"
        outgoing = wire._outgoing
        assert outgoing is not None
        outgoing.write(b"\0" * MAX_ANSWERS)  # as OpenSSL does for each renegotiation that it refuses
        assert wire.receive_now() is None
        outgoing.write(b"\0" * 22)
        with pytest.raises(WireClosed, match="does not read what TLS answers"):
            wire.receive_now()
    wire.close()
    theirs.close()
    streams[0].transport_stream.socket.close()
