"""asyncssh's packet layer where it costs most: channel data under AES-GCM, a read at a time.

What asyncssh does per packet and this does not: an SSH_MSG_IGNORE before it (a guard for CBC modes, which are
never agreed on here), a key schedule, `os.urandom` for padding, formatting of a log line, and two copies of
everything that was read behind it. Anything that is not channel data of an established connection takes
asyncssh's own path, and so does everything under another cipher or an asyncssh that this was not tried with.
"""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false, reportPrivateImportUsage=false
# ruff: noqa: ANN401 - asyncssh's private parts, half typed, are this package's business (see its docstring)

from __future__ import annotations

import os
import struct
import time
from typing import Any, Final, cast

import asyncssh
from asyncssh.connection import SSHConnection
from asyncssh.constants import MSG_CHANNEL_DATA, MSG_CHANNEL_EXTENDED_DATA, MSG_IGNORE, MSG_KEX_LAST
from asyncssh.encryption import GCMEncryption
from asyncssh.misc import DisconnectError, MACError, ProtocolError

from recgate_ssh.wire.gcm import TAG, CachedGcm
from recgate_ssh.wire.loop import Loop
from recgate_ssh.wire.transport import Pause

__all__ = ["FAST", "MAX_HELD", "WHOLE", "PacketLayer"]

# The minor version whose internals this was written against and is tested with.
FAST: Final = asyncssh.__version__.split(".")[:2] == ["2", "24"]

BLOCK: Final = 16  # bytes; AES-GCM's block, to which a packet is padded (RFC 5647 §7.2)
MAX_PACKET: Final = 64 * 1024  # bytes of one packet sent here; peers must take 35,000 (RFC 4253 §6.1)
MAX_HELD: Final = 4 * 1024 * 1024  # bytes held unparsed while a key exchange or login is worked on
MAX_RECEIVED: Final = (
    256 * 1024
)  # bytes of one packet that asyncssh takes, and of data gathered before it goes on
LEAD: Final = 10  # bytes before a data packet's data: padding length, type, channel, data length
WHOLE: Final = 1024  # bytes of a packet that is handled by itself, as keystrokes and their echoes are
SEALED: Final = 160 * 1024  # bytes of packets sealed before they are written, about one read's worth

# One scratch for the process each way: a packet is sealed and written, or opened and copied out, without a
# task switch in between.
_plain = bytearray(MAX_PACKET + 64)
_sealed = bytearray(SEALED)
_opened = bytearray(2 * MAX_RECEIVED + 64)
_plain_view, _sealed_view, _opened_view = memoryview(_plain), memoryview(_sealed), memoryview(_opened)

_data_head: Final = struct.Struct(">BBII")  # the `LEAD` bytes

# RFC 4253 §6 wants arbitrary, preferably random padding. Under AES-GCM it hides nothing; random once is enough.
_padding = os.urandom(32)


def _cached(encryption: object) -> CachedGcm | None:
    """Give the cipher of an AES-GCM direction, replacing asyncssh's by the cached one at first sight."""
    if not FAST or type(encryption) is not GCMEncryption:
        return None
    cipher: Any = encryption._cipher
    if type(cipher) is not CachedGcm:
        cipher = CachedGcm(cipher._key, cipher._iv)
        cast(Any, encryption)._cipher = cipher
    return cipher


class PacketLayer(SSHConnection):
    """Both legs' packet layer."""

    _send_gcm: tuple[object, CachedGcm | None] = (None, None)
    _recv_gcm: tuple[object, CachedGcm | None] = (None, None)
    _gatherer: Any = None  # the channel whose data stands in the scratch, from LEAD on
    _gatherer_number = 0
    _gathered = 0  # bytes of it

    def _log_packet(self, msg: str, pkttype: int, pktid: int | None, packet: Any, note: str) -> None:
        """Nothing: the line would be thrown away."""

    # -- sending ---------------------------------------------------------------------------------------

    def send_packet(self, pkttype: int, *args: bytes, handler: Any = None) -> None:
        """Send one packet."""
        if pkttype == MSG_IGNORE:
            return
        cipher = self._sender() if pkttype > MSG_KEX_LAST else None
        if cipher is None:
            super().send_packet(pkttype, *args, handler=handler)
            return
        payload = b"".join(args)
        if len(payload) > MAX_PACKET:
            super().send_packet(pkttype, *args, handler=handler)
            return
        _plain[1] = pkttype
        _plain[2 : 2 + len(payload)] = payload
        self._send(_sealed_view[: self._seal(cipher, 1 + len(payload), 0)])  # type: ignore[arg-type]

    def send_channel_data(self, number: int, data: memoryview, limit: int, datatype: int | None) -> None:
        """Send all of `data` on the peer's channel `number`, in packets of at most `limit` bytes."""
        pkttype = MSG_CHANNEL_DATA if datatype is None else MSG_CHANNEL_EXTENDED_DATA
        head = number.to_bytes(4, "big") + (b"" if datatype is None else datatype.to_bytes(4, "big"))
        limit = min(limit, MAX_PACKET - 64)
        while data:
            cipher = self._sender()
            if cipher is not None:
                data = data[self._send_sealed(cipher, bytes((0, pkttype)) + head, data, limit) :]
                continue
            part, data = bytes(data[:limit]), data[limit:]
            super().send_packet(pkttype, head + len(part).to_bytes(4, "big") + part)

    def send_whole(self, number: int, data: bytes) -> bool:
        """Send a little data on the peer's channel `number` as one packet; False if it cannot be done now."""
        cipher = self._sender()
        if cipher is None:
            return False
        count = len(data)
        pad = -(LEAD + count) % BLOCK
        if pad < 4:
            pad += BLOCK
        packet = _data_head.pack(pad, MSG_CHANNEL_DATA, number, count) + data + _padding[:pad]
        size = LEAD + count + pad
        header = size.to_bytes(4, "big")
        self._send_seq = self._send_seq + 1 & 0xFFFFFFFF
        self._rekey_bytes_sent += size
        self._send(header + cipher.seal(packet, header))
        return True

    def _send_sealed(self, cipher: CachedGcm, head: bytes, data: memoryview, limit: int) -> int:
        """Seal packets of `data` and write them together; gives how much that was.

        One call for many packets, and nothing looked up twice: this is where a transfer spends its time. Stops when
        the scratch is full or keys are due to be exchanged.
        """
        seal, position, filled, packets = cipher.seal_into, 0, 0, 0
        budget = self._rekey_bytes - self._rekey_bytes_sent
        start, total, sealed = len(head) + 4, len(data), 0
        _plain[: len(head)] = head
        while position < total and filled + limit + 128 <= SEALED and sealed < budget:
            count = min(limit, total - position)
            end = start + count
            pad = -end % BLOCK
            if pad < 4:
                pad += BLOCK
            size = end + pad
            _plain[0] = pad
            _plain[start - 4 : start] = count.to_bytes(4, "big")
            _plain_view[start:end] = data[position : position + count]
            _plain[end:size] = _padding[:pad]
            header = size.to_bytes(4, "big")
            _sealed[filled : filled + 4] = header
            after = filled + 4 + size + TAG
            seal(_plain_view[:size], header, _sealed_view[filled + 4 : after])
            filled, position, packets, sealed = after, position + count, packets + 1, sealed + size
        self._send_seq = self._send_seq + packets & 0xFFFFFFFF
        self._rekey_bytes_sent += sealed
        self._send(_sealed_view[:filled])  # type: ignore[arg-type]
        return position

    def _sender(self) -> CachedGcm | None:
        """Give the cipher if a packet may be sealed here and now; not while keys are (due to be) exchanged."""
        encryption = self._send_encryption
        seen, cipher = self._send_gcm
        if seen is not encryption:
            cipher = _cached(encryption)
            self._send_gcm = (encryption, cipher)
        if (
            cipher is None
            or not self._auth_complete
            or not self._kex_complete
            or self._compressor is not None
            or self._rekey_bytes_sent >= self._rekey_bytes
            or (self._rekey_seconds and time.monotonic() >= self._rekey_time)
        ):
            return None
        return cipher

    def _seal(self, cipher: CachedGcm, length: int, offset: int) -> int:
        """Pad and seal the `length` bytes of payload that stand in the scratch; gives the packet's length."""
        pad = -(1 + length) % BLOCK
        if pad < 4:
            pad += BLOCK
        size = 1 + length + pad
        _plain[0] = pad
        _plain[1 + length : size] = _padding[:pad]
        header = size.to_bytes(4, "big")
        _sealed[offset : offset + 4] = header
        end = offset + 4 + size + TAG
        cipher.seal_into(_plain_view[:size], header, _sealed_view[offset + 4 : end])
        self._send_seq = self._send_seq + 1 & 0xFFFFFFFF
        self._rekey_bytes_sent += size
        return 4 + size + TAG

    # -- receiving -------------------------------------------------------------------------------------

    def data_received(self, data: Any, datatype: Any = None) -> None:
        """Take what was read. Nothing of `data` is kept after this returns."""
        held: Any = self._inpbuf
        if not held and (cipher := self._receiver()) is not None and self._take_whole(cipher, data):
            return
        if held:
            # Complete the packet that was begun, then go on in the read itself: joining both would copy it all.
            need = self._missing(held) if self._receiver() is not None else len(data)
            self._inpbuf = held + data[:need]
            self._recv_data()
            data = data[need:]
            held = self._inpbuf
            if held and len(data):
                self._inpbuf = held + data
                self._recv_data()
                data = b""
        if len(data):
            self._inpbuf = data if self._receiver() is not None else bytes(data)
            self._recv_data()
        if type(self._inpbuf) is memoryview:
            self._inpbuf = bytes(self._inpbuf)
        self.deliver_gathered()
        if len(self._inpbuf) > MAX_HELD and self._transport is not None:
            cast(Any, self._transport).pause_reading(Pause.UNPARSED)
        cast(Loop, self._loop).run_ready()  # what the read has caused, now and not a round of trio later

    def _take_whole(self, cipher: CachedGcm, data: memoryview) -> bool:
        """Take a read that is one small packet of channel data and nothing else; False leaves it to the general way."""
        size = len(data) - 4 - TAG
        if not BLOCK <= size <= WHOLE or int.from_bytes(data[:4], "big") != size or size % BLOCK:
            return False
        plain = cipher.open(data[4:], data[:4])
        if plain is None:
            return False
        pad, kind, number, count = _data_head.unpack_from(plain)
        channel: Any = self._channels.get(number) if kind == MSG_CHANNEL_DATA else None
        if (
            channel is None
            or not self._auth_complete
            or LEAD + count + pad != size
            or not channel.may_take(count)
        ):
            cipher.opened = plain
            return False
        self._auth_final = True
        self._recv_seq = self._recv_seq + 1 & 0xFFFFFFFF
        channel.count_taken(count)
        channel.take(plain[LEAD : LEAD + count])
        return True

    @staticmethod
    def _missing(held: bytes) -> int:
        if len(held) < 4:
            return 4 - len(held)
        return max(0, 4 + int.from_bytes(held[:4], "big") + TAG - len(held))

    def _receiver(self) -> CachedGcm | None:
        encryption = self._recv_encryption
        seen, cipher = self._recv_gcm
        if seen is not encryption:
            cipher = _cached(encryption)
            self._recv_gcm = (encryption, cipher)
        if cipher is None or self._decompressor is not None or self._recv_handler != self._recv_pkthdr:
            return None
        return cipher

    def _recv_data(self) -> None:
        try:
            while self._inpbuf:
                cipher = self._receiver()
                if cipher is None and type(self._inpbuf) is memoryview:
                    self._inpbuf = bytes(self._inpbuf)
                if not (self._recv_handler() if cipher is None else self._recv_sealed(cipher)):
                    break
        except DisconnectError as exc:
            self.deliver_gathered()
            self._send_disconnect(exc.code, exc.reason, exc.lang)
            self._force_close(exc)
        except Exception:  # noqa: BLE001 - as in asyncssh: a fault here ends this connection, and is kept as its reason
            self.internal_error()

    def _recv_sealed(self, cipher: CachedGcm) -> bool:
        """Open packets from the buffer; False when more must be read (or a packet is being worked on)."""
        data = self._inpbuf
        if cipher.opened is not None:  # by `_take_whole`, and not channel data
            packet, self._inpbuf = cipher.opened, b""
            return self._recv_other(cipher, packet)
        view = memoryview(data)
        position, end = 0, len(view)
        try:
            while end - position >= 4:
                header = view[position : position + 4]
                size = int.from_bytes(header, "big")
                if not BLOCK <= size <= MAX_RECEIVED or size % BLOCK:
                    raise ProtocolError("Invalid packet length")
                after = position + 4 + size + TAG
                if after > end:
                    return False
                # Opened so that its data lies right behind what was gathered: what precedes the data overwrites the
                # last bytes of that, which are put back.
                at = self._gathered
                kept = bytes(_opened_view[at : at + LEAD])
                if not cipher.open_into(view[position + 4 : after], header, _opened_view[at : at + size]):
                    # What was not authentic stands there in the clear all the same: it must not end what was.
                    _opened_view[at : at + LEAD] = kept
                    raise MACError("MAC verification failed")
                position = after
                if _opened[at + 1] == MSG_CHANNEL_DATA and self._take_data(at, size, kept):
                    continue
                packet = bytes(_opened_view[at : at + size])
                _opened_view[at : at + LEAD] = kept
                self._inpbuf = view[position:]
                return self._recv_other(cipher, packet)
            return False
        finally:
            if self._inpbuf is data:
                self._inpbuf = view[position:] if position else data

    def _take_data(self, at: int, size: int, kept: bytes) -> bool:
        """Gather channel data, if all is as it should be; else asyncssh says what is wrong."""
        number = int.from_bytes(_opened_view[at + 2 : at + 6], "big")
        count = int.from_bytes(_opened_view[at + 6 : at + LEAD], "big")
        channel: Any = self._gatherer
        if channel is None or number != self._gatherer_number:
            channel = self._channels.get(number)
        if (
            channel is None
            or not self._auth_complete
            or LEAD + count + _opened[at] != size
            or not channel.may_take(count)
        ):
            return False
        self._auth_final = True
        self._recv_seq = self._recv_seq + 1 & 0xFFFFFFFF
        channel.count_taken(count)
        if channel is self._gatherer:
            _opened_view[at : at + LEAD] = kept
            self._gathered = at + count
        else:
            # Another channel's: what was gathered goes first, and this moves to the front.
            piece = bytes(_opened_view[at + LEAD : at + LEAD + count])
            _opened_view[at : at + LEAD] = kept
            self.deliver_gathered()
            _opened_view[LEAD : LEAD + count] = piece
            self._gatherer, self._gatherer_number, self._gathered = channel, number, count
        if self._gathered >= MAX_RECEIVED:
            self.deliver_gathered()
        return True

    def _recv_other(self, cipher: CachedGcm, packet: bytes) -> bool:
        """Let asyncssh route a packet that is already open. What follows it stays in the buffer."""
        self.deliver_gathered()
        rest, self._inpbuf = self._inpbuf, bytes(len(packet) + 4 + TAG - BLOCK)
        self._packet, self._pktlen = bytes(BLOCK), len(packet)
        cipher.opened = packet
        try:
            return self._recv_packet()
        finally:
            self._inpbuf = rest

    def _finish_recv_packet(self, pkttype: int, seq: int, _task: Any = None, is_async: bool = False) -> None:
        super()._finish_recv_packet(pkttype, seq, _task, is_async)
        if is_async:
            self.deliver_gathered()
            if self._transport is not None and len(self._inpbuf) <= MAX_HELD:
                cast(Any, self._transport).resume_reading(Pause.UNPARSED)

    def deliver_gathered(self) -> None:
        """Hand over what was gathered of a channel, as one piece."""
        channel, count = self._gatherer, self._gathered
        if channel is not None:
            self._gatherer, self._gathered = None, 0
            channel.take(bytes(_opened_view[LEAD : LEAD + count]))
