"""The driver behind a listener of its own, with the core's fake door: real clients and a real sshd, no gateway.

What a session does in the whole gateway (identities, vault, sealing, verify) is tested in the workspace's
`tests/`; here every frame that the driver submits can be looked at, and the recorder can be told to break.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cbor2
import trio

from recgate.decisions import ALLOW, Decision
from recgate.driver import DriverSession
from recgate.errors import AccessDenied, AuthenticationFailed, UpstreamFailed
from recgate.ids import new_session_id
from recgate.keys import GatewayKeys
from recgate.mask import InputPolicy, Inputs, Masking
from recgate.model import (
    CertificateEvidence,
    ConnectionInfo,
    Credential,
    Evidence,
    LoginName,
    PasswordEvidence,
    Principal,
    PublicKeyEvidence,
    Secret,
    TargetInfo,
    Voucher,
    VoucherEvidence,
)
from recgate.providers import Challenge, PolicyRequest, Stage
from recgate.sansio.asks import LoggedIn
from recgate.session import Session
from recgate.testing.fakes import MemoryRecorder, Recorded
from recgate_ssh.driver import SshDriver
from recgate_ssh.options import SshListenerOptions, SshTargetOptions
from tests.peers.sshd import Sshd, keygen

__all__ = ["Door", "Gate", "open_gate"]

TOKEN = "rg-token-of-alice"
PATIENCE = 60.0


class Door:
    """A door that knows the keys and the token of the gate it belongs to."""

    def __init__(self, gate: Gate, connection: ConnectionInfo) -> None:
        self.gate = gate
        self.gateway = SimpleNamespace(config=SimpleNamespace(data_dir=gate.data_dir))
        self.connection = connection
        self.recorder = MemoryRecorder()
        self.recorder.waits = gate.waits
        self.session: Session | None = None
        self.reason = ""
        self.facts: Mapping[str, object] = {}
        self.sealed = trio.Event()

    async def recognises(self, name: str, evidence: Evidence) -> bool:
        await trio.lowlevel.checkpoint()
        self.gate.asked.append((name, evidence))
        return self.gate.proves(evidence)

    async def login(self, name: str, evidence: Evidence) -> LoggedIn:
        await trio.lowlevel.checkpoint()
        self.gate.tried.append((name, evidence))
        if self.gate.judging is not None:
            await self.gate.judging.wait()
        login = LoginName.parse(name)
        if not self.gate.proves(evidence) or login.claimed not in ("", "alice"):
            raise AuthenticationFailed("unknown", tell=self.gate.tell)
        return LoggedIn(Principal("fake", "1", "alice"), login.target)

    async def challenge(self, name: str) -> Challenge | None:
        await trio.lowlevel.checkpoint()
        return self.gate.challenge

    async def answered(self, name: str, challenge: Challenge) -> LoggedIn:
        principal = await challenge.answer()
        return LoggedIn(principal, LoginName.parse(name).target)

    async def open(
        self, who: LoggedIn, details: Mapping[str, str], tell: Callable[[str], None] | None = None
    ) -> Session:
        await trio.lowlevel.checkpoint()
        if who.target != self.gate.target.name:
            raise AccessDenied(f'no ssh target "{who.target}" is open to you: see `recgate targets`')
        self.gate.details.append(details)
        if self.gate.opening is not None:
            await self.gate.opening.wait()
        self.session = Session(
            id=new_session_id(),
            principal=who.principal,
            target=self.gate.target,
            connection=self.connection,
            recorder=self.recorder,  # pyright: ignore[reportArgumentType] - has the methods that sessions use
            decide=self.gate.decide,
        )
        self.session.credential = self.gate.credential
        self.session.stages = self.gate.stage
        self.session.masking = self.gate.masking
        self.session.inputs = self.gate.inputs
        self.session.emit = lambda kind, **facts: self.gate.events.append((kind, facts))
        if self.gate.inputs is not None:
            self.session.narrow([InputPolicy(self.gate.inputs)])
        return self.session

    async def dial(self) -> socket.socket:
        try:
            stream = await trio.open_tcp_stream(self.gate.target.host, self.gate.target.port)
        except OSError:
            raise UpstreamFailed(f"{self.gate.target.name}: cannot connect") from None
        sock = socket.socket(fileno=stream.socket.detach())
        sock.setblocking(False)
        return sock

    # -- what was recorded -----------------------------------------------------------------------------

    @property
    def frames(self) -> list[Recorded]:
        return self.recorder.frames

    def data(self, side: int, kind: str = "data", channel: int | None = None) -> bytes:
        return b"".join(
            frame.data
            for frame in self.frames
            if frame.side == side and frame.kind == kind and channel in (None, frame.channel)
        )

    def bodies(self, kind: str) -> list[dict[str, Any]]:
        return [cbor2.loads(frame.data) for frame in self.frames if frame.kind == kind]


class Gate:
    """A running driver. `ssh` runs the real client against it."""

    def __init__(self, directory: Path, target: TargetInfo, credential: Credential) -> None:
        self.directory = directory
        self.data_dir = directory / "data"
        self.data_dir.mkdir(parents=True)
        GatewayKeys(self.data_dir, "gate-test").prepare()
        self.target = target
        self.credential = credential
        self.user_key = keygen(directory / "alice")
        self.known: set[bytes] = {_blob(self.user_key)}
        self.token = TOKEN
        self.tell = ""  # what a refused client may hear
        self.challenge: Challenge | None = None
        self.voucher: Voucher | None = None
        self.decide: Callable[[PolicyRequest], Decision] = lambda request: ALLOW
        self.stage: Stage | None = None
        self.masking: Masking | None = None
        self.inputs: Inputs | None = None
        self.events: list[tuple[str, dict[str, object]]] = []
        self.waits = False
        self.judging: trio.Event | None = None  # logins wait for it
        self.opening: trio.Event | None = None  # sessions wait for it
        self.listener_options = SshListenerOptions()
        self.handshake_timeout = 60.0
        self.port = 0
        self.doors: list[Door] = []
        self.asked: list[tuple[str, Evidence]] = []
        self.tried: list[tuple[str, Evidence]] = []
        self.details: list[Mapping[str, str]] = []
        self.errors: list[BaseException] = []
        self.stop = trio.CancelScope()

    def proves(self, evidence: Evidence) -> bool:
        match evidence:
            case PublicKeyEvidence(_, blob) | CertificateEvidence(blob):
                return blob in self.known
            case PasswordEvidence(password):
                return password == Secret(self.token)
            case VoucherEvidence():
                return self.voucher is not None and self.voucher.target == self.target.name
            case _:
                return False

    @property
    def door(self) -> Door:
        """The door of the first session."""
        return self.doors[0]

    async def sealed(self, count: int = 1) -> Door:
        """Wait until that many connections are over; gives the last of them."""
        with trio.fail_after(PATIENCE):
            await self.until(lambda: len(self.doors) >= count)
            await self.doors[count - 1].sealed.wait()
        return self.doors[count - 1]

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until `stop` is cancelled."""
        with self.stop:
            await self.run(task_status=task_status)

    # -- the listener ----------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            listener = trio.socket.socket()
            await listener.bind(("127.0.0.1", 0))
            listener.listen(64)
            self.port = listener.getsockname()[1]
            with listener:
                task_status.started()
                while True:
                    accepted, peer = await listener.accept()
                    nursery.start_soon(self._serve, socket.socket(fileno=accepted.detach()), peer)

    async def _serve(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        sock.setblocking(False)
        where = f"{peer[0]}:{peer[1]}"
        door = Door(self, ConnectionInfo("ssh", "127.0.0.1:2222", where, voucher=self.voucher))
        deadline = trio.CancelScope(deadline=trio.current_time() + self.handshake_timeout)
        session = DriverSession(door, sock, self.listener_options, deadline)  # pyright: ignore[reportArgumentType]
        self.doors.append(door)
        try:
            with deadline:
                await SshDriver(self.listener_options).serve(session)
        except Exception as exc:  # noqa: BLE001 - the gateway's session boundary, which the test looks behind
            self.errors.append(exc)
        finally:
            door.reason, door.facts = session.end_reason, session.facts
            door.sealed.set()
            sock.close()

    # -- the client ------------------------------------------------------------------------------------

    def line(self, *options: str, key: Path | None = None, login: str = "", **settings: str) -> list[str]:
        """Give an `ssh` command line to the target, to which the command is added."""
        name = f"{login or self.target.name}@127.0.0.1"
        return ["ssh", "-p", str(self.port), *self.options(key=key, **settings), *options, name]

    def options(self, *, key: Path | None = None, **settings: str) -> list[str]:
        """Options that every OpenSSH client takes."""
        known = self.directory / "gate_known_hosts"
        line = (self.data_dir / "ssh_host_ed25519.pub").read_text()
        known.write_text(f"[127.0.0.1]:{self.port} {line}")
        given = {
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "IdentityFile": str(key or self.user_key),
            "UserKnownHostsFile": str(known),
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "LogLevel": "INFO",
            "ControlPath": "none",
            **settings,
        }
        return ["-F", "none", *(part for name, value in given.items() for part in ("-o", f"{name}={value}"))]

    async def ssh(
        self,
        *command: str,
        options: tuple[str, ...] = (),
        stdin: bytes = b"",
        login: str = "",
        key: Path | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `ssh` to the target; gives its output and exit status."""
        line = self.line(*options, key=key, login=login)
        return await self.run_client([*line, *command], stdin=stdin)

    @contextlib.asynccontextmanager
    async def client(self, line: list[str]) -> AsyncIterator[trio.Process]:
        """Run a client beside the test; it is killed at the end of the block if it still runs."""
        async with trio.open_nursery() as nursery:
            start = functools.partial(trio.run_process, line, check=False, stdin=subprocess.PIPE)
            process: trio.Process = await nursery.start(start)
            try:
                yield process
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so."""
        with trio.fail_after(PATIENCE):
            while not condition():  # noqa: ASYNC110 - a test looks again
                await trio.sleep(0.01)

    async def run_client(
        self, line: list[str], *, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run any client."""
        with trio.fail_after(PATIENCE):
            return await trio.run_process(
                line, stdin=stdin, capture_stdout=True, capture_stderr=True, check=False, env=env
            )


def _blob(key: Path) -> bytes:
    return base64.b64decode(key.with_suffix(".pub").read_text().split()[1])


@contextlib.asynccontextmanager
async def open_gate(directory: Path, sshd: Sshd, **options: Any) -> AsyncIterator[Gate]:
    """Run a gate in front of `sshd`; `options` are the target's."""
    given = {"host_key": sshd.host_key_line, **options}
    target = TargetInfo("prod-web", "ssh", "127.0.0.1", sshd.port, SshTargetOptions.model_validate(given))
    gate = Gate(directory, target, Credential(sshd.user, private_key=Secret(sshd.user_key.read_bytes())))
    async with trio.open_nursery() as nursery:
        await nursery.start(gate.serve)
        yield gate
        nursery.cancel_scope.cancel()
