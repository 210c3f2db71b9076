"""Which agents there are, and which tokens still let one in: one file that command line and gateway share.

`data_dir/agents.json`, 0600, replaced whole. Small and seldom written, it is looked at before every decision, so that
what `recgate agent revoke` has written counts from then on. Nothing secret is in it: public keys, and hashes of tokens.
"""

from __future__ import annotations

import contextlib
import fcntl
import hmac
import json
import os
import secrets
import stat
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, cast

from recgate.errors import RecgateError
from recgate_agent.proof import KEY, decoded, encoded, new_token, token_hash

__all__ = ["Enrolled", "Invitation", "NotGood", "Roster", "RosterFailed", "Rows"]

VERSION: Final = 1
MAX_FILE: Final = 8 << 20  # bytes
MAX_AGENTS: Final = 1_000
MAX_INVITATIONS: Final = 1_000
LOCK: Final = 5.0  # seconds to wait for another writer
PAUSE: Final = 0.01  # seconds before trying again
HASH: Final = 32  # bytes of SHA-256


class RosterFailed(RecgateError):
    """The file cannot be used. Who decides by it takes that as a no."""


class NotGood(RecgateError):
    """A token that lets nobody in: unknown, used, or too old. The reason is for the audit trail."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """An agent: its public key (32 bytes), the targets that it leads to, and when what happened to it."""

    name: str
    key: bytes
    targets: tuple[str, ...]
    enrolled: float
    revoked: float | None = None
    connected: float | None = None
    source: str = ""

    @property
    def stands(self) -> bool:
        """Whether it may connect."""
        return self.revoked is None


@dataclass(frozen=True, slots=True)
class Invitation:
    """A one-time token that was given out and is kept as its hash."""

    name: str
    hash: bytes
    targets: tuple[str, ...]
    issued: float
    expires: float


@dataclass(slots=True)
class Rows:
    """The file's content."""

    agents: dict[str, Enrolled] = field(default_factory=dict[str, Enrolled])
    invitations: list[Invitation] = field(default_factory=list[Invitation])


class Roster:
    """The file at `data_dir/agents.json`. Synchronous: the gateway calls it in worker threads.

    Every method raises `RosterFailed` when the file cannot be used, or others may write it.
    """

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "agents.json"

    @property
    def version(self) -> tuple[int, int, int]:
        """Give what changes whenever the content does: cheap enough to be asked each time."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return 0, 0, 0
        except OSError as exc:
            raise self._failed(exc) from exc
        return found.st_ino, found.st_ctime_ns, found.st_size  # ctime: rights count, too

    def read(self) -> Rows:
        """Give everything."""
        try:
            with self.path.open("rb") as stream:
                self._refuse_open(os.fstat(stream.fileno()))
                data = stream.read(MAX_FILE + 1)
        except FileNotFoundError:
            return Rows()
        except OSError as exc:
            raise self._failed(exc) from exc
        try:
            if len(data) > MAX_FILE:
                raise ValueError("it is too long")
            return _parsed(json.loads(data))
        except (ValueError, TypeError, KeyError, RecursionError) as exc:
            raise RosterFailed(
                f"{self.path}: is damaged ({exc}). Restore it from a backup, or remove it and enrol again."
            ) from exc

    # -- changes -----------------------------------------------------------------------------------------

    def invite(self, name: str, targets: Sequence[str], ttl: float, now: float) -> str:
        """Make a token with which one agent may enrol as `name` within `ttl` seconds; gives its text.

        An earlier token for the same name ends. An agent of that name stays as it is until the token is used.
        """
        text = new_token()
        with self._changing(now) as rows:
            if name not in rows.agents and len(rows.agents) >= MAX_AGENTS:
                raise RosterFailed(
                    f"there are {MAX_AGENTS} agents. Run `recgate agent rm` for those that are gone."
                )
            rows.invitations = [each for each in rows.invitations if each.name != name]
            if len(rows.invitations) >= MAX_INVITATIONS:
                raise RosterFailed(f"{MAX_INVITATIONS} tokens wait to be used. Let some of them expire.")
            made = Invitation(name, token_hash(text), tuple(dict.fromkeys(targets)), now, now + ttl)
            rows.invitations.append(made)
        return text

    def invitation(self, token: str, now: float) -> Invitation:
        """Give what a token is good for, and leave it good. Raises `NotGood`."""
        return _find(self.read(), token, now)

    def enroll(self, token: str, key: bytes, source: str, now: float) -> Enrolled:
        """Use a token up: from now on `key` proves the agent that it was made out to. Raises `NotGood`."""
        with self._changing(now) as rows:
            found = _find(rows, token, now)
            rows.invitations.remove(found)
            if any(each.key == key and each.name != found.name for each in rows.agents.values()):
                raise NotGood("the key belongs to another agent")
            made = Enrolled(found.name, key, found.targets, now, source=source)
            rows.agents[found.name] = made
        return made

    def revoke(self, name: str, now: float) -> bool:
        """Revoke an agent, and a token for its name; doing it again changes nothing. Says whether there was either."""
        with self._changing(now) as rows:
            before = len(rows.invitations)
            rows.invitations = [each for each in rows.invitations if each.name != name]
            found = rows.agents.get(name)
            if found is not None and found.stands:
                rows.agents[name] = replace(found, revoked=now)
        return found is not None or len(rows.invitations) < before

    def remove(self, name: str, now: float) -> bool:
        """Forget an agent, which revokes it too. Says whether there was one."""
        with self._changing(now) as rows:
            rows.invitations = [each for each in rows.invitations if each.name != name]
            return rows.agents.pop(name, None) is not None

    def connected(self, name: str, source: str, now: float) -> None:
        """Note that an agent connected just now."""
        with self._changing(now) as rows:
            if name in rows.agents:
                rows.agents[name] = replace(rows.agents[name], connected=now, source=source)

    @contextmanager
    def _changing(self, now: float) -> Generator[Rows]:
        """Give the content to be changed; it is written when the block ends, and not when it raises."""
        with self._locked():
            rows = self.read()
            rows.invitations = [each for each in rows.invitations if each.expires > now]
            yield rows
            self._write(rows)

    @contextmanager
    def _locked(self) -> Generator[None]:
        # The directory is locked: the file is replaced, and a lock that root made would shut the gateway out.
        try:
            self.path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
            descriptor = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as exc:
            raise self._failed(exc) from exc
        try:
            deadline = time.monotonic() + LOCK
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise RosterFailed(f"{self.path}: somebody else is writing it. Try again.") from None
                    time.sleep(PAUSE)
            yield
        finally:
            os.close(descriptor)

    def _write(self, rows: Rows) -> None:
        data = json.dumps(_written(rows), indent=1).encode() + b"\n"
        draft = self.path.with_name(f".agents.json.{secrets.token_hex(8)}")
        try:
            owner = self.path.parent.stat()
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                if os.geteuid() == 0:
                    os.fchown(descriptor, owner.st_uid, owner.st_gid)  # the gateway must be able to read it
                stream.write(data)
                stream.flush()
                os.fsync(descriptor)
            draft.replace(self.path)
            above = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(above)  # a revocation survives power loss
            finally:
                os.close(above)
        except OSError as exc:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise self._failed(exc) from exc

    def _refuse_open(self, found: os.stat_result) -> None:
        if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise RosterFailed(
                f"{self.path}: others may get at it (mode {stat.S_IMODE(found.st_mode):04o}). "
                f"Look at what is in it, and run `chmod 600 {self.path}`."
            )
        if found.st_uid not in (os.geteuid(), 0, self.path.parent.stat().st_uid):
            raise RosterFailed(
                f"{self.path}: belongs to uid {found.st_uid}, who could let any agent in. Restore it from a backup."
            )

    def _failed(self, exc: OSError) -> RosterFailed:
        return RosterFailed(
            f"{self.path}: {exc.strerror}. Run as its owner, and make its directory writable."
        )


def _find(rows: Rows, token: str, now: float) -> Invitation:
    wanted = token_hash(token)
    found = [each for each in rows.invitations if hmac.compare_digest(each.hash, wanted)]
    if not found:
        raise NotGood("the token is unknown, or was used already")
    if found[0].expires <= now:
        raise NotGood(f"the token for {found[0].name} has expired")
    return found[0]


def _written(rows: Rows) -> dict[str, object]:
    return {
        "version": VERSION,
        "agents": [
            {
                "name": each.name,
                "key": encoded(each.key),
                "targets": each.targets,
                "enrolled": each.enrolled,
                "revoked": each.revoked,
                "connected": each.connected,
                "source": each.source,
            }
            for each in rows.agents.values()
        ],
        "invitations": [
            {
                "name": each.name,
                "hash": encoded(each.hash),
                "targets": each.targets,
                "issued": each.issued,
                "expires": each.expires,
            }
            for each in rows.invitations
        ],
    }


def _parsed(value: object) -> Rows:
    if not isinstance(value, dict):
        raise TypeError("no object")
    content = cast("Mapping[str, object]", value)
    if content["version"] != VERSION:
        raise ValueError("it was written by another version of recgate-agent")
    agents = [
        Enrolled(
            str(row["name"]),
            decoded(row["key"], KEY),
            tuple(str(each) for each in cast("list[object]", row["targets"])),
            _time(row["enrolled"]) or 0.0,
            _time(row["revoked"]),
            _time(row["connected"]),
            str(row["source"]),
        )
        for row in cast("list[Mapping[str, object]]", content["agents"])
    ]
    invitations = [
        Invitation(
            str(row["name"]),
            decoded(row["hash"], HASH),
            tuple(str(each) for each in cast("list[object]", row["targets"])),
            _time(row["issued"]) or 0.0,
            _time(row["expires"]) or 0.0,
        )
        for row in cast("list[Mapping[str, object]]", content["invitations"])
    ]
    return Rows({each.name: each for each in agents}, invitations)


def _time(value: object) -> float | None:
    if value is None:
        return None
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError("no time")
    return float(value)
