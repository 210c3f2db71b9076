"""`recgate requests` at a gateway elsewhere (a stub), and what it shows of hostile words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from core.tests.logingateway import command, signed_in, stub_gateway
from recgate.cli.requests import requests

PATH = "/api/v1/requests"
ROW: dict[str, Any] = {
    "id": "01JABC", "kind": "hold", "status": "pending", "asked": 0, "until": 4e9, "ended": None, "expires": None,
    "for": 0.0, "why": "", "user": "alice", "groups": ["dba"], "target": "prod-db", "source": "10.0.0.1:5",
    "session": "01JS", "asks": "sql", "rule": "unbounded", "reason": "", "needed": 2, "digest": "d" * 64,
    "approvers": ["group:leads"], "facts": [{"verb": "DELETE", "tables": ["public.goods"], "has_where": False}],
    "decisions": [{"user": "carol\x1b[2J", "effect": "approve", "reason": "ok", "at": 1, "counts": True}],
    "mine": False, "may_decide": True,
}  # fmt: skip


def test_it_has_every_word() -> None:
    assert sorted(requests.commands) == ["approve", "deny", "ls", "new", "revoke", "show"]  # type: ignore[attr-defined]


async def test_it_lists_and_shows_without_acting_on_the_terminal(tmp_path: Path) -> None:
    async with stub_gateway(tmp_path) as gateway:
        await signed_in(gateway, tmp_path)
        gateway.answers[f"{PATH}?status=pending"] = [(200, {"requests": [ROW]})]
        text = "DELETE FROM goods\n-- \x1b]0;x\x07\u202e"
        gateway.answers[f"{PATH}/01JABC"] = [(200, {**ROW, "text": text, "binds": ["7\x1b[0m"], "cut": True})]
        listed = await command(tmp_path, "requests")
        shown = await command(tmp_path, "requests", "show", "01JABC")
    assert listed.exit_code == shown.exit_code == 0, listed.output + shown.output
    assert "1 of 2" in listed.stdout
    for line in (
        "  tables   public.goods", "approvers  2 of group:leads", "decided    carol\\x1b[2J: approve: ok",
        "  DELETE FROM goods", "  -- \\x1b]0;x\\x07\\u202e", "  $1 = 7\\x1b[0m", "there is more of it than is shown",
    ):  # fmt: skip
        assert line in shown.stdout
    assert "\x1b" not in listed.stdout + shown.stdout


async def test_what_is_approved_is_what_the_gateway_says_it_is(tmp_path: Path) -> None:
    async with stub_gateway(tmp_path) as gateway:
        await signed_in(gateway, tmp_path)
        gateway.answers[f"{PATH}/01J"] = [(200, ROW)]
        gateway.answers[f"{PATH}/01JABC/approve"] = [(200, {**ROW, "status": "approved", "expires": None})]
        done = await command(tmp_path, "requests", "approve", "01J", "--reason", "ok")
        assert done.exit_code == 0, done.output
        path, body, _ = gateway.asked[-1]
        assert (path, body) == (f"{PATH}/01JABC/approve", {"reason": "ok", "digest": "d" * 64})
        gateway.answers[f"{PATH}/01JABC/approve"] = [(409, {"detail": "it is over\x1b[2J"})]
        done = await command(tmp_path, "requests", "approve", "01JABC", "--reason", "ok", "--digest", "x")
    assert done.exit_code == 1
    assert "it is over\\x1b[2J" in done.output


async def test_access_is_asked_for(tmp_path: Path) -> None:
    async with stub_gateway(tmp_path) as gateway:
        await signed_in(gateway, tmp_path)
        gateway.answers[PATH] = [(201, ROW)]
        words = ("requests", "new", "prod-db", "--for", "2h", "--reason", "deploy", "--json")
        done = await command(tmp_path, *words)
        assert json.loads(done.stdout)["id"] == "01JABC"
        assert gateway.asked[-1][1] == {"target": "prod-db", "for": 7200.0, "reason": "deploy"}
        assert (
            await command(tmp_path, "requests", "new", "prod-db", "--for", "2", "--reason", "x")
        ).exit_code == 2


async def test_an_empty_list_is_a_no(tmp_path: Path) -> None:
    async with stub_gateway(tmp_path) as gateway:
        await signed_in(gateway, tmp_path)
        gateway.answers[f"{PATH}?status=pending"] = [(200, {"requests": []})]
        assert (await command(tmp_path, "requests", "ls")).exit_code == 1
