"""`recgate demo`: try it out by hand, or with `--check` let it try itself."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from recgate_demo.checking import check_recordings
from recgate_demo.directory import demo_directory
from recgate_demo.errors import DemoError
from recgate_demo.following import follow
from recgate_demo.gate import APPROVER
from recgate_demo.guarded import ALIASED, DELETE, DROP_TABLE, play_guards
from recgate_demo.playing import Finding, play
from recgate_demo.processes import LOOPBACK
from recgate_demo.setup import Demo, Stopped, stops_by_signal, whole_demo

__all__ = ["demo"]

BY_HAND: Final = Path("recgate-demo")
BY_ITSELF: Final = Path("recgate-demo-check")
WRONG: Final = 1
COULD_NOT: Final = 2


@click.command()
@click.option("--check", is_flag=True, help="Play both clients and check the recordings; exit status 0 or 1.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help=f"Where the gateway keeps its data; ./{BY_HAND}, or ./{BY_ITSELF} with --check.",
)
def demo(check: bool, directory: Path | None) -> None:
    """Start a real PostgreSQL and a real SSH target, with the gateway in front, and print lines that go through it.

    Runs until Ctrl-C. Recordings stay in DIR and are there again the next time; with --check DIR is emptied first.
    """
    place = directory or (BY_ITSELF if check else BY_HAND)
    status = WRONG if check else COULD_NOT
    try:
        with stops_by_signal(), demo_directory(place, fresh=check) as own:
            if check:
                status = _check(own)
            else:
                _by_hand(own)
    except DemoError as exc:
        click.echo(f"demo: {exc}", err=True)
        raise click.exceptions.Exit(status) from exc
    except Stopped:
        # Ctrl-C is how a demo ends; a check that was cut short has not been passed.
        status = status if check else 0
    raise click.exceptions.Exit(status)


def _say(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()


def _check(directory: Path) -> int:
    with whole_demo(directory, _say) as running:
        scratch = Path(tempfile.mkdtemp(prefix="recgate-demo-clients-"))
        try:
            played = play(running, scratch, _say)
            play_guards(running, played, _say)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        check_recordings(running.gate.recgate, played, _say)
    _say("")
    for line in _verdict(played.findings):
        _say(line)
    _say("")
    _say(f"The recordings are in {directory / 'data'}. To look around in them:")
    for line in _looking(directory):
        _say(f"  {line}")
    right = all(finding.ok for finding in played.findings)
    if not right:
        _say(f"The gateway's log is {directory / 'gateway.log'}.")
    return 0 if right else WRONG


def _verdict(findings: Sequence[Finding]) -> Iterator[str]:
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        yield f"{'ok' if finding.ok else 'WRONG':<5}  {finding.what:<{width}}  {finding.detail}"
    wrong = sum(not finding.ok for finding in findings)
    yield f"{len(findings) - wrong} of {len(findings)} checks are right" + (
        f", {wrong} WRONG" if wrong else ""
    )


def _by_hand(directory: Path) -> None:
    try:
        with whole_demo(directory, _say) as running:
            for line in _instructions(running):
                _say(line)
            follow(running.gate, _say, directory)
    finally:
        if (directory / "data").exists():
            _say("")
            _say(
                f"Everything has been stopped. The recordings are in {directory / 'data'}; "
                "`recgate demo` goes on from there."
            )


def _instructions(running: Demo) -> Iterator[str]:
    gate, alice, bob = running.gate, running.people["alice"], running.people["bob"]
    machine = running.machine.username
    yield ""
    yield f"  prod-db   PostgreSQL {running.database.version}, a shop with 12 customers and 200 orders"
    yield f"  prod-web  a login shell as {machine}"
    yield f"  gateway   ssh on {LOOPBACK}:{gate.ports['ssh']}, postgres on {LOOPBACK}:{gate.ports['postgres']}"
    yield ""
    yield "Paste into a second terminal:"
    yield ""
    yield "  # as alice, a database administrator"
    yield f"  {alice.line(alice.psql())}"
    yield f"  {alice.line(alice.ssh())}"
    yield ""
    yield "  # as bob, of support: the database is open to him, the shell is not"
    yield f"  {bob.line(bob.psql())}"
    yield f"  {bob.line(bob.ssh())}"
    yield ""
    yield "In psql, for instance:"
    yield ""
    yield "  SELECT name, email, card FROM customers LIMIT 3;"
    yield "  CREATE DATABASE scratch;"
    yield "  DROP DATABASE scratch;"
    yield ""
    yield "What the rules and the mask are for:"
    yield ""
    yield f"  {ALIASED};"
    yield f"  {DROP_TABLE};"
    yield f"  {DELETE};   -- waits until {APPROVER} says so, in a third terminal:"
    yield ""
    yield f"  export RECGATE_TOKEN=$(recgate token issue --user {APPROVER})"
    yield "  recgate requests"
    yield "  recgate requests approve REQUEST --reason agreed"
    yield ""
    yield "And what is on record:"
    yield ""
    yield from (f"  {line}" for line in _looking(gate.directory))
    yield ""
    yield "What people do appears below. Ctrl-C stops everything."
    yield ""


def _looking(directory: Path) -> list[str]:
    programs = Path(sys.executable).parent
    path = (
        ""
        if str(programs) in os.environ.get("PATH", "").split(os.pathsep)
        else f" PATH={shlex.quote(str(programs))}:$PATH"
    )
    return [
        f"export RECGATE_CONFIG={shlex.quote(str(directory / 'recgate.yaml'))}{path}",
        "recgate sessions",
        "recgate search verb:drop object:database",
        "recgate search 'secret:*'",
        "recgate show SESSION --rows",
        "recgate replay SESSION",
        "recgate verify --all",
    ]
