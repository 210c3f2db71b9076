"""Change keys without a moment in which none is there, and refuse a start that would change them by accident.

A new identity key is written beside the old one first, then the statement by which it follows, then it takes the
other's place. Killed in between, the next start goes on, or begins again as if nothing had been asked.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from recgate.errors import ConfigurationError, RecordingDamaged
from recgate.keys.files import make_private_directory, read_private, sync_directory, write_atomically
from recgate.keys.history import History, Past
from recgate.keys.keeping import KeyKeeper, load_signing, new_signing, seal_secret
from recgate.recording.cose import SigningKey, key_id, public_bytes
from recgate.recording.directory import is_session
from recgate.recording.journalfiles import DAMAGED, WRAPPING_KEY, head_key, wrapping_id
from recgate.recording.succession import read_succession, sign_succession
from recgate.recording.trust import TRUST_NAME, fingerprint, read_trust

if TYPE_CHECKING:
    from recgate.keys.gateway import GatewayKeys

__all__ = [
    "JOURNAL_ABOUT",
    "ROTATIONS",
    "RotatedKey",
    "drop_journal_keys",
    "finish_rotations",
    "journals_of",
    "refuse_loss",
    "retired_journal_keys",
    "rotate_identity",
    "rotate_journal",
    "rotate_ledger",
]

IDENTITY: Final = "identity.pem"
LEDGER: Final = "ledger.pem"
JOURNAL: Final = "journal"
JOURNAL_ABOUT: Final = b"recgate journal key"  # what its keeper is told that it wraps


# Where a key waits that is to follow another one, and that one's place.
_STAGED: Final[Mapping[str, tuple[str, str]]] = {
    "identity": ("identity.next", IDENTITY),
    "ledger": ("ledger.next", LEDGER),
}


# -- what signs ----------------------------------------------------------------------------------------------


def rotate_identity(keys: GatewayKeys) -> tuple[str, str]:
    """Put a new identity key in the place of the old one, which is gone then; gives both fingerprints.

    The old key signs that the new one follows it, and `trust.json` has that statement. Sessions that are open keep
    the header that they have.

    Raises:
        ConfigurationError: a key cannot be made or written. The old one stays, or the next start ends what was begun.
        RecordingFailed: what keeps the old key does not answer; nothing was changed.
    """
    finish_rotations(keys.directory, keys.keeper)
    keys.forget()
    return _rotate(keys, "identity", keys.identity, new_signing(keys.keeper, f"{keys.name} identity"))


def rotate_ledger(keys: GatewayKeys) -> tuple[str, str]:
    """Put a new ledger key in the place of the old one, as `rotate_identity` does.

    The ledger and its name go on. Whoever writes to it takes the new key up when it finds it in use there.

    Raises:
        ConfigurationError: a key cannot be made or written. The old one stays, or the next start ends what was begun.
    """
    finish_rotations(keys.directory, keys.keeper)
    keys.forget()
    return _rotate(keys, "ledger", keys.ledger, new_signing(None, "ledger"))


def _rotate(
    keys: GatewayKeys, which: Literal["identity", "ledger"], old: SigningKey, fresh: bytes
) -> tuple[str, str]:
    staged = keys.directory / _STAGED[which][0]
    write_atomically(staged, fresh)
    new = load_signing(read_private(staged), staged, keys.keeper)
    wall = time.time_ns()
    statement = sign_succession(keys.name, old, new, wall)
    past = Past(public_bytes(old), wall, "rotated", which)
    History.load(keys.directory).adding(past, statement).save(keys.directory)
    finish_rotations(keys.directory, keys.keeper)
    keys.forget()
    keys.publish_trust()
    return _name(public_bytes(old)), _name(public_bytes(new))


class RotatedKey(StrEnum):
    """A key that can be changed while sessions run."""

    IDENTITY = "identity"
    JOURNAL = "journal"
    LEDGER = "ledger"


def finish_rotations(directory: Path, keeper: KeyKeeper | None) -> None:
    """End rotations that were begun: with the new key if the old one has said that it follows, else without.

    Raises:
        ConfigurationError: a new key cannot be read, or not be put in its place.
    """
    for name, place in _STAGED.values():
        staged = directory / name
        if not staged.exists():
            continue
        new = public_bytes(load_signing(read_private(staged), staged, keeper))
        try:
            named = [read_succession(each).new for each in History.load(directory).successions]
        except RecordingDamaged as exc:
            raise ConfigurationError(f"{directory}: history.json is damaged: {exc}. Restore it.") from exc
        if new in named:
            os.replace(staged, directory / place)
        else:
            staged.unlink()
        sync_directory(directory)


def refuse_loss(keys: GatewayKeys) -> None:
    """Refuse a start that would make up keys in the place of lost ones, as if this were a new gateway.

    Raises:
        ConfigurationError: `trust.json` has an identity that is not here any more, or journals wait for a key that
            is not.
    """
    path, published = keys.directory / IDENTITY, keys.data_dir / TRUST_NAME
    remedy = "Restore the directory of keys from a backup; if there is none, run `recgate keys adopt`."
    try:
        said = read_trust(published).current if published.exists() else b""
    except (ConfigurationError, IndexError):
        if not path.exists():
            raise
        said = b""  # written anew from the key that is there
    if said and not path.exists() and not History.load(keys.directory).knows(said):
        raise ConfigurationError(
            f"{path}: is gone: {published} names the identity key {_name(said)}. {remedy}"
        )
    if said and path.exists():
        own = public_bytes(keys.identity)
        if own != said and not History.load(keys.directory).knows(said):
            raise ConfigurationError(
                f"{path}: is the key {_name(own)}, and {published} names {_name(said)}: one of them is of another "
                f"gateway, or of another time. {remedy}"
            )
    waiting = journals_of(keys.data_dir)
    if waiting and not (keys.directory / JOURNAL).exists():
        raise ConfigurationError(
            f"{keys.directory / JOURNAL}: is gone, and {len(waiting)} sessions wait in "
            f"{keys.data_dir / 'journal'} that nothing else opens. {remedy}"
        )


def _name(public: bytes) -> str:
    return fingerprint(key_id(public))


# -- journal -------------------------------------------------------------------------------------------------


def rotate_journal(keys: GatewayKeys) -> tuple[str, str]:
    """Put a new journal key in the place of the old one, which stays until no journal needs it; gives both names.

    Raises:
        ConfigurationError: a key cannot be made or written; the old one is in use then.
    """
    make_private_directory(keys.directory)
    keys.forget()
    old = keys.journal.reveal()
    path = keys.directory / JOURNAL
    write_atomically(keys.directory / f"{JOURNAL}.{wrapping_id(old).hex()}", read_private(path))
    fresh = secrets.token_bytes(WRAPPING_KEY)
    write_atomically(path, seal_secret(keys.keeper, fresh, JOURNAL_ABOUT))
    keys.forget()
    return wrapping_id(old).hex(), wrapping_id(fresh).hex()


def retired_journal_keys(directory: Path) -> list[Path]:
    """List the files of journal keys that wrap nothing new."""
    return sorted(directory.glob(f"{JOURNAL}.*"))


def drop_journal_keys(keys: GatewayKeys) -> list[str]:
    """Remove the retired journal keys that no journal needs any more, and name them.

    Of a journal that cannot be read nobody knows which one it needs, so that all stay.
    """
    files = retired_journal_keys(keys.directory)
    if not files:
        return []
    try:
        needed = {head_key(path) for path in journals_of(keys.data_dir, damaged=True)}
    except (OSError, RecordingDamaged):
        return []
    if None in needed:
        return []
    names = {(name or b"").hex() for name in needed}
    dropped = [path for path in files if path.suffix.removeprefix(".") not in names]
    for path in dropped:
        path.unlink()
    if dropped:
        sync_directory(keys.directory)
        keys.forget()
    return [path.suffix.removeprefix(".") for path in dropped]


def journals_of(data_dir: Path, *, damaged: bool = False) -> list[Path]:
    """List the journals that wait, or are in use; with `damaged` also those that were set aside."""
    root = data_dir / "journal"
    places = (root, root / DAMAGED) if damaged else (root,)
    return sorted(
        path for place in places if place.is_dir() for path in place.iterdir() if is_session(path.name)
    )


ROTATIONS: Final[Mapping[RotatedKey, Callable[[GatewayKeys], tuple[str, str]]]] = {
    RotatedKey.IDENTITY: rotate_identity,
    RotatedKey.JOURNAL: rotate_journal,
    RotatedKey.LEDGER: rotate_ledger,
}
