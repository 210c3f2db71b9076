"""Read a PROXY header (HAProxy's PROXY protocol, versions 1 and 2) from a peer that is trusted to send one.

From anybody else the bytes are the protocol's own and fail there: a peer cannot choose its address (threat 11).
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Final

import trio

from recgate.addresses import plain
from recgate.errors import RemoteProtocolError

__all__ = ["parse_proxy_header", "read_proxy_header"]

V2_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
MAX_V1: Final = 107  # bytes, with CRLF (PROXY protocol 2.1)
MAX_V2: Final = 16 + 4096  # bytes; the specification asks receivers to take at least 216 of address and TLVs


async def read_proxy_header(sock: socket.socket) -> str:
    """Read exactly the header, leaving what follows; gives `host:port`, or "" for a local connection.

    The caller sets the deadline. Raises `RemoteProtocolError`.
    """
    seen = b""
    while True:
        await trio.lowlevel.wait_readable(sock)
        seen = sock.recv(MAX_V2, socket.MSG_PEEK)
        length, peer = parse_proxy_header(seen)
        if length:
            sock.recv(length)
            return peer
        before = len(seen)
        # Peeking does not consume, so the socket stays readable: wait for more by asking for it explicitly.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, before + 1)
        try:
            await trio.lowlevel.wait_readable(sock)
        finally:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        if len(sock.recv(MAX_V2, socket.MSG_PEEK)) == before:
            raise RemoteProtocolError("the peer closed within its PROXY header")


def parse_proxy_header(data: bytes) -> tuple[int, str]:
    """Give (length, peer) of a complete header at the start of `data`, or (0, "") while more is needed.

    Raises `RemoteProtocolError`.
    """
    if data[: len(V2_SIGNATURE)] == V2_SIGNATURE[: len(data)]:
        return _parse_v2(data)
    if data[:6] == b"PROXY "[: len(data)]:
        return _parse_v1(data)
    raise RemoteProtocolError("expected a PROXY header from this address")


def _parse_v1(data: bytes) -> tuple[int, str]:
    end = data.find(b"\r\n", 0, MAX_V1)
    if end < 0:
        if len(data) >= MAX_V1:
            raise RemoteProtocolError("PROXY header longer than 107 bytes")
        return 0, ""
    words = data[:end].decode("ascii", "replace").split(" ")
    if len(words) >= 2 and words[1] == "UNKNOWN":
        return end + 2, ""
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise RemoteProtocolError("malformed PROXY header")
    return end + 2, _address(words[2], words[4])


def _address(host: str, port: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise RemoteProtocolError("no address in the PROXY header") from None
    if not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise RemoteProtocolError("no port in the PROXY header")
    return f"{plain(str(address))}:{int(port)}"


def _parse_v2(data: bytes) -> tuple[int, str]:
    if len(data) < 16:
        return 0, ""
    version, family, length = data[12], data[13], int.from_bytes(data[14:16], "big")
    if version >> 4 != 2 or version & 15 > 1:
        raise RemoteProtocolError("unknown version or command in the PROXY header")
    if 16 + length > MAX_V2:
        raise RemoteProtocolError("PROXY header too long")
    if len(data) < 16 + length:
        return 0, ""
    if version & 15 == 0:
        return 16 + length, ""  # LOCAL: the proxy's own health check
    sizes = {0x11: 4, 0x21: 16}
    size = sizes.get(family)
    if size is None or length < 2 * size + 4:
        raise RemoteProtocolError("unsupported address family in the PROXY header")
    host = ipaddress.ip_address(data[16 : 16 + size])
    port = int.from_bytes(data[16 + 2 * size : 18 + 2 * size], "big")
    return 16 + length, f"{plain(str(host))}:{port}"
