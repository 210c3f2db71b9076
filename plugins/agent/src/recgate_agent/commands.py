"""`recgate agent`: where it runs; and `issue`, `ls`, `revoke`, `rm` on the gateway's own machine."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import trio

from recgate.cli.acting import acted
from recgate.cli.context import configuration, json_option, print_json
from recgate.cli.home import ClientHome, gateway_url
from recgate.config.values import parse_duration
from recgate.errors import RecgateError
from recgate.model import TARGET_NAME, Secret
from recgate.privatememory import keep_memory_private
from recgate.transcript.neutral import neutralise
from recgate_agent.enrolment import Home, enroll
from recgate_agent.proof import fingerprint
from recgate_agent.roster import Roster
from recgate_agent.running import Agent, TurnedAway

if TYPE_CHECKING:
    from recgate_agent.roster import Enrolled

__all__ = ["agent"]

TOKEN: Final = "RECGATE_AGENT_TOKEN"  # noqa: S105 - the name of a variable
MAX_TOKEN: Final = 4_096  # characters read from standard input
MAX_TTL: Final = 24 * 3600.0  # seconds: a token that lets a machine in is not left lying about
MAX_CA: Final = 1 << 20  # bytes

state_option = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="RECGATE_AGENT_STATE",
    metavar="DIR",
    help="Where the agent keeps its key; else $RECGATE_AGENT_STATE or ~/.config/recgate/agent.",
)


@click.group(invoke_without_command=True)
@state_option
@click.pass_context
def agent(ctx: click.Context, state: Path | None) -> None:
    """Run an agent, which brings the gateway to targets in a private network; without a command, do so."""
    ctx.obj = state
    if ctx.invoked_subcommand is None:
        _run(_home(None))


# -- where it runs -----------------------------------------------------------------------------------------


@agent.command("enroll")
@click.argument("url")
@click.option(
    "--ca",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="The gateway's ca.pem; else the system's authorities.",
)
@click.option("--replace", is_flag=True, help="Give up the enrolment that is here.")
@state_option
def enroll_(url: str, ca: Path | None, replace: bool, state: Path | None) -> None:
    """Enrol this machine at the gateway at URL, with the one-time token on standard input or in RECGATE_AGENT_TOKEN."""
    home = _home(state)
    if home.enrolled() and not replace:
        raise RecgateError(
            f"{home.directory}: an agent is enrolled here already. Give --replace, or another --state."
        )
    address, authorities = gateway_url(url), _read(ca)
    made = trio.run(enroll, home, address, authorities, _token())
    lines = [f"enrolled at {made.gateway} as {made.agent}, for"]
    lines += [f"  {name} at {at}" for name, at in made.targets.items()]
    for line in lines:
        click.echo(neutralise(line))
    click.echo("`recgate agent` runs it.", err=True)


def _home(state: Path | None) -> Home:
    above = click.get_current_context().find_object(Path)
    return Home(state or above or ClientHome.of().directory / "agent")


def _read(ca: Path | None) -> str:
    if ca is None:
        return ""
    try:
        with ca.open() as stream:
            return stream.read(MAX_CA)
    except (OSError, ValueError) as exc:
        raise RecgateError(f"{ca}: cannot be read as a CA: {exc}") from exc


def _token() -> Secret:
    if given := os.environ.get(TOKEN, ""):
        return Secret(given)
    if sys.stdin.isatty():
        return Secret(click.prompt("One-time token", hide_input=True, err=True))
    return Secret(sys.stdin.read(MAX_TOKEN))


def _run(home: Home) -> None:
    """Run until told to stop. Exit status 1 when the gateway turns the agent away."""
    keep_memory_private()
    try:
        trio.run(_until_told, Agent(home.load(), lambda words: click.echo(words, err=True)))
    except TurnedAway as exc:
        click.echo(f"recgate: {exc}", err=True)
        raise click.exceptions.Exit(1) from None


async def _until_told(running: Agent) -> None:
    """Run until a signal asks for the end. Raises `TurnedAway`."""
    away: TurnedAway | None = None
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop, signals, nursery.cancel_scope)
            try:
                await running.run()
            except TurnedAway as exc:
                away = exc
            nursery.cancel_scope.cancel()
    if away is not None:
        raise away


async def _stop(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()


# -- on the gateway ----------------------------------------------------------------------------------------


def _duration(ctx: click.Context, parameter: click.Parameter, value: str) -> float:
    try:
        seconds = parse_duration(value)
    except ValueError as exc:
        raise click.BadParameter(str(exc), ctx, parameter) from None
    if not 0 < seconds <= MAX_TTL:
        raise click.BadParameter("at most a day", ctx, parameter)
    return seconds


@agent.command()
@click.option("--name", required=True, metavar="N", help="What the agent is called.")
@click.option(
    "--target",
    "targets",
    multiple=True,
    required=True,
    metavar="T",
    help="What it leads to; may be repeated.",
)
@click.option(
    "--ttl",
    default="15m",
    show_default=True,
    metavar="TIME",
    callback=_duration,
    help="How long it may be used.",
)
@json_option
def issue(name: str, targets: tuple[str, ...], ttl: float, as_json: bool) -> None:
    """Print a one-time token, alone on its line, by which a machine becomes the agent N. It is not kept.

    An agent of that name is replaced when the token is used, and not before.
    """
    if not TARGET_NAME.match(name):
        raise RecgateError(
            "an agent's name has lower-case letters, digits, dot, dash and underscore, at most 63"
        )
    config = configuration()
    for each in targets:
        found = config.targets.get(each)
        if found is None:
            raise RecgateError(f"there is no target {each[:63]!a}: see `recgate targets`")
        if found.info.via != "agent":
            raise RecgateError(
                f"{each} is reached directly. Give it `via: agent` in the configuration first."
            )
    now = time.time()
    acted("agent.invited", agent=name, targets=list(targets), until=_moment(now + ttl))
    token = Roster(config.data_dir).invite(name, targets, ttl, now)
    if as_json:
        print_json({"agent": name, "token": token, "targets": list(targets), "expires": _moment(now + ttl)})
    else:
        click.echo(token)


@agent.command()
@json_option
def ls(as_json: bool) -> None:
    """List agents, and tokens that wait to be used. Exit status 1 if there is neither."""
    rows, now = Roster(configuration().data_dir).read(), time.time()
    waiting = [each for each in rows.invitations if each.expires > now]
    for row in rows.agents.values():
        if as_json:
            print_json(_shown(row))
        else:
            status = "enrolled" if row.stands else "revoked"
            seen = _moment(row.connected) or "never"
            click.echo(f"{row.name:<20} {status:<9} connected {seen:<20} {', '.join(row.targets)}")
    for each in waiting:
        if as_json:
            until = _moment(each.expires)
            print_json(
                {"agent": each.name, "status": "invited", "targets": list(each.targets), "expires": until}
            )
        else:
            click.echo(
                f"{each.name:<20} invited   until {_moment(each.expires):<24} {', '.join(each.targets)}"
            )
    if not rows.agents and not waiting:
        raise click.exceptions.Exit(1)


def _shown(row: Enrolled) -> dict[str, object]:
    return {
        "agent": row.name,
        "status": "enrolled" if row.stands else "revoked",
        "targets": list(row.targets),
        "key": fingerprint(row.key),
        "enrolled": _moment(row.enrolled),
        "revoked": _moment(row.revoked),
        "connected": _moment(row.connected),
        "source": row.source,
    }


@agent.command()
@click.argument("name")
def revoke(name: str) -> None:
    """Revoke an agent, and a token for its name: it is cut off, and sessions through it end.

    Exit status 1 if there is none.
    """
    if not Roster(configuration().data_dir).revoke(name, time.time()):
        _nobody(name)
    acted("agent.dismissed", restricts=True, agent=name, forgotten=False)
    click.echo(f"{name}: revoked")


@agent.command()
@click.argument("name")
def rm(name: str) -> None:
    """Forget an agent, which revokes it. Exit status 1 if there is none."""
    if not Roster(configuration().data_dir).remove(name, time.time()):
        _nobody(name)
    acted("agent.dismissed", restricts=True, agent=name, forgotten=True)
    click.echo(f"{name}: removed")


def _nobody(name: str) -> None:
    click.echo(f"there is no agent {name[:63]!a}; see `recgate agent ls`", err=True)
    raise click.exceptions.Exit(1)


def _moment(seconds: float | None) -> str | None:
    """Write wall-clock seconds as RFC 3339 in UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
