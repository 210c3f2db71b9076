"""Everything that stands while the benchmark runs: servers, peers, and one gateway for each durability."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench.certificate import self_signed
from bench.gateway import SSH_TARGET, Gateway, SshTarget, gateway
from bench.pgwork import prepare
from bench.postgres import Address, pgbouncer, postgres
from bench.process import share_directory
from bench.sshwork import Login, ssh_config
from tests.peers.sshd import Sshd, keygen

__all__ = ["Effort", "Scene", "scene"]

# A bash that sshd starts reads ~/.bashrc unless it believes to be an inner shell; what stands there is not measured.
QUIET_SHELL: Final = {"SetEnv": "SHLVL=2"}


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is done: rounds of everything, and the size of each piece of work."""

    rounds: int = 5
    seconds: int = 3  # of one pgbench run, its connecting included
    rows: int = 1_000_000
    bulk: int = 500_000_000  # bytes
    keys: int = 2_000
    setups: int = 48
    idle_few: int = 100
    idle_many: int = 1_000
    idle_ssh: int = 40

    def quick(self) -> Effort:
        """Give the effort of `--quick`: a minute or two, for whether something is badly off."""
        return replace(
            self,
            rounds=3,
            seconds=2,
            rows=200_000,
            bulk=100_000_000,
            keys=300,
            setups=24,
            idle_many=200,
            idle_ssh=15,
        )


@dataclass(frozen=True, slots=True)
class Scene:
    """What stands, by the name under which the table has it."""

    directory: Path
    effort: Effort
    direct: Address
    pgbouncer: Address
    gateway: Gateway
    synced: Gateway
    rows: Path  # the wide table's rows, for COPY in
    bulk: Path  # what SSH reads
    logins: dict[str, Login]

    def tls(self, address: Address) -> Address:
        """Give an address with TLS to the client."""
        return replace(address, sslmode="require")


@contextmanager
def scene(directory: Path, effort: Effort) -> Iterator[Scene]:
    """Set the scene in `directory`; everything ends and is sealed when the block does."""
    share_directory(directory)
    with ExitStack() as stack:
        server = stack.enter_context(postgres(_below(directory, "server")))
        bouncer = stack.enter_context(
            pgbouncer(_below(directory, "bouncer"), server, self_signed(directory / "bouncer"))
        )
        target = stack.enter_context(Sshd(_below(directory, "target"), QUIET_SHELL))
        jump = stack.enter_context(Sshd(_below(directory, "jump"), QUIET_SHELL))
        key = keygen(directory / "client_key")
        host = SshTarget(target.port, target.user, target.user_key, target.host_key_line)
        public = key.with_suffix(".pub")
        written = stack.enter_context(gateway(_below(directory, "written"), server, host, public))
        synced = stack.enter_context(gateway(_below(directory, "synced"), server, None, durability="synced"))
        bulk = directory / "bulk"
        _terminal_text(bulk, effort.bulk)
        yield Scene(
            directory,
            effort,
            server,
            bouncer,
            written,
            synced,
            prepare(server, directory / "server", effort.rows),
            bulk,
            ssh_config(directory, target, jump, written.ssh_port, key, SSH_TARGET),
        )


def _below(directory: Path, name: str) -> Path:
    below = directory / name
    below.mkdir()
    share_directory(below)
    return below


def _terminal_text(path: Path, size: int) -> None:
    """Write what a build or a log looks like: lines that repeat in shape and not in content."""
    lines = b"".join(
        b"[%6d.%03d] worker-%d: request %08x took %d ms, %d rows, status=%s\n"
        % (
            i,
            i % 997,
            i % 13,
            i * 2654435761 % 2**32,
            i * 31 % 400,
            i * 17 % 1000,
            (b"ok", b"ok", b"retry")[i % 3],
        )
        for i in range(20_000)
    )
    with path.open("wb") as file:
        written = 0
        while written < size:
            written += file.write(lines[: size - written])
