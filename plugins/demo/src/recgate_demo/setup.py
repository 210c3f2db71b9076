"""Everything that stands behind and in front of the gateway, started in order and stopped in reverse."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from recgate_demo.accounts import DATABASE_ACCOUNTS, SHELL_ACCOUNTS, account_for, scratch_directory
from recgate_demo.clients import Person, outfit
from recgate_demo.errors import DemoError
from recgate_demo.gate import PEOPLE, Gate, gateway
from recgate_demo.postgresql import Database, postgresql
from recgate_demo.sshtarget import Machine, ssh_target

__all__ = ["Demo", "Stopped", "stops_by_signal", "whole_demo"]

CLIENTS = {
    "ssh": "openssh-client",
    "scp": "openssh-client",
    "psql": "postgresql-client-15",
}  # program: Debian package


class Stopped(BaseException):
    """Somebody wants the demo to end. Not an error, and nothing may catch it on the way out."""


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo."""

    database: Database
    machine: Machine
    gate: Gate
    people: dict[str, Person]


@contextmanager
def whole_demo(directory: Path, say: Callable[[str], None]) -> Generator[Demo]:
    """Run the targets and the gateway for as long as the block lasts, and give each person what they log in by.

    The targets' own files are removed at the end; the gateway's stay in `directory`. Raises `DemoError`.
    """
    _need_clients()
    database_account, shell_account = account_for(DATABASE_ACCOUNTS), account_for(SHELL_ACCOUNTS)
    with ExitStack() as stack:
        scratch = scratch_directory([database_account, shell_account])
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        say(f"starting PostgreSQL as {database_account.name} …")
        database = stack.enter_context(postgresql(scratch, database_account))
        say(f"starting an SSH target as {shell_account.name} …")
        machine = stack.enter_context(ssh_target(scratch, shell_account))
        say("starting the gateway in front of both …")
        gate = stack.enter_context(gateway(directory, database, machine))
        people = {name: outfit(gate, name) for name in PEOPLE}
        yield Demo(database, machine, gate, people)


def _need_clients() -> None:
    missing = sorted({package for program, package in CLIENTS.items() if shutil.which(program) is None})
    if missing:
        raise DemoError(
            f"clients are missing. Run `apt-get install {' '.join(missing)}`, or what they are called here."
        )


@contextmanager
def stops_by_signal() -> Generator[None]:
    """Turn Ctrl-C, SIGTERM and a closed terminal into `Stopped`; a second one changes nothing while things stop."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(number: int, frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(signal.Signals(number).name)

    # A demo under nohup outlives its terminal, as was asked for.
    heard = [each for each in signals if each != signal.SIGHUP or signal.getsignal(each) != signal.SIG_IGN]
    before = {each: signal.signal(each, stop) for each in heard}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
