"""The public keys that a verifier believes: `trust.json` as a gateway exports it, and as somebody keeps it."""

from __future__ import annotations

import base64
import json
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

from cryptography import x509

from recgate.errors import ConfigurationError, LedgerDamaged, RecordingDamaged
from recgate.ledger.note import Vkey
from recgate.recording.cose import key_id
from recgate.recording.succession import MAX_SUCCESSIONS, Succession, read_succession

__all__ = [
    "MAX_TRUST",
    "TRUST_NAME",
    "Trust",
    "TrustFile",
    "fingerprint",
    "moment",
    "read_trust",
    "statements_in",
    "statements_of",
]

TRUST_NAME: Final = "trust.json"
MAX_TRUST: Final = 2 << 20  # bytes; a key takes 200, a statement 800
VERSION: Final = 1
_SECOND: Final = 1_000_000_000  # ns


def fingerprint(kid: bytes) -> str:
    """Write a key's id as people compare it, in the form that OpenSSH made common."""
    return "SHA256:" + base64.b64encode(kid).decode().rstrip("=")


def moment(wall: int) -> str:
    """Write a wall-clock time of ns as a trust file has it, in whole seconds, the next one up."""
    return datetime.fromtimestamp(-(-wall // _SECOND), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class TrustFile:
    """What stands in a trust file: raw public keys, the current one first, and statements by which keys follow keys.

    `retired` has the ns of the wall clock from which on a key, by its id, signs no more for the gateway.
    """

    gateway: str
    keys: tuple[bytes, ...]
    retired: Mapping[bytes, int]
    successions: tuple[bytes, ...] = ()
    ledgers: tuple[Vkey, ...] = ()
    witnesses: tuple[Vkey, ...] = ()
    authorities: tuple[x509.Certificate, ...] = ()

    @property
    def current(self) -> bytes:
        """Give the key that signs now."""
        return next((key for key in self.keys if key_id(key) not in self.retired), self.keys[0])


class Trust:
    """Identity keys by their id, and the keys of ledgers. Empty, every recording is `untrusted`."""

    def __init__(self, keys: Iterable[tuple[str, bytes]] = (), ledgers: Iterable[Vkey] = ()) -> None:
        self._keys = {key_id(key): (gateway, key) for gateway, key in keys}
        self.ledgers = tuple(ledgers)
        self.witnesses: tuple[Vkey, ...] = ()  # whose cosignatures count
        self.authorities: tuple[x509.Certificate, ...] = ()  # whose time stamps count
        self._retired: dict[bytes, int] = {}
        self.contradicted: set[bytes] = (
            set()
        )  # ids of keys that named several successors: none is believed for it

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, kid: bytes) -> bytes | None:
        """Give the key of that id, or None when nobody said that it is to be believed."""
        return self._keys.get(kid, ("", None))[1]

    def gateway(self, kid: bytes) -> str | None:
        """Name the gateway whose key it is, as the trust file says, or None."""
        return self._keys.get(kid, (None, b""))[0]

    def names(self, gateway: str) -> bool:
        """Say whether a key of a gateway of that name is believed."""
        return any(name == gateway for name, _ in self._keys.values())

    def retired(self, kid: bytes) -> int | None:
        """Give the ns of the wall clock from which on a key signs nothing any more, or None."""
        return self._retired.get(kid)

    def retire(self, kid: bytes, wall: int) -> None:
        """Take note that a key signs nothing from `wall` on. The earliest that anybody believed says counts."""
        self._retired[kid] = min(wall, self._retired.get(kid, wall))

    def follow(self, statements: Iterable[bytes]) -> None:
        """Believe the successors of keys that are believed, and theirs. Statements may come from anywhere.

        A key that named two successors has named none: one of the statements is a thief's, and nobody can say which.
        """
        named: dict[bytes, list[Succession]] = {}
        for statement in list(statements)[:MAX_SUCCESSIONS]:
            try:
                found = read_succession(statement)
            except RecordingDamaged:
                continue  # as if it were not there: whatever rests on it is untrusted
            named.setdefault(key_id(found.old), []).append(found)
        self.ledgers = tuple(dict.fromkeys(each for key in self.ledgers for each in _line(key, named)))
        waiting = deque(self._keys)
        while waiting:
            kid = waiting.popleft()
            followers = named.pop(kid, [])
            for each in followers:
                self.retire(kid, each.wall)
            if len({each.new for each in followers}) > 1:
                self.contradicted.add(kid)
            elif followers and (new := key_id(followers[0].new)) not in self._keys:
                # Under the name that was believed: a key of one gateway cannot make another one's.
                self._keys[new] = (self._keys[kid][0], followers[0].new)
                waiting.append(new)

    @classmethod
    def load(cls, *paths: Path, beside: Iterable[Path] = (), also: Iterable[bytes] = ()) -> Trust:
        """Read one or more files. Raises `ConfigurationError` for what cannot be read or is not a trust file.

        Of the files `beside` a store nothing is believed but what keys of `paths` have signed: who follows them. So are
        the statements in `also`, wherever they are from.
        """
        files = [read_trust(path) for path in paths]
        keys = [(file.gateway, key) for file in files for key in file.keys]
        trust = cls(keys, (each for file in files for each in file.ledgers))
        trust.witnesses = tuple(dict.fromkeys(each for file in files for each in file.witnesses))
        trust.authorities = tuple(dict.fromkeys(each for file in files for each in file.authorities))
        for file in files:
            for kid, wall in file.retired.items():
                trust.retire(kid, wall)
        statements = dict.fromkeys(statement for file in files for statement in file.successions)
        trust.follow([*statements, *also, *(each for path in beside for each in statements_in(path))])
        return trust


def _line(key: Vkey, named: Mapping[bytes, list[Succession]]) -> Iterator[Vkey]:
    """Give a key of a ledger and those that follow it, up to one that named none, or several."""
    seen: set[bytes] = set()
    while key.public not in seen:
        seen.add(key.public)
        yield key
        followers = {each.new for each in named.get(key_id(key.public), ())}
        if len(followers) == 1:
            # The ledger keeps its name, whoever signs.
            key = Vkey(key.name, key.kind, followers.pop())


def statements_in(path: Path) -> tuple[bytes, ...]:
    """Give the statements of a trust file that nobody named: none where there is no such file, or it is not one."""
    try:
        return read_trust(path).successions
    except ConfigurationError:
        return ()


def statements_of(data: bytes) -> tuple[bytes, ...]:
    """Give the statements in the bytes of a trust file that nobody vouches for: none where it is not one."""
    try:
        return _parse(data).successions
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, LedgerDamaged):
        return ()


def read_trust(path: Path) -> TrustFile:
    """Read one file. Raises `ConfigurationError` for what cannot be read or is not a trust file."""
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            data = file.read(MAX_TRUST + 1)
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be read: {error.strerror}. Get trust.json from the gateway's data_dir."
        ) from error
    try:
        return _parse(data)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, LedgerDamaged) as error:
        raise ConfigurationError(f"{path}: is not a trust file of this version: {error}") from error


def _open_at_once(path: str, flags: int) -> int:
    # One beside a store may be a pipe that nobody writes to.
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _parse(data: bytes) -> TrustFile:
    trust = cast("Mapping[str, object]", json.loads(data[:MAX_TRUST]))
    if trust["version"] != VERSION:
        raise ValueError(f"version {trust['version']!r}")
    entries = cast("list[Mapping[str, str]]", trust["identity"])
    believed = [entry for entry in entries if entry["algorithm"] == "Ed25519"]
    keys = [base64.b64decode(entry["public"], validate=True) for entry in believed]
    if any(len(key) != 32 for key in keys):
        raise ValueError("an Ed25519 key has 32 bytes")
    retired = {
        key_id(key): _wall(entry["retired"])
        for key, entry in zip(keys, believed, strict=True)
        if "retired" in entry
    }
    successions = [
        base64.b64decode(each, validate=True) for each in cast("list[str]", trust.get("successions", []))
    ]
    # A gateway of an older version has no ledger.
    listed = cast("list[Mapping[str, str]]", trust.get("ledger", []))
    ledgers = tuple(Vkey.parse(entry["vkey"]) for entry in listed)
    witnesses = tuple(map(Vkey.parse, cast("list[str]", trust.get("witnesses", []))))
    pems = cast("list[str]", trust.get("authorities", []))
    authorities = tuple(x509.load_pem_x509_certificate(pem.encode()) for pem in pems)
    return TrustFile(
        str(trust.get("gateway", "")),
        tuple(keys),
        retired,
        tuple(successions),
        ledgers,
        witnesses,
        authorities,
    )


def _wall(text: str) -> int:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return int(found.timestamp()) * _SECOND
