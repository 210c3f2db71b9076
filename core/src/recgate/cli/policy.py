"""`recgate policy`: is there anything odd about the rules, and what would they have stopped?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import click

from recgate.cli.context import configuration, json_option, print_json, registry, unbound_registry
from recgate.cli.elsewhere import Elsewhere, elsewhere_options
from recgate.cli.offline import open_recordings
from recgate.cli.recordings import NOTHING, Recordings, warn
from recgate.cli.sessions import Moment
from recgate.config.entries import EntryReader
from recgate.config.marks import MAX_FILE, read_yaml
from recgate.config.policies import read_policies
from recgate.config.problems import Problems
from recgate.errors import ConfigurationError, ConfigurationUnreadable, RecordingDamaged, RecordingSealed
from recgate.policy.examining import Examining
from recgate.policy.replaying import Match, replay
from recgate.providers import SessionFilter
from recgate.transcript.moments import show_moment
from recgate.transcript.neutral import neutralise

if TYPE_CHECKING:
    from recgate.config import Configuration
    from recgate.providers import Policy

__all__ = ["policy"]

PAGE: Final = 1_000  # sessions that are asked for at a time
MAX_SHOWN: Final = 120  # characters of a text in a line


@click.group()
def policy() -> None:
    """Look at the rules of `policies:` before they decide anything."""


@policy.command()
@json_option
def check(as_json: bool) -> None:
    """Find rules that can never match, that another one hides, or that match more than was meant.

    Exit status 1 if there is anything of the kind. What is wrong by itself refuses the configuration: status 2.
    """
    config = configuration()
    targets = [target.info for target in config.targets.values()]
    found = [
        finding
        for each in registry().policies
        if isinstance(each, Examining)
        for finding in each.findings(targets)
    ]
    for finding in found:
        if as_json:
            print_json({"rule": finding.rule, "finding": finding.what})
        else:
            click.echo(f"{finding.rule}: {finding.what}.")
    if found:
        raise click.exceptions.Exit(NOTHING)
    if not as_json:
        click.echo(f"{len(config.policies)} rules, nothing odd about them")


@policy.command(name="try")
@click.option(
    "--policy", "file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="A YAML file with `policies:`; else those of the configuration.",
)  # fmt: skip
@click.option(
    "--since", type=Moment(), help="Sessions connected at this time or later: 30d, 2026-11-24, 09:30."
)
@click.option("--until", type=Moment(end=True), help="Sessions begun before this time.")
@click.option("--user", default="", metavar="NAME", help="Only of this user.")
@click.option("--target", default="", metavar="NAME", help="Only to this target.")
@json_option
@elsewhere_options
def try_(
    file: Path | None,
    since: float | None,
    until: float | None,
    user: str,
    target: str,
    as_json: bool,
    elsewhere: Elsewhere,
) -> None:
    """Run rules over recordings and list what they would have stopped, held, or raised an alert on.

    Nothing is changed. Exit status 1 if they would have let everything pass.
    """
    recordings = open_recordings(elsewhere)
    recordings.searched("policy try", " ".join(filter(None, (user, target))))
    policies = _policies(recordings.config, file)
    query = SessionFilter(user=user, target=target, since=since, until=until, limit=PAGE)
    sessions, matches = 0, 0
    for session in _sessions(recordings, query):
        sessions += 1
        try:
            for match in replay(
                recordings.opened(session),
                recordings.frames(session),
                recordings.registry.protocols,
                policies,
            ):
                matches += 1
                _show(match, as_json=as_json)
        except (RecordingDamaged, RecordingSealed) as exc:
            warn(f"{session}: {exc}; what comes behind it was not looked at")
    if not as_json:
        warn(f"{matches} of what {sessions} sessions asked for would have been stopped, held, or told")
    if not matches:
        raise click.exceptions.Exit(NOTHING)


def _sessions(recordings: Recordings, query: SessionFilter) -> Iterator[str]:
    """Give the ids that a filter finds, newest first, a page of the catalog at a time."""
    before = ""
    while page := recordings.catalog.find(replace(query, before=before)):
        yield from (row.id for row in page)
        before = page[-1].id


def _show(match: Match, *, as_json: bool) -> None:
    entry = f"{match.entry}.{match.part}" if match.part else str(match.entry)
    link = f"recgate show {match.session} --entry {entry}"
    if as_json:
        print_json({**asdict(match), "show": link})
        return
    what = " ".join(match.text.split())[:MAX_SHOWN]
    line = f"{show_moment(match.t)}  {match.effect:5}  {match.rule}  {match.user}@{match.target}  {match.kind}: {what}"
    click.echo(f"{neutralise(line)}\n    {link}")


def _policies(config: Configuration, file: Path | None) -> list[Policy]:
    """Build the policies of a file, everything else as in the configuration. Raises `ConfigurationError`."""
    if file is None:
        return registry().policies
    try:
        with file.open("rb") as stream:
            text = stream.read(MAX_FILE + 1).decode()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationUnreadable(f"{file}: cannot be read as UTF-8: {exc}. Check the path.") from exc
    problems = Problems(str(file))
    data = read_yaml(text, problems)
    problems.finish()
    if not isinstance(data, dict) or "policies" not in data:
        raise ConfigurationError(
            f"{file}:1: (the file): has no section `policies`. Begin it with `policies:`."
        )
    plugins = unbound_registry().alone()
    reader = EntryReader(problems, file.resolve().parent, plugins)
    masks = [mask.name for mask in config.masks]
    entries = read_policies(cast("dict[str, object]", data)["policies"], reader, masks)
    problems.finish()
    names = tuple(dict.fromkeys((*config.plugins, *reader.plugins)))
    changed = replace(config, policies=entries, plugins=names)
    plugins.load(changed.plugins)
    plugins.bind(changed)
    return plugins.policies
