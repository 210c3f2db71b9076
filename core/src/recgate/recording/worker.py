"""The sealing worker: a process of its own, because hashing, compressing and indexing would take the pump's GIL.

It is told which part of which journal to seal and reads everything else from disk, so it can be killed at any
moment. It ends when its standard input does: that is the gateway's death as well as its orderly stop. Signals are
the gateway's business: a terminal's interrupt or a service manager's stop reaches both, and the gateway still needs
its last seals.
"""

from __future__ import annotations

import fcntl
import gc
import importlib
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate.errors import ConfigurationError, RecgateError, RecordingDamaged, RecordingFailed
from recgate.keys.keeping import KeyKeeper, load_signing
from recgate.privatememory import keep_memory_private
from recgate.recipients.auditors import Auditors
from recgate.recipients.erasurekeys import ErasureKeys
from recgate.recipients.escrow import Escrow
from recgate.recording.indexer import Backend
from recgate.recording.leaves import Leaves, LedgerPlan
from recgate.recording.messages import Message, pack_message, read_message
from recgate.recording.recovery import recover
from recgate.recording.sealer import KeyLost, Sealer, Signer, Work

__all__ = ["main"]

NICENESS: Final = 10
LOCK_NAME: Final = ".worker"
# The gateway keeps fewer requests under way than this, so the reader never waits for room.
MAX_QUEUED: Final = 1024
_RAW_KEY: Final = 32  # bytes; a reference to a key that is kept elsewhere is longer


def main() -> None:
    """Serve the gateway at the other end of standard input and output until it is gone."""
    keep_memory_private()
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, signal.SIG_IGN)
    os.nice(NICENESS)
    # A part becomes ten thousand objects that no cycle holds: collecting after every 700 would be a tenth of the work.
    gc.set_threshold(100_000, 20, 50)
    output = os.dup(sys.stdout.fileno())
    # Whatever a plugin prints goes to the log, not between messages.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    requests: queue.Queue[Message] = queue.Queue(MAX_QUEUED)
    threading.Thread(target=_read_requests, args=(sys.stdin.fileno(), requests), daemon=True).start()
    _Serving(output).run(requests)


def _read_requests(descriptor: int, requests: queue.Queue[Message]) -> None:
    while (message := read_message(descriptor)) is not None:
        requests.put(message)
    # Nobody waits for an answer any more. Whatever is half done is redone by recovery, from what is on disk.
    os._exit(0)


class _Serving:
    def __init__(self, output: int) -> None:
        self._output = output
        self._gateway = ""
        self._keeper: KeyKeeper | None = None

    def _say(self, message: Message) -> None:
        data = memoryview(pack_message(message))
        try:
            while data:
                data = data[os.write(self._output, data) :]
        except BrokenPipeError:
            os._exit(0)  # the gateway is gone, as the reader is about to notice

    def _note(self, event: str, facts: Mapping[str, object]) -> None:
        self._say({"note": event, "facts": dict(facts)})

    def run(self, requests: queue.Queue[Message]) -> None:
        sealer = self._prepare(requests.get())
        if sealer is None:
            return
        # Held until this process is gone: two would seal the same journals.
        self._say({"ready": True})
        while True:
            request = requests.get()
            self._say({"id": request["id"], **self._answer(sealer, request)})

    def _prepare(self, first: Message) -> Sealer | None:
        try:
            root = Path(cast("str", first["root"]))
            _lock(root / LOCK_NAME)
            build = _function(cast("str", first["backend"]))
            backend = build(cast("bytes", first["argument"]))
            self._gateway, self._keeper = cast("str", first["gateway"]), backend.keeper
            signer = self._signer(first)
            erasure = ErasureKeys(Path(cast("str", first["erasure"])))
            auditors = Auditors(erasure, escrow=Escrow.told(first.get("originals")))
            sealer = Sealer(root, signer, backend.store, backend.indexer, self._note, auditors)
            if (ledger := cast("dict[str, Any] | None", first.get("ledger"))) is not None:
                sealer.leaves = Leaves(LedgerPlan(**ledger), root)
            return sealer
        except (RecgateError, OSError, ValueError, ImportError, AttributeError) as error:
            self._say({"refused": f"{type(error).__name__}: {error}"})
            return None

    def _signer(self, message: Message) -> Signer:
        """Take the keys that the gateway has now."""
        data = cast("bytes", message["identity"])
        raw = len(data) == _RAW_KEY
        identity = (
            Ed25519PrivateKey.from_private_bytes(data)
            if raw
            else load_signing(data, "the identity key", self._keeper)
        )
        return Signer(self._gateway, identity, cast("bytes", message["wrapping"]))

    def _answer(self, sealer: Sealer, request: Message) -> Message:
        try:
            if request["do"] == "keys":
                sealer.signer = self._signer(request)
                return {"done": {}}
            if request["do"] == "prove":
                sealer.signer.identity.sign(b"recgate: can this key be had?")
                return {"done": {}}
            return {"done": _serve(sealer, request)}
        except KeyLost as error:
            return {"failed": str(error), "retry": False, "lost": True}
        except RecordingDamaged as error:
            return {"failed": str(error), "retry": False}
        except (RecordingFailed, ConfigurationError, OSError) as error:
            return {"failed": str(error), "retry": True}
        except Exception as error:  # noqa: BLE001 - one session's failure must not end the others' sealing
            return {"failed": f"{type(error).__name__}: {error}", "retry": False}


def _serve(sealer: Sealer, request: Message) -> Message:
    session = cast("str", request["session"])
    if sealer.auditors is not None and "recipients" in request:
        # With every request: whichever worker takes it, and whatever was reloaded before, it is the gateway's latest.
        sealer.auditors.become(cast("list[str]", request["recipients"]))
    match request["do"]:
        case "begin":
            sealer.begin(session)
            return {}
        case "seal":
            parts = tuple((number, size) for number, size in cast("list[list[int]]", request["parts"]))
            work = Work(
                session,
                parts,
                bool(request["final"]),
                bool(request["preallocated"]),
            )
            return asdict(sealer.seal(work))
        case "recover":
            return asdict(recover(sealer, session, cast("str", request["reason"])))
        case unknown:
            raise RecordingDamaged(f"the worker does not know how to {unknown!r}")


def _function(reference: str) -> Callable[[bytes], Backend]:
    module, _, name = reference.partition(":")
    return cast("Callable[[bytes], Backend]", getattr(importlib.import_module(module), name))


def _lock(path: Path) -> None:
    """Wait for the predecessor to be gone. It goes as soon as it notices that its gateway has."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)


if __name__ == "__main__":
    main()
