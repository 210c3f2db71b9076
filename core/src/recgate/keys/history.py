"""What keys signed for the gateway before: by it an old recording verifies for ever, and a new key is believed.

data_dir/keys/history.json            public keys and signed statements; nothing secret
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, cast

from recgate.errors import ConfigurationError
from recgate.keys.files import read_private, write_atomically
from recgate.recording.succession import MAX_SUCCESSIONS

__all__ = ["History", "Past"]

NAME: Final = "history.json"
VERSION: Final = 1
MAX_HISTORY: Final = 2 << 20  # bytes; a key and its statement take 1,200


@dataclass(frozen=True, slots=True)
class Past:
    """A key (32 bytes, public) that signs nothing since `wall`, ns: it was rotated, or it was lost."""

    public: bytes
    wall: int
    how: Literal["rotated", "lost"]
    key: Literal["identity", "ledger"] = "identity"


@dataclass(frozen=True, slots=True)
class History:
    """Keys in the order in which they went, and the statements by which those followed that were not lost."""

    past: tuple[Past, ...] = ()
    successions: tuple[bytes, ...] = ()

    def of(self, key: Literal["identity", "ledger"]) -> tuple[Past, ...]:
        """Give those that were in one place."""
        return tuple(each for each in self.past if each.key == key)

    def knows(self, public: bytes) -> bool:
        """Say whether that was an identity key of this gateway."""
        return any(each.public == public for each in self.of("identity"))

    def adding(self, past: Past, succession: bytes | None = None) -> History:
        """Give the history with one more key. Raises `ConfigurationError` when it has become too long to read."""
        if len(self.past) >= MAX_SUCCESSIONS:
            raise ConfigurationError(
                f"keys were changed {MAX_SUCCESSIONS} times, which is all that a verifier follows. "
                "Give this gateway a new data_dir."
            )
        more = () if succession is None else (succession,)
        return replace(self, past=(*self.past, past), successions=(*self.successions, *more))

    @classmethod
    def load(cls, directory: Path) -> History:
        """Read it from the directory of keys; an empty one where there is none.

        Raises:
            ConfigurationError: it is damaged, or others may write to it.
        """
        path = directory / NAME
        try:
            data = read_private(path, MAX_HISTORY)
        except FileNotFoundError:
            return cls()
        try:
            body = cast("Mapping[str, list[Mapping[str, str]]]", json.loads(data))
            past = tuple(
                Past(
                    base64.b64decode(each["public"], validate=True),
                    int(each["wall"]),
                    "lost" if each["how"] == "lost" else "rotated",
                    "ledger" if each.get("key") == "ledger" else "identity",
                )
                for each in body["past"]
            )
            statements = cast("list[str]", body["successions"])
            return cls(past, tuple(base64.b64decode(each, validate=True) for each in statements))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as exc:
            raise ConfigurationError(f"{path}: is damaged. Restore it from a backup.") from exc

    def save(self, directory: Path) -> None:
        """Write it, durably. Raises `ConfigurationError`."""
        past = [
            {
                "public": base64.b64encode(each.public).decode(),
                "wall": str(each.wall),
                "how": each.how,
                "key": each.key,
            }
            for each in self.past
        ]
        statements = [base64.b64encode(each).decode() for each in self.successions]
        body = {"version": VERSION, "past": past, "successions": statements}
        write_atomically(directory / NAME, json.dumps(body, indent=2).encode() + b"\n")
