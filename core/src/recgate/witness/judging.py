"""A witness's one decision: does this head follow from the last one that I cosigned of this log? (C2SP tlog-witness)"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate.errors import ConfigurationError, LedgerDamaged
from recgate.keys.files import make_private_directory, read_or_create, read_private, write_atomically
from recgate.ledger.cosignature import cosign, witness_key
from recgate.ledger.merkle import EMPTY_ROOT
from recgate.ledger.note import ED25519, Vkey, is_name
from recgate.ledger.proof import verify_consistency
from recgate.metrics import WITNESS_COSIGNED, WITNESS_REFUSED
from recgate.witness.memory import Memory, Refusal, Remembered, Turn
from recgate.witness.request import SIZE_TYPE, Answer, Asked, parse_request

__all__ = ["MAX_LOGS", "Witness", "add_logs", "known_logs", "make_witness"]

KEY: Final = "key.pem"
VKEY: Final = "vkey"
LOGS: Final = "logs"
MAX_LOGS: Final = 1_000
MAX_LOGS_FILE: Final = 1 << 20
_PUBLIC: Final = 0o644

log = structlog.get_logger("recgate.witness")


def make_witness(state: Path, name: str) -> Vkey:
    """Make a witness's key and directory, unless they are there; gives what its cosignatures are verified with.

    Raises:
        ConfigurationError: it cannot be made, or there is one of another name already.
    """
    if not is_name(name):
        raise ConfigurationError(
            f"{name[:64]!r} is no name for a witness: it has no spaces and no plus sign, such as witness.example/w1"
        )
    make_private_directory(state)
    key = _key(state, read_or_create(state / KEY, _new_key))
    vkey = witness_key(name, key)
    try:
        found = _vkey(state)
    except FileNotFoundError:
        write_atomically(state / VKEY, vkey.text.encode() + b"\n", _PUBLIC)
        return vkey
    if found != vkey:
        raise ConfigurationError(
            f"{state}: there is a witness {found.name} already. Give each a directory of its own."
        )
    return vkey


def known_logs(state: Path) -> dict[str, list[Vkey]]:
    """Give the keys of the logs that a witness looks at, by their names.

    Raises:
        ConfigurationError: the file cannot be read, or a line of it is no key of a log.
    """
    try:
        with open(state / LOGS, "rb") as file:
            data = file.read(MAX_LOGS_FILE + 1)
    except FileNotFoundError:
        return {}
    except OSError as exc:
        raise ConfigurationError(
            f"{state / LOGS}: cannot be read: {exc.strerror}. Run as its owner."
        ) from exc
    lines = [line.strip() for line in data[:MAX_LOGS_FILE].decode("utf-8", "replace").split("\n")]
    keys = [log_key(line) for line in lines if line and not line.startswith("#")]
    if len(data) > MAX_LOGS_FILE or len(keys) > MAX_LOGS:
        raise ConfigurationError(f"{state / LOGS}: has more than {MAX_LOGS} logs. Run another witness.")
    logs: dict[str, list[Vkey]] = {}
    for key in keys:
        logs.setdefault(key.name, []).append(key)
    return logs


def log_key(text: str) -> Vkey:
    """Read the key of a log. Raises `ConfigurationError` for another one."""
    try:
        key = Vkey.parse(text)
    except LedgerDamaged as exc:
        raise ConfigurationError(
            f"{exc}. The key of a log stands in its gateway's trust.json, and `recgate ledger` shows it."
        ) from exc
    if key.kind != ED25519:
        raise ConfigurationError(f"{key.name}: is the key of a witness, and not of a log.")
    return key


def add_logs(state: Path, keys: list[Vkey]) -> list[Vkey]:
    """Have a witness look at more logs, from its next request on; gives those that are new."""
    logs = known_logs(state)
    new = [key for key in dict.fromkeys(keys) if key not in logs.get(key.name, [])]
    kept = [key for of_one in logs.values() for key in of_one]
    if len(kept) + len(new) > MAX_LOGS:
        raise ConfigurationError(
            f"{state / LOGS}: would have more than {MAX_LOGS} logs. Run another witness."
        )
    if new:
        lines = "".join(f"{key.text}\n" for key in [*kept, *new])
        write_atomically(state / LOGS, lines.encode(), _PUBLIC)
    return new


class Witness:
    """One witness over its directory. `judge` waits for disks: call it in a thread.

    Raises:
        ConfigurationError: there is no witness in the directory, or its files are damaged or open to others.
    """

    def __init__(self, state: Path, clock: Callable[[], float] = time.time) -> None:
        self.state = state
        self._clock = clock
        try:
            self._private = _key(state, read_private(state / KEY))
            self.vkey = _vkey(state)
        except FileNotFoundError:
            raise ConfigurationError(
                f"{state}: there is no witness here. Make one: `recgate witness new --state {state} --name NAME`."
            ) from None
        if witness_key(self.vkey.name, self._private) != self.vkey:
            raise ConfigurationError(f"{state / VKEY}: is not of {KEY}. Restore both from one backup.")
        known_logs(state)
        self.memory = Memory(state)
        self.memory.heads()  # now, and not when the first log asks

    def judge(self, data: bytes) -> Answer:
        """Answer one request. When this returns a cosignature, the head is remembered for good.

        Raises:
            WitnessFailed: what is remembered could not be read or written: nothing was cosigned.
            ConfigurationError: the list of logs cannot be read.
        """
        try:
            asked = parse_request(data)
        except LedgerDamaged as exc:
            return Answer(400, f"{exc}\n", why=str(exc))
        keys = known_logs(self.state).get(asked.head.origin)
        if keys is None:
            why = f"this witness does not look at {asked.head.origin}"
            return Answer(404, "this witness does not look at that log\n", why=why)
        try:
            asked.note.verified(*keys)
        except LedgerDamaged as exc:
            return Answer(403, "not signed by that log's key\n", why=f"{asked.head.origin}: {exc}")
        return self._decide(asked)

    def _decide(self, asked: Asked) -> Answer:
        now = int(self._clock())
        head, origin = asked.head, asked.head.origin
        with self.memory.deciding() as turn:
            last = turn.last(origin)
            known = last.size if last is not None else 0
            if asked.old != known:
                return self._elsewhere(asked, known)
            root = last.root if last is not None else EMPTY_ROOT
            if not verify_consistency(known, root, head.size, head.root, asked.proof):
                return self._refuse(turn, asked, last, now)
            if last is not None and now < last.time:
                why = f"the clock shows {now}, and showed {last.time} before"
                return Answer(503, "this witness's clock went back\n", why=why)
            turn.cosigned(head, asked.note.encode(), now)
        WITNESS_COSIGNED.inc()
        return Answer(200, cosign(asked.note.text, self.vkey.name, self._private, now).text)

    def _elsewhere(self, asked: Asked, known: int) -> Answer:
        """Say which head the log has to prove from."""
        if asked.head.size < known:
            # Whoever has an old head can send it, so this proves nothing; it is how a log that was rolled back begins.
            log.warning("witness.behind", log=asked.head.origin, size=asked.head.size, known=known)
        return Answer(409, f"{known}\n", SIZE_TYPE)

    def _refuse(self, turn: Turn, asked: Asked, last: Remembered | None, now: int) -> Answer:
        head = asked.head
        if asked.old == head.size:
            why = f"another head of {head.size} entries than was cosigned"
        else:
            why = f"a head of {head.size} entries that does not follow from the one of {asked.old}"
        if last is not None:
            self._keep(turn, asked, last, why, now)
        return Answer(422, f"{why}\n", why=f"{head.origin}: {why}")

    def _keep(self, turn: Turn, asked: Asked, last: Remembered, why: str, now: int) -> None:
        head = asked.head
        new = turn.refused(Refusal(head.origin, now, why, head.size, asked.note.encode(), last.note))
        WITNESS_REFUSED.inc()
        if new:
            log.error("witness.refused", log=head.origin, reason=why, size=head.size, known=last.size)


def _new_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _key(state: Path, data: bytes) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError) as exc:
        raise ConfigurationError(f"{state / KEY}: is not a private key. Restore it from a backup.") from exc
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(f"{state / KEY}: is not an Ed25519 key. Restore it from a backup.")
    return key


def _vkey(state: Path) -> Vkey:
    try:
        return Vkey.parse((state / VKEY).read_bytes()[: 8 << 10].decode("utf-8", "replace").strip())
    except LedgerDamaged as exc:
        raise ConfigurationError(f"{state / VKEY}: {exc}. Restore it from a backup.") from exc
