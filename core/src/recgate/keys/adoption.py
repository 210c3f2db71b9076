"""Go on after keys were lost: a new identity that says so, and no journal that is quietly dropped.

Nothing proves that the new identity is the old gateway's: what could have signed it is gone. So whoever verifies has to
be told, out of band, and until then finds what the new identity signs `untrusted`. What the old one signed verifies
as before.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from recgate.errors import ConfigurationError, RecordingDamaged
from recgate.keys.files import make_private_directory, sync_directory
from recgate.keys.history import History, Past
from recgate.keys.rotation import IDENTITY, JOURNAL, finish_rotations, journals_of
from recgate.recording.cose import key_id, public_bytes
from recgate.recording.journalfiles import parts_of, read_head
from recgate.recording.trust import TRUST_NAME, TrustFile, fingerprint, read_trust

if TYPE_CHECKING:
    from recgate.keys.gateway import GatewayKeys

__all__ = ["Adopted", "LostJournal", "adopt"]


LEDGER: Final = "ledger"
LEDGER_KEY: Final = "ledger.pem"
LEDGER_ORIGIN: Final = "ledger.origin"


@dataclass(frozen=True, slots=True)
class LostJournal:
    """A journal that nothing opens any more: its session, and the bytes in it that are not sealed."""

    session: str
    size: int


@dataclass(frozen=True, slots=True)
class Adopted:
    """What was given up: fingerprints of the identity keys that were lost, and journals; and the new identity.

    `ledger` is where a ledger was put that nobody can go on with, or "".
    """

    identity: str
    lost: tuple[str, ...]
    journals: tuple[LostJournal, ...]
    ledger: str


def adopt(keys: GatewayKeys, trust: Path | None) -> Adopted:
    """Make the keys that are missing, and note in `trust.json` which identity they come after.

    `trust` is the last trust file that anybody has of the gateway; else the one in the data directory. The gateway
    must not be running.

    Raises:
        ConfigurationError: nothing was lost, or the trust file is another gateway's, or cannot be read.
    """
    path = trust or keys.data_dir / TRUST_NAME
    file = read_trust(path) if trust is not None or path.exists() else None
    if file is not None and file.gateway != keys.name:
        raise ConfigurationError(
            f"{path}: is of the gateway {file.gateway[:63]}, and this is {keys.name}. Give the trust file of this one."
        )
    finish_rotations(keys.directory, keys.keeper)
    gone = _gone(keys, file)
    waits = bool(journals_of(keys.data_dir)) and not (keys.directory / JOURNAL).exists()
    aside = _put_ledger_aside(keys) if (gone or waits or _ledger_is_lost(keys)) else ""
    if not gone and not waits and not aside:
        raise ConfigurationError(
            f"{keys.directory}: no key is lost that recordings rest on. To change one, `recgate keys rotate`."
        )
    if file is not None and gone:
        history = _carried(History.load(keys.directory), file)
        wall = time.time_ns()
        for each in gone:
            history = history.adding(Past(each, wall, "lost"))
        # Before any key is made: killed in between, the next start knows that this was meant.
        make_private_directory(keys.directory)
        history.save(keys.directory)
    _ = keys.journal  # by name, since a start refuses to make it up while journals wait
    (keys.data_dir / TRUST_NAME).unlink(missing_ok=True)
    keys.prepare()
    identity = fingerprint(key_id(public_bytes(keys.identity)))
    return Adopted(identity, tuple(fingerprint(key_id(each)) for each in gone), _lost_journals(keys), aside)


def _gone(keys: GatewayKeys, file: TrustFile | None) -> list[bytes]:
    """Give the keys that the file says are in use and that are not here."""
    path = keys.directory / IDENTITY
    own = public_bytes(keys.identity) if path.exists() else b""
    history = History.load(keys.directory)
    if file is None:
        return []
    return [
        key for key in file.keys if key != own and key_id(key) not in file.retired and not history.knows(key)
    ]


def _ledger_is_lost(keys: GatewayKeys) -> bool:
    return (keys.data_dir / LEDGER).is_dir() and not (keys.directory / LEDGER_KEY).exists()


def _put_ledger_aside(keys: GatewayKeys) -> str:
    """Keep a ledger whose key is lost where it is evidence and nothing more; the new one begins with nothing."""
    if not _ledger_is_lost(keys):
        return ""
    stamp = time.strftime("%Y-%m-%dT%H%M%SZ", time.gmtime())
    place = keys.data_dir / f"{LEDGER}.lost-{stamp}"
    os.rename(keys.data_dir / LEDGER, place)
    # Its name was the lost key's: a new ledger under it would look like the old one cut short.
    (keys.directory / LEDGER_ORIGIN).unlink(missing_ok=True)
    sync_directory(keys.data_dir)
    return str(place)


def _carried(history: History, file: TrustFile) -> History:
    """Take over what the file says of the keys before: they are as retired as they were."""
    for key in file.keys:
        if key_id(key) in file.retired and not history.knows(key):
            history = history.adding(Past(key, file.retired[key_id(key)], "rotated"))
    known = set(history.successions)
    more = tuple(each for each in file.successions if each not in known)
    return History(history.past, (*history.successions, *more))


def _lost_journals(keys: GatewayKeys) -> tuple[LostJournal, ...]:
    lost: list[LostJournal] = []
    for directory in journals_of(keys.data_dir):
        try:
            read_head(directory, keys.journals.reveal())
        except (RecordingDamaged, OSError):
            sizes = [path.stat().st_size for path in directory.glob("*.part")]
            if parts_of(directory):
                lost.append(LostJournal(directory.name, sum(sizes)))
    return tuple(lost)
