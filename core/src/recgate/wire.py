"""One side's socket: non-blocking reads and writes under trio, with TLS in the same loop when asked for.

The hot path is a plain call: `recv` and `send` are tried at once and trio is asked to wait only when the
kernel would block. TLS runs on memory buffers, so that bytes read before the switch can be fed to it
(direct TLS, MySQL) and no second read path exists.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Final

import trio

__all__ = ["MAX_READ", "Wire", "WireClosed"]

# Bytes of one read, and so of one frame that nothing needs to look inside. A larger one falls out of the cache on
# its way through recv, encryption and write: 256 KiB cost a fifth more for each byte.
MAX_READ: Final = 128 * 1024
TLS_CHUNK: Final = 64 * 1024  # bytes encrypted per step; bounds the ciphertext held for a slow peer
MAX_ANSWERS: Final = 64 * 1024  # bytes that TLS answers by itself and a peer may leave unread
SMALL: Final = 8 * 1024  # bytes of a read while little comes
_DEPARTED: Final = select.POLLRDHUP | select.POLLHUP | select.POLLERR
FAIRNESS: Final = 32  # reads without waiting before other sessions get their turn

# One buffer for all wires of the process: a buffer per connection costs 137 KB a pair. What was read is copied
# out before anything else can run, so no two wires ever see each other's bytes.
_buffer = bytearray(MAX_READ)
_view = memoryview(_buffer)


class WireClosed(Exception):
    """The transport broke (reset, TLS failure). Says what happened; the session boundary decides what it means."""


class Wire:
    """A connected stream socket of one side of a session. Owns the socket and closes it."""

    __slots__ = (
        "_drained",
        "_encrypted",
        "_eof",
        "_incoming",
        "_large",
        "_outgoing",
        "_pending",
        "_reads",
        "_recv",
        "_send_some",
        "_tls",
        "_waiter",
        "more",
        "registered",
        "socket",
    )

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.socket = sock
        self._recv, self._send_some = sock.recv, sock.send
        self._large = False  # the last read filled a small one
        self._pending: deque[memoryview | bytes] = deque()
        self._encrypted: deque[memoryview | bytes] = deque()
        self._tls: ssl.SSLObject | None = None
        self._incoming: ssl.MemoryBIO | None = None
        self._outgoing: ssl.MemoryBIO | None = None
        self.more = False  # whether more was there when the last read ended
        self.registered = False  # with the readiness service
        self._eof = False
        self._reads = 0
        self._waiter: trio.Event | None = None
        self._drained = True

    @property
    def tls(self) -> ssl.SSLObject | None:
        """The TLS state once it is up."""
        return self._tls

    @property
    def departed(self) -> bool:
        """Whether the peer has closed its side, or is gone, as far as the kernel knows. Reads nothing.

        What it said before is there still: whoever waits for something else than bytes learns of its end by this alone.
        """
        poll = select.poll()
        poll.register(self.socket.fileno(), select.POLLRDHUP)
        return any(events & _DEPARTED for _, events in poll.poll(0))

    # -- reading ---------------------------------------------------------------------------------------

    async def receive(self) -> bytes:
        """Read what is there, at most `MAX_READ` bytes; `b""` is EOF.

        A cancelled receive has read nothing. Raises `WireClosed`.
        """
        while True:
            data = self.receive_now()
            if data is not None:
                self._reads += 1
                if self._reads >= FAIRNESS:
                    self._reads = 0
                    await trio.lowlevel.checkpoint()
                return data
            self._reads = 0
            await trio.lowlevel.wait_readable(self.socket)

    def receive_now(self) -> bytes | None:
        """Read without waiting; None when nothing is there."""
        if self._tls is not None:
            return self._receive_tls()
        if self._large:
            return self._receive_plain()
        try:  # what `_receive_plain` does, in line: this is the usual read
            data = self._recv(SMALL)
        except BlockingIOError:
            return None
        except OSError as exc:
            return _ended(exc)
        self.more = self._large = len(data) == SMALL
        return data

    def _receive_plain(self) -> bytes | None:
        try:
            if not self._large:
                # Statements and short answers: their own small object costs less than the way over the buffer.
                data = self._recv(SMALL)
                self.more = self._large = len(data) == SMALL
                return data
            count = self.socket.recv_into(_buffer)
        except BlockingIOError:
            return None
        except OSError as exc:
            return _ended(exc)
        self.more = count == MAX_READ
        self._large = count > SMALL
        return bytes(_view[:count])

    def _receive_tls(self) -> bytes | None:
        tls, incoming = self._tls, self._incoming
        assert tls is not None
        assert incoming is not None
        while True:
            try:
                data = tls.read(MAX_READ)
            except ssl.SSLWantReadError:
                self._answer_tls()
                if self._eof:
                    return b""  # without close_notify: protocols that need one say so themselves
            except ssl.SSLError as exc:
                if isinstance(exc, ssl.SSLZeroReturnError | ssl.SSLEOFError):
                    return b""
                self._answer_tls()  # the alert tells the peer why
                raise WireClosed(f"TLS: {exc.reason or exc}") from exc
            else:
                self._answer_tls()
                self.more = self.more or bool(tls.pending() or incoming.pending)
                return data
            raw = self._receive_plain()
            if raw is None:
                return None
            if raw:
                incoming.write(raw)
            else:
                self._eof = True
                incoming.write_eof()

    def _answer_tls(self) -> None:
        """Send what reading made TLS say by itself (a refused renegotiation): the peer may wait for it.

        Behind bytes that the kernel has not taken it waits for `drain`, as everything does.
        """
        outgoing = self._outgoing
        assert outgoing is not None
        if outgoing.pending:
            if not self._encrypted:
                self._flush_tls()
            elif outgoing.pending > MAX_ANSWERS:
                raise WireClosed("TLS: the peer does not read what TLS answers")

    # -- writing ---------------------------------------------------------------------------------------

    def send_now(self, chunks: Sequence[bytes]) -> bool:
        """Write as much as the kernel takes and keep the rest, in order; True when nothing is left.

        Whoever gets False awaits `drain` before it reads on: that is what bounds the rest. Raises `WireClosed`.
        """
        if self._tls is not None:
            self._pending.extend(chunks)
            return self._pump_tls()
        if self._encrypted:
            self._encrypted.extend(chunks)
            return False
        if len(chunks) == 1:
            chunk = chunks[0]
            try:  # what `_send` does, in line: this is the usual write
                sent = self._send_some(chunk)
            except BlockingIOError:
                sent = 0
            except OSError as exc:
                raise WireClosed(exc.strerror or str(exc)) from exc
            if sent == len(chunk):
                return True
            self._encrypted.append(memoryview(chunk)[sent:] if sent else chunk)
            return False
        for index, chunk in enumerate(chunks):
            sent = self._send(chunk)
            if sent < len(chunk):
                self._encrypted.append(memoryview(chunk)[sent:] if sent else chunk)
                self._encrypted.extend(chunks[index + 1 :])
                return False
        return True

    def _send(self, chunk: bytes | memoryview) -> int:
        try:
            return self._send_some(chunk)
        except BlockingIOError:
            return 0
        except OSError as exc:
            raise WireClosed(exc.strerror or str(exc)) from exc

    def _flush(self) -> bool:
        queue = self._encrypted
        while queue:
            chunk = queue[0]
            sent = self._send(chunk)
            if sent < len(chunk):
                if sent:
                    queue[0] = memoryview(chunk)[sent:]
                return False
            queue.popleft()
        return True

    def _flush_tls(self) -> bool:
        outgoing = self._outgoing
        assert outgoing is not None
        if outgoing.pending:
            self._encrypted.append(outgoing.read())
        return self._flush()

    def _pump_tls(self) -> bool:
        tls = self._tls
        assert tls is not None
        while self._flush_tls():
            if not self._pending:
                return True
            chunk = memoryview(self._pending.popleft())
            if len(chunk) > TLS_CHUNK:
                self._pending.appendleft(chunk[TLS_CHUNK:])
                chunk = chunk[:TLS_CHUNK]
            try:
                tls.write(chunk)
            except ssl.SSLError as exc:
                raise WireClosed(f"TLS: {exc.reason or exc}") from exc
        return False

    async def drain(self) -> None:
        """Wait until everything accepted by `send_now` has been given to the kernel. Raises `WireClosed`.

        Several tasks may wait at once. A cancelled drain leaves the rest queued.
        """
        if self._waiter is not None:
            await self._waiter.wait()
            if not (self._encrypted or self._pending):
                return
        while self._encrypted or self._pending:
            if self._waiter is not None:
                await self._waiter.wait()
                continue
            self._waiter = trio.Event()
            try:
                await trio.lowlevel.wait_writable(self.socket)
                self._pump_tls() if self._tls is not None else self._flush()
            finally:
                waiter, self._waiter = self._waiter, None
                waiter.set()

    @property
    def unsent(self) -> bool:
        """Whether bytes are queued that the kernel has not taken yet."""
        return bool(self._encrypted or self._pending)

    # -- TLS -------------------------------------------------------------------------------------------

    async def start_tls(
        self, context: ssl.SSLContext, *, server_side: bool, server_name: str = "", leftover: bytes = b""
    ) -> None:
        """Do the TLS handshake; `leftover` is its beginning, if that was read already.

        The caller sets the deadline. A cancelled or failed handshake leaves a wire fit only for closing.
        Raises `WireClosed` with OpenSSL's reason, or the certificate error's own message.
        """
        await self.drain()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side, server_name or None)
        if leftover:
            incoming.write(leftover)
        self._incoming, self._outgoing = incoming, outgoing
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._handshake_step(incoming)
            except ssl.SSLCertVerificationError as exc:
                self._flush_tls()  # the alert tells the peer why
                raise WireClosed(f"certificate not accepted: {exc.verify_message}") from exc
            except ssl.SSLError as exc:
                self._flush_tls()
                raise WireClosed(f"TLS handshake failed: {exc.reason or exc}") from exc
            else:
                break
        self._tls = tls
        self._flush_tls()
        await self.drain()

    async def _handshake_step(self, incoming: ssl.MemoryBIO) -> None:
        self._flush_tls()
        await self.drain()
        raw = self._receive_plain()
        while raw is None:
            await trio.lowlevel.wait_readable(self.socket)
            raw = self._receive_plain()
        if not raw:
            raise WireClosed("the peer closed during the TLS handshake")
        incoming.write(raw)

    # -- the end ---------------------------------------------------------------------------------------

    def half_close(self) -> None:
        """Tell the peer that nothing more comes. Call after `drain`."""
        if self._tls is not None:
            # TLS 1.3 has half-close, but peers treat close_notify as the end; the FIN below says the same.
            with contextlib.suppress(ssl.SSLError, ValueError):  # want-read: the peer's own is not awaited
                self._tls.unwrap()
            try:
                self._flush_tls()
            except WireClosed:
                return
        with contextlib.suppress(OSError):  # already gone, which is what was wanted
            self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the socket. Idempotent."""
        if self.socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self.socket)
        self.socket.close()


def _ended(error: OSError) -> bytes:
    """Take a reset for an end: what came before it has been handed out already. Raises `WireClosed` for the rest."""
    if error.errno in (errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT):
        return b""
    raise WireClosed(error.strerror or str(error)) from error
