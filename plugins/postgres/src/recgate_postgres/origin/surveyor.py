"""Read a target's catalog: log in, ask one text of several statements, keep what is answered (55.2.1, 55.2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from recgate.decisions import Decision
from recgate.errors import LocalProtocolError, RemoteProtocolError
from recgate.model import Credential, TargetInfo
from recgate.sansio.asks import NEED_DATA, Ask, Denied, Event, NeedData, Paused, PeerClosed, Reply
from recgate.sansio.frames import UPSTREAM, Frame, Side
from recgate_postgres.encodings import decode
from recgate_postgres.messages import fields_of, message, query
from recgate_postgres.origin.queries import SECTIONS, SURVEY
from recgate_postgres.origin.snapshot import Snapshot
from recgate_postgres.outbox import Outbox
from recgate_postgres.target_login import Account, TargetLogin, cleaned

__all__ = ["CatalogSurveyor", "row_of"]

MAX_MESSAGE: Final = 16 << 20  # bytes of one: a view's definition, a table of 1,600 columns
MAX_ROWS: Final = 1_000_000
APPLICATION: Final = b"recgate catalog"  # what the target's own logs call the connection

_TERMINATE: Final = message(b"X", b"")
_VIOLATION: Final = "08P01"


def row_of(body: bytes) -> bytes | None:
    """Give the one value of a DataRow, or None for NULL and for a row of another shape."""
    if len(body) < 6 or body[:2] != b"\0\1" or int.from_bytes(body[2:6]) != len(body) - 6:
        return None
    return body[6:]


class CatalogSurveyor:
    """`recgate.sansio.surveys.Surveyor` of a database: it gives a `Snapshot`."""

    def __init__(self, target: TargetInfo, credential: Credential, database: str, nonce: bytes) -> None:
        """`nonce` is what a login by SCRAM needs: 18 fresh random bytes."""
        self._outbox = Outbox()
        self._name = target.name
        self._unnamed = not credential.username
        parameters = {
            b"user": credential.username.encode(),
            b"database": database.encode(),
            b"client_encoding": b"UTF8",
            b"application_name": APPLICATION,
        }
        self._login = TargetLogin(target, Account(credential, parameters, nonce), self._outbox)
        self._reader = self._login.reader
        self._asked = self._done = False
        self._section: list[bytes] | None = None
        self._sections: list[list[bytes]] = []
        self._rows = 0

    def finding(self) -> Snapshot:
        """Give the catalog. Raises `UnreadableCatalog`."""
        sections, self._sections = self._sections, []
        return Snapshot.of([[decode(row, "utf-8") for row in rows] for rows in sections])

    def receive_data(self, side: Side, data: bytes) -> None:
        """Buffer a read."""
        if side is UPSTREAM:
            self._reader.feed(data)

    def next_event(self, side: Side) -> Event | NeedData | Paused:
        """Give StartTls, or PeerClosed once everything is read. Raises `RemoteProtocolError`."""
        if side is not UPSTREAM:
            return NEED_DATA
        if self._unnamed:
            raise RemoteProtocolError(f"the credential of {self._name} names no user", hint="58000")
        if not self._login.finished:
            step = self._login.event()
            if step is not None:
                return step
        while not self._done:
            head = self._reader.peek(5)
            if head is None:
                return self._need()
            length = int.from_bytes(head[1:])
            if not 4 <= length <= MAX_MESSAGE:
                raise self._failed("sent a message that is too long, or none of its protocol")
            packet = self._reader.take(1 + length)
            if packet is None:
                return self._need()
            self._message(head[:1], packet[5:])
        return PeerClosed(UPSTREAM)

    def _need(self) -> NeedData:
        if self._reader.eof:
            raise self._failed("closed the connection")
        return NEED_DATA

    def _failed(self, what: str, sqlstate: str = _VIOLATION) -> RemoteProtocolError:
        return RemoteProtocolError(f"target {self._name} {what} while its catalog was read", hint=sqlstate)

    def _message(self, kind: bytes, body: bytes) -> None:
        match kind:
            case b"Z" if not self._asked:
                self._asked = True
                self._outbox.upstream.append(query(SURVEY.encode()))
            case b"Z":
                if len(self._sections) != len(SECTIONS):
                    raise self._failed("did not answer everything")
                self._done = True
                self._outbox.upstream.append(_TERMINATE)
            case b"T" if self._asked:
                self._section = []
                self._sections.append(self._section)
                if len(self._sections) > len(SECTIONS):
                    raise self._failed("answered what was not asked")
            case b"D" if self._section is not None:
                row = row_of(body)
                self._rows += 1
                if row is None or self._rows > MAX_ROWS:
                    raise self._failed("sent other rows, or more, than a catalog has")
                self._section.append(row)
            case b"C" if self._asked:
                self._section = None
            case b"E":
                fields = fields_of(body)
                said = cleaned(decode(fields.get("M", b""), "utf-8"))
                raise self._failed(f"said {decode(fields.get('C', b''), 'ascii')[:5]}: {said}", "58000")
            case b"S" | b"N" | b"K" | b"A":
                pass  # parameters, notices, the cancel key: nothing that a catalog is made of
            case _:
                raise self._failed(f"sent a message of type {kind!r}")

    def answer(self, ask: Ask, reply: Reply) -> None:
        """End the pause that StartTls began."""
        self._login.tls.answer(ask, reply)

    def send(self, frame: Frame) -> None:
        """A survey has no frames."""
        raise LocalProtocolError("a survey has no frames")

    def refuse(self, frame: Frame, decision: Decision) -> Sequence[Frame]:
        """A survey has no frames."""
        raise LocalProtocolError("a survey has no frames")

    def notice(self, text: str) -> Frame | None:
        """Nobody listens."""
        return None

    def farewell(self, denied: Denied) -> Frame | bytes | None:
        """Nobody listens."""
        return None

    def data_to_send(self, side: Side) -> Sequence[bytes]:
        """Take the bytes for the target."""
        if side is not UPSTREAM:
            return ()
        taken, self._outbox.upstream = self._outbox.upstream, []
        return taken
