"""CBOR as this format uses it: one encoding per value, and every field asked for by type and size.

What a store gives back may have been written by anybody. So a value is decoded, encoded again and compared,
and nobody indexes into it: fields are taken by methods that refuse what the format does not allow.
"""

from __future__ import annotations

from typing import Final, cast

import cbor2

from recgate.errors import RecordingDamaged
from recgate.recording.limits import MAX_ITEM

__all__ = ["Fields", "as_list", "decode_strict", "encode", "loads"]

MAX_DEPTH: Final = 12
MAX_UINT: Final = 1 << 63


def encode(value: object) -> bytes:
    """Encode deterministically (RFC 8949 §4.2.1). Keys of one map are all text or all integers here."""
    return cbor2.dumps(value, canonical=True)


def loads(data: bytes, what: str, *, limit: int = MAX_ITEM) -> object:
    """Decode one item. Raises `RecordingDamaged` for whatever is no CBOR, nests too deep or is too long."""
    if len(data) > limit:
        raise RecordingDamaged(f"{what} is longer than {limit} bytes")
    try:
        return cast(
            "object",
            cbor2.loads(data, max_depth=MAX_DEPTH, allow_indefinite=False, allow_duplicate_keys=False),
        )
    except (cbor2.CBORError, RecursionError, TypeError, ValueError, OverflowError) as error:
        raise RecordingDamaged(f"{what} cannot be decoded: {error}"[:200]) from None


def decode_strict(data: bytes, what: str) -> object:
    """Decode one deterministically encoded item that fills `data`; anything else is damage.

    Raises:
        RecordingDamaged: too long, not CBOR, bytes left over, or another encoding of the same value.
    """
    value = loads(data, what)
    try:
        again = encode(value)
    except (cbor2.CBORError, RecursionError, TypeError, ValueError, OverflowError) as error:
        raise RecordingDamaged(f"{what} cannot be decoded: {error}"[:200]) from None
    if again != data:
        raise RecordingDamaged(f"{what} is not in its deterministic form")
    return value


def as_list(value: object, what: str, length: int | None = None) -> list[object]:
    """Take an array, of `length` elements if given."""
    if type(value) is not list:
        raise RecordingDamaged(f"{what} is not an array")
    array = cast("list[object]", value)
    if length is not None and len(array) != length:
        raise RecordingDamaged(f"{what} has {len(array)} elements instead of {length}")
    return array


class Fields:
    """A map whose fields are taken one by one, each with the type that the format gives it."""

    __slots__ = ("_values", "_what")

    def __init__(self, value: object, what: str) -> None:
        if type(value) is not dict:
            raise RecordingDamaged(f"{what} is not a map")
        self._values = dict(cast("dict[object, object]", value))
        self._what = what

    def take(self, name: object) -> object:
        """Remove and give a field. Raises `RecordingDamaged` when it is missing."""
        try:
            return self._values.pop(name)
        except KeyError:
            raise RecordingDamaged(f"{self._what} has no {name!r}") from None

    def has(self, name: object) -> bool:
        """Tell whether an optional field is there."""
        return name in self._values

    def uint(self, name: object) -> int:
        """Take an unsigned integer below 2⁶³."""
        value = self.take(name)
        if type(value) is not int or not 0 <= value < MAX_UINT:
            raise self._wrong(name, "an unsigned integer")
        return value

    def bytes(self, name: object, size: int | None = None) -> bytes:
        """Take a byte string, of `size` bytes if given."""
        value = self.take(name)
        if type(value) is not bytes or (size is not None and len(value) != size):
            raise self._wrong(name, f"a byte string of {size} bytes" if size else "a byte string")
        return value

    def text(self, name: object) -> str:
        """Take a text."""
        value = self.take(name)
        if type(value) is not str:
            raise self._wrong(name, "a text")
        return value

    def array(self, name: object, length: int | None = None) -> list[object]:
        """Take an array, of `length` elements if given."""
        return as_list(self.take(name), f"{name!r} of {self._what}", length)

    def map(self, name: object) -> dict[str, object]:
        """Take a map with text keys."""
        value = self.take(name)
        if type(value) is not dict or not all(
            type(key) is str for key in cast("dict[object, object]", value)
        ):
            raise self._wrong(name, "a map")
        return cast("dict[str, object]", value)

    def done(self) -> None:
        """Refuse what is left: an unknown field is another version's, and its meaning would be lost."""
        if self._values:
            raise RecordingDamaged(
                f"{self._what} has unknown fields: {sorted(map(repr, self._values))}"[:200]
            )

    def _wrong(self, name: object, wanted: str) -> RecordingDamaged:
        return RecordingDamaged(f"{name!r} of {self._what} is not {wanted}")
