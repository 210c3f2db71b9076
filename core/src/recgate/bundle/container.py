"""The one file that a bundle is: a ZIP that any tool opens, and that has exactly one form.

Objects are stored, not compressed, one behind the other from byte 0 on, with one fixed time and without anything
optional. So the same content gives the same file, and a reader does not interpret what it is given: it walks the
objects, writes the directory that such objects have, and compares. Nothing can overlap, hide between, stand twice
or lie about a size.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Final, Protocol

from recgate.errors import RecordingDamaged

__all__ = ["MAX_NAME", "MAX_OBJECTS", "ContainerReader", "ContainerWriter", "Member"]

MAX_OBJECTS: Final = (
    500_000  # a session of three weeks, with a segment every ten seconds and its two ledger files
)
MAX_NAME: Final = 100  # bytes

_LOCAL: Final = struct.Struct("<4sHHHHHLLLHH")
_CENTRAL: Final = struct.Struct("<4sHHHHHHLLLHHHHHLL")
_END: Final = struct.Struct("<4sHHHHLLH")
_END64: Final = struct.Struct("<4sQHHLLQQQQ")
_LOCATOR: Final = struct.Struct("<4sLQL")
_LOCAL_MAGIC: Final = b"PK\x03\x04"
_VERSION: Final = 45  # that of ZIP64, which large ones need
_UNIX: Final = 3 << 8
_UTF8: Final = 0x0800
_DATE: Final = 0x21  # 1980-01-01, the first day that ZIP knows
_MODE: Final = 0o100644 << 16
_MAX16: Final = 0xFFFF
_MAX32: Final = 0xFFFFFFFF


class _Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...


@dataclass(frozen=True, slots=True)
class Member:
    """One object: where its head begins, how long it is, and the CRC-32 of its content."""

    name: str
    offset: int
    size: int
    crc: int

    @property
    def content(self) -> int:
        """Where its content begins."""
        return self.offset + _LOCAL.size + len(self.name.encode())

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.content + self.size

    def head(self) -> bytes:
        """Write what stands before its content."""
        name = self.name.encode()
        sizes = (self.crc, self.size, self.size, len(name), 0)
        return _LOCAL.pack(_LOCAL_MAGIC, _VERSION, _UTF8, 0, 0, _DATE, *sizes) + name

    def entry(self) -> bytes:
        """Write its entry in the directory at the end."""
        name = self.name.encode()
        far = self.offset >= _MAX32
        extra = struct.pack("<HHQ", 1, 8, self.offset) if far else b""
        sizes = (self.crc, self.size, self.size, len(name), len(extra))
        place = (0, 0, 0, _MODE, _MAX32 if far else self.offset)
        versions = (_UNIX | _VERSION, _VERSION, _UTF8, 0, 0, _DATE)
        return _CENTRAL.pack(b"PK\x01\x02", *versions, *sizes, *place) + name + extra


def _ending(count: int, size: int, offset: int) -> bytes:
    """Write what follows the directory, which is `size` bytes at `offset`."""
    ending = b""
    if count >= _MAX16 or offset >= _MAX32 or size >= _MAX32:
        numbers = (_UNIX | _VERSION, _VERSION, 0, 0, count, count, size, offset)
        ending = _END64.pack(b"PK\x06\x06", _END64.size - 12, *numbers)
        ending += _LOCATOR.pack(b"PK\x06\x07", 0, offset + size, 1)
    few = min(count, _MAX16)
    return ending + _END.pack(
        b"PK\x05\x06", 0, 0, few, few, min(size, _MAX32), min(offset, _MAX32), 0
    )  # and no comment


class ContainerWriter:
    """Writes objects in their order to a file that is only ever appended to; `finish` ends it."""

    def __init__(self, out: _Sink) -> None:
        self._out = out
        self._members: list[Member] = []

    def add(self, name: str, content: bytes) -> None:
        """Write one object."""
        offset = self._members[-1].end if self._members else 0
        member = Member(name, offset, len(content), zlib.crc32(content))
        self._members.append(member)
        self._out.write(member.head())
        self._out.write(content)

    def finish(self) -> None:
        """Write the directory."""
        size = 0
        for member in self._members:
            entry = member.entry()
            size += len(entry)
            self._out.write(entry)
        offset = self._members[-1].end if self._members else 0
        self._out.write(_ending(len(self._members), size, offset))


class ContainerReader:
    """Reads a container that anybody may have written. Only heads are read before an object is asked for.

    Raises:
        RecordingDamaged: it is not in the one form that such a file has. Says at which byte.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._length = file.seek(0, io.SEEK_END)
        self.members: dict[str, Member] = {}
        offset = 0
        while (member := self._member(offset)) is not None:
            if member.name in self.members:
                raise RecordingDamaged(
                    f"{member.name!r} stands twice in it, the second time at byte {offset}"
                )
            if len(self.members) == MAX_OBJECTS:
                raise RecordingDamaged(f"it has more than {MAX_OBJECTS} objects")
            self.members[member.name] = member
            offset = member.end
        self._check_directory(offset)

    def get(self, name: str, limit: int) -> bytes:
        """Give the content of an object.

        Raises:
            KeyError: there is none of that name.
            RecordingDamaged: it is longer than `limit`, or its checksum does not fit.
        """
        member = self.members[name]
        if member.size > limit:
            raise RecordingDamaged(f"{name} has {member.size} bytes, and the limit is {limit}")
        self._file.seek(member.content)
        data = self._file.read(member.size)
        if len(data) != member.size or zlib.crc32(data) != member.crc:
            raise RecordingDamaged(f"the checksum of {name} does not fit: it was changed")
        return data

    def _member(self, offset: int) -> Member | None:
        """Read the head at `offset`, or None where the directory begins."""
        self._file.seek(offset)
        head = self._file.read(_LOCAL.size + MAX_NAME)
        if not head.startswith(_LOCAL_MAGIC) or len(head) < _LOCAL.size:
            return None
        *_, crc, size, _, length, _ = _LOCAL.unpack_from(head)
        name = head[_LOCAL.size : _LOCAL.size + length]
        try:
            member = Member(name.decode(), offset, size, crc)
        except UnicodeDecodeError:
            raise RecordingDamaged(f"the name of the object at byte {offset} is not UTF-8") from None
        if length > MAX_NAME or head[: _LOCAL.size + length] != member.head():
            raise RecordingDamaged(f"the head of the object at byte {offset} is not as a bundle has it")
        if member.end > self._length:
            raise RecordingDamaged(f"it ends inside the object at byte {offset}")
        return member

    def _check_directory(self, offset: int) -> None:
        size = 0
        self._file.seek(offset)
        for entry in self._directory(offset):
            at = offset + size
            if self._file.read(len(entry)) != entry:
                raise RecordingDamaged(f"its directory is not that of its objects, at byte {at}")
            size += len(entry)
        if self._length != offset + size:
            raise RecordingDamaged(f"something follows its end, at byte {offset + size}")

    def _directory(self, offset: int) -> Iterable[bytes]:
        size = 0
        for member in self.members.values():
            entry = member.entry()
            size += len(entry)
            yield entry
        yield _ending(len(self.members), size, offset)
