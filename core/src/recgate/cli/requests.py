"""`recgate requests`: what waits for approval, and the word of whoever may say it.

On the gateway's own machine it goes through the control socket, elsewhere through the API. Either way who decides is
whom a token proves: `RECGATE_TOKEN`, or the stored sign-in.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol, cast
from urllib.parse import quote

import click
import trio

from recgate.cli.context import configuration, json_option, print_json
from recgate.cli.livesocket import Refused, ask
from recgate.cli.moments import span
from recgate.cli.remote import Denied, RemoteGateway, gateway_options, is_client
from recgate.config.values import parse_duration
from recgate.transcript.columns import aligned
from recgate.transcript.neutral import neutralise

__all__ = ["requests"]

TOKEN: Final = "RECGATE_TOKEN"  # noqa: S105 - the name of a variable
PATH: Final = "/api/v1/requests"
NO: Final = 1  # exit status: the answer is no, or there is none
STATUSES: Final = ("pending", "approved", "denied", "expired", "withdrawn", "revoked")
HEADINGS: Final = ("REQUEST", "STATUS", "USER", "TARGET", "ASKS", "RULE", "LEFT", "APPROVALS", "MAY")
SHORT: Final = 26

Row = Mapping[str, object]


class _Desk(Protocol):
    """Where requests are looked at and decided on."""

    def call(self, what: Mapping[str, object]) -> Sequence[Row]:
        """Do what `what["call"]` says. Raises `RecgateError`, and `Denied` where the answer is no."""
        ...


class _Here:
    """The running gateway of this machine."""

    def call(self, what: Mapping[str, object]) -> Sequence[Row]:
        """Ask by the control socket."""
        token = os.environ.get(TOKEN, "")
        asked = {"do": "requests", **what, **({"token": token} if token else {})}
        return list(ask(configuration().data_dir, asked))


class _Elsewhere:
    """A gateway that this person is signed in at."""

    def __init__(self, gateway: RemoteGateway) -> None:
        self._gateway = gateway

    def call(self, what: Mapping[str, object]) -> Sequence[Row]:
        """Ask by the API."""
        word, request = str(what["call"]), quote(str(what.get("request", "")), safe="")
        body = {key: value for key, value in what.items() if key not in ("call", "request")}
        if word == "ls":
            status = str(what.get("status", ""))
            said = trio.run(self._gateway.call, PATH + (f"?status={status}" if status else ""))
            rows = said.get("requests")
            found = cast("list[object]", rows) if isinstance(rows, list) else []
            return [cast("Row", each) for each in found if isinstance(each, dict)]
        if word == "show":
            return [trio.run(self._gateway.call, f"{PATH}/{request}")]
        path = PATH if word == "new" else f"{PATH}/{request}/{word}"
        return [trio.run(self._gateway.call, path, body)]


def _desk(url: str, ca: Path | None) -> _Desk:
    return _Elsewhere(RemoteGateway.of(url, ca)) if is_client(url) else _Here()


def _called(desk: _Desk, what: Mapping[str, object]) -> Sequence[Row]:
    """Call, and take a no for the answer that it is: exit status 1."""
    try:
        return desk.call(what)
    except (Denied, Refused) as exc:
        click.echo(f"recgate: {neutralise(str(exc))}", err=True)
        raise click.exceptions.Exit(NO) from None


@click.group(invoke_without_command=True)
@click.pass_context
def requests(ctx: click.Context) -> None:
    """Look at requests for approval, decide on them, ask for access; without a command, list what waits."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(ls, url="", ca=None, status="pending", everything=False, as_json=False)


@requests.command()
@click.option(
    "--status", type=click.Choice(STATUSES), default="pending", show_default=True, help="Only of this status."
)
@click.option("--all", "everything", is_flag=True, help="Of every status, the newest first.")
@gateway_options
@json_option
def ls(status: str, everything: bool, url: str, ca: Path | None, as_json: bool) -> None:
    """List the requests that concern you. Exit status 1 if there is none."""
    rows = _called(_desk(url, ca), {"call": "ls", "status": "" if everything else status})
    now = time.time()
    if as_json:
        for row in rows:
            print_json(row)
    else:
        for line in aligned([HEADINGS, *(_cells(row, now) for row in rows)]) if rows else ():
            click.echo(line)
    if not rows:
        raise click.exceptions.Exit(NO)


def _cells(row: Row, now: float) -> tuple[str, ...]:
    cells = (
        _text(row, "id")[:SHORT],
        _text(row, "status"),
        _text(row, "user"),
        _text(row, "target"),
        _text(row, "asks"),
        _text(row, "rule"),
        _left(row, now),
        f"{_approvals(row)} of {_text(row, 'needed')}",
        "you" if row.get("may_decide") else "yours" if row.get("mine") else "",
    )
    return tuple(neutralise(cell) for cell in cells)


@requests.command()
@click.argument("request")
@gateway_options
@json_option
def show(request: str, url: str, ca: Path | None, as_json: bool) -> None:
    """Show a request: what it would do, and its exact text to those who may approve it."""
    (row,) = _called(_desk(url, ca), {"call": "show", "request": request})
    if as_json:
        print_json(row)
        return
    for line in _lines(row, time.time()):
        click.echo(line)


def _lines(row: Row, now: float) -> list[str]:
    """Word a request for a terminal. Nothing of what it says acts on that."""
    asker = f"{_text(row, 'user')} ({', '.join(_words(row.get('groups'))) or 'no groups'})"
    facts = [
        (str(key), ", ".join(_words(cast("object", value))) if isinstance(value, list) else str(value))
        for act in _rows(row.get("facts"))
        for key, value in act.items()
    ]
    pairs = [
        ("request", _text(row, "id")),
        ("status", f"{_text(row, 'status')} {_text(row, 'why')}".strip()),
        ("asked by", asker),
        ("from", _text(row, "source")),
        ("target", _text(row, "target")),
        ("session", _text(row, "session")),
        ("asks", _text(row, "asks")),
        ("rule", _text(row, "rule")),
        ("for", span(_number(row, "for")) if _number(row, "for") else ""),
        ("reason", _text(row, "reason")),
        ("left", _left(row, now)),
        ("approvers", f"{_text(row, 'needed')} of {', '.join(_words(row.get('approvers')))}"),
        *((f"  {name}", value) for name, value in facts),
        *(
            (
                "decided",
                f"{_text(each, 'user')}: {_text(each, 'effect')}: {_text(each, 'reason')}{_counts(each)}",
            )
            for each in _rows(row.get("decisions"))
        ),
        ("digest", _text(row, "digest")),
    ]
    lines = [f"{name:<10} {neutralise(value)}" for name, value in pairs if value]
    if "text" in row:
        lines += ["", *(f"  {line}" for line in neutralise(_text(row, "text"), lines=True).split("\n"))]
        lines += [
            f"  ${number} = {neutralise(value)}" for number, value in enumerate(_words(row.get("binds")), 1)
        ]
        if row.get("cut"):
            lines.append("  (there is more of it than is shown; the digest is over all of it)")
    return lines


def _counts(row: Row) -> str:
    return "" if row.get("counts", True) else " (counts no longer)"


@requests.command()
@click.argument("request")
@click.option("--reason", required=True, metavar="TEXT", help="Why; kept with the request.")
@click.option(
    "--digest", default="", metavar="SHA256", help="Approve this alone; else what the request is now."
)
@gateway_options
@json_option
def approve(request: str, reason: str, digest: str, url: str, ca: Path | None, as_json: bool) -> None:
    """Approve a request, as the person whose token it is. Exit status 1 if that may not be."""
    desk = _desk(url, ca)
    if not digest:
        (row,) = _called(desk, {"call": "show", "request": request})
        request, digest = _text(row, "id"), _text(row, "digest")
    said = {"call": "approve", "request": request, "reason": reason, "digest": digest}
    _say(_called(desk, said)[0], as_json)


@requests.command()
@click.argument("request")
@click.option("--reason", required=True, metavar="TEXT", help="Why; told to who asked, and kept.")
@gateway_options
@json_option
def deny(request: str, reason: str, url: str, ca: Path | None, as_json: bool) -> None:
    """Deny a request, as the person whose token it is. Exit status 1 if that may not be."""
    _say(_called(_desk(url, ca), {"call": "deny", "request": request, "reason": reason})[0], as_json)


@requests.command()
@click.argument("request")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept with the request.")
@gateway_options
@json_option
def revoke(request: str, reason: str, url: str, ca: Path | None, as_json: bool) -> None:
    """Take back access that was granted, or a request of your own for it; its sessions end at once."""
    _say(_called(_desk(url, ca), {"call": "revoke", "request": request, "reason": reason})[0], as_json)


def _seconds(ctx: click.Context, parameter: click.Parameter, value: str) -> float:
    try:
        return parse_duration(value)
    except ValueError as exc:
        raise click.BadParameter(str(exc), ctx, parameter) from None


@requests.command()
@click.argument("target")
@click.option(
    "--for", "lasts", required=True, metavar="TIME", callback=_seconds, help="How long it is needed: 2h."
)
@click.option("--reason", required=True, metavar="TEXT", help="What for; those who approve read it.")
@gateway_options
@json_option
def new(target: str, lasts: float, reason: str, url: str, ca: Path | None, as_json: bool) -> None:
    """Ask for access to a target that offers it on request. Exit status 1 if it does not, to you."""
    said = {"call": "new", "target": target, "for": lasts, "reason": reason}
    _say(_called(_desk(url, ca), said)[0], as_json)


def _say(row: Row, as_json: bool) -> None:
    if as_json:
        print_json(row)
        return
    words = f"{_text(row, 'id')}: {_text(row, 'status')}"
    if row.get("status") == "pending":
        words += f", {_approvals(row)} of {_text(row, 'needed')} approvals"
    if isinstance(until := row.get("expires"), (int, float)) and row.get("status") == "approved":
        words += f" until {time.strftime('%Y-%m-%d %H:%M', time.localtime(until))}"
    click.echo(neutralise(words))


# -- of rows -----------------------------------------------------------------------------------------------


def _text(row: Row, key: str) -> str:
    value = row.get(key)
    return "" if value is None else str(value)


def _number(row: Row, key: str) -> float:
    value = row.get(key)
    return float(value) if isinstance(value, (int, float)) else 0.0


def _words(value: object) -> list[str]:
    return [str(each) for each in cast("list[object]", value)] if isinstance(value, list) else []


def _rows(value: object) -> list[Row]:
    found = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("Row", each) for each in found if isinstance(each, dict)]


def _approvals(row: Row) -> int:
    return sum(
        1 for each in _rows(row.get("decisions")) if each.get("effect") == "approve" and each.get("counts")
    )


def _left(row: Row, now: float) -> str:
    moment = _number(row, "until") if row.get("status") == "pending" else _number(row, "expires")
    return span(moment - now) if moment > now and row.get("status") in ("pending", "approved") else ""
