"""What a gateway's recording is made from, and what its sealing worker is told to begin with."""

from __future__ import annotations

import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate.model import Secret
from recgate.recipients.erasurekeys import ERASURE_FILE
from recgate.recording.leaves import LedgerPlan

if TYPE_CHECKING:
    from recgate.config import Configuration
    from recgate.keys import GatewayKeys
    from recgate.plugins import Registry

__all__ = ["CONFIGURED", "RecordingPlan", "ledger_plan"]

# The function that makes the worker's store and indexer from a configuration.
CONFIGURED: Final = "recgate.recording.backend:configured"


@dataclass(frozen=True, slots=True)
class RecordingPlan:
    """`root` is the journal's directory, `quota` the bytes that may wait there for the store.

    `recipients` are public keys (`rgpub1…`) of those who will be able to read.

    `backend` names the function (`module:function`) that gives the worker its `Backend` from `argument`.
    """

    gateway: str
    root: Path
    identity: Ed25519PrivateKey
    wrapping: Secret
    backend: str
    argument: bytes
    synced: bool
    quota: int
    recipients: tuple[str, ...] = ()
    ledger: LedgerPlan | None = None

    @classmethod
    def of(cls, config: Configuration, registry: Registry, keys: GatewayKeys) -> RecordingPlan:
        """Take the plan from a configuration. The worker gets that very configuration, not the file it came from."""
        in_process = {
            name: plugin.module.__name__
            for name, plugin in registry.loaded.items()
            if plugin.candidate.module is not None
        }
        return cls(
            gateway=config.gateway.name,
            root=config.data_dir / "journal",
            identity=keys.identity,
            wrapping=keys.journal,
            backend=CONFIGURED,
            argument=pickle.dumps((config, in_process)),
            synced=config.recording.durability == "synced",
            quota=config.recording.backlog,
            recipients=config.recording.seal_to,
            ledger=ledger_plan(config, keys),
        )

    def first_message(self) -> dict[str, object]:
        """Give what the worker is told first. It goes through a pipe that nobody else has."""
        return {
            "root": str(self.root),
            "gateway": self.gateway,
            "identity": self.identity.private_bytes_raw(),
            "wrapping": self.wrapping.reveal(),
            "backend": self.backend,
            "argument": self.argument,
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
    )
