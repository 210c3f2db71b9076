"""What a gateway's recording is made from, and what its sealing worker is told to begin with."""

from __future__ import annotations

import pickle
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate.keys.keeping import KeptKey
from recgate.model import Secret
from recgate.recipients.erasurekeys import ERASURE_FILE
from recgate.recording.cose import SigningKey
from recgate.recording.journalfiles import WRAPPING_KEY
from recgate.recording.leaves import LedgerPlan

if TYPE_CHECKING:
    from recgate.config import Configuration
    from recgate.config.sections import OriginalsSettings
    from recgate.keys import GatewayKeys
    from recgate.plugins import Registry

__all__ = ["CONFIGURED", "RecordingPlan", "ledger_plan"]

# The function that makes the worker's store and indexer from a configuration.
CONFIGURED: Final = "recgate.recording.backend:configured"


@dataclass(frozen=True, slots=True)
class RecordingPlan:
    """`root` is the journal's directory, `quota` the bytes that may wait there for the store.

    `recipients` are public keys (`rgpub1…`) of those who will be able to read. `originals` says who opens what masks
    remove, where that is kept; what permits come from is `permits`, then.
    `wrapping` is the journal keys in a row, the one that wraps first.
    `backend` names the function (`module:function`) that gives the worker its `Backend` from `argument`.
    """

    gateway: str
    root: Path
    identity: SigningKey
    wrapping: Secret
    backend: str
    argument: bytes
    synced: bool
    quota: int
    recipients: tuple[str, ...] = ()
    ledger: LedgerPlan | None = None
    originals: OriginalsSettings | None = None
    permits: Secret | None = None

    @classmethod
    def of(cls, config: Configuration, registry: Registry, keys: GatewayKeys) -> RecordingPlan:
        """Take the plan from a configuration. The worker gets that very configuration, not the file it came from."""
        originals = config.recording.originals
        kept = originals if originals != "discard" else None
        in_process = {
            name: plugin.module.__name__
            for name, plugin in registry.loaded.items()
            if plugin.candidate.module is not None
        }
        return cls(
            gateway=config.gateway.name,
            root=config.data_dir / "journal",
            identity=keys.identity,
            wrapping=keys.journals,
            backend=CONFIGURED,
            argument=pickle.dumps((config, in_process)),
            synced=config.recording.durability == "synced",
            quota=config.recording.backlog,
            recipients=config.recording.seal_to,
            ledger=ledger_plan(config, keys),
            originals=kept,
            permits=keys.permits if kept is not None else None,
        )

    def kept(self) -> bool:
        """Say whether the identity key rests elsewhere, so that it may be out of reach."""
        return not isinstance(self.identity, Ed25519PrivateKey)

    def wraps_with(self, key: Secret) -> bool:
        """Say whether journals that begin now are opened by that key."""
        return self.wrapping.reveal()[:WRAPPING_KEY] == key.reveal()

    def keyed(self, keys: GatewayKeys) -> RecordingPlan:
        """Give the plan with these keys."""
        return replace(self, identity=keys.identity, wrapping=keys.journals)

    def between(self, following: RecordingPlan) -> RecordingPlan:
        """Give the plan while keys change: journals begin under the old key, and those under the new can be read."""
        old, new = self.wrapping.reveal(), following.wrapping.reveal()
        ring = dict.fromkeys(
            each[at : at + WRAPPING_KEY] for each in (old, new) for at in range(0, len(each), WRAPPING_KEY)
        )
        return replace(self, identity=following.identity, wrapping=Secret(b"".join(ring)))

    def keys_message(self) -> dict[str, object]:
        """Give the keys as the worker is told them. They go through a pipe that nobody else has."""
        identity = self.identity
        known = (
            identity.private_bytes_raw()
            if isinstance(identity, Ed25519PrivateKey)
            else cast("KeptKey", identity).reference.encode()
        )
        return {"identity": known, "wrapping": self.wrapping.reveal()}

    def first_message(self) -> dict[str, object]:
        """Give what the worker is told first."""
        originals = None
        if self.originals is not None and self.permits is not None:
            originals = {
                "holders": list(self.originals.seal_to),
                "threshold": self.originals.threshold,
                "permits": self.permits.reveal(),
            }
        return {
            "root": str(self.root),
            "gateway": self.gateway,
            **self.keys_message(),
            "backend": self.backend,
            "argument": self.argument,
            "originals": originals,
            "erasure": str(self.root.parent / ERASURE_FILE),
            "ledger": asdict(self.ledger) if self.ledger is not None else None,
        }


def ledger_plan(config: Configuration, keys: GatewayKeys) -> LedgerPlan:
    """Say where the ledger of a gateway is, and what it is written with."""
    return LedgerPlan(
        directory=str(config.data_dir / "ledger"),
        gateway=config.gateway.name,
        origin=keys.ledger_origin,
        key=keys.ledger.private_bytes_raw(),
        subjects=bytes(keys.subjects.reveal()),
        keys=str(keys.directory),
    )
