"""Pasted secrets at real ssh: told of by rule and place, and kept from the target where that is wanted."""

import time
from pathlib import Path
from typing import Any

import pytest

from plugins.ssh.tests.gate import Gate
from plugins.ssh.tests.masks import masking, raising
from plugins.ssh.tests.terminals import open_terminal
from recgate.mask import Inputs
from recgate.sansio.frames import CLIENT

KEY = "AKIAIOSFODNN7EXAMPLE"


def look(gate: Gate, *, block: bool) -> None:
    gate.inputs = Inputs(masking("secret"), frozenset({"pii"} if block else ()))


def told(gate: Gate) -> list[tuple[Any, ...]]:
    return [
        (each["rule"], each["place"], each["count"], each["blocked"])
        for kind, each in gate.events
        if kind == "secret.pasted"
    ]


@pytest.mark.parametrize("paste", ["echo {}", "\x1b[200~echo {}\x1b[201~"])
async def test_a_paste_into_a_terminal_is_told_of(gate: Gate, paste: str):
    look(gate, block=False)
    async with open_terminal(gate) as terminal:
        await terminal.type(paste.replace("{}", KEY))
        await terminal.see(KEY)
        await terminal.type("\r")
        await terminal.see(KEY)
        await terminal.leave()
    assert told(gate) == [("pii.aws_key", "terminal", 1, False)]
    door = await gate.sealed()
    assert door.bodies("secret") == [
        {"rule": "pii.aws_key", "place": "terminal", "count": 1, "blocked": False}
    ]


@pytest.mark.parametrize(
    "paste", ["echo {}\r", "\x1b[200~echo {}\x1b[201~", "echo {}", "one\recho {}\recho two\r"]
)
async def test_a_paste_is_kept_from_the_target(gate: Gate, paste: str):
    look(gate, block=True)
    async with open_terminal(gate) as terminal:
        await terminal.type(paste.replace("{}", KEY))
        await terminal.until(
            lambda: b"pii.aws_key: a secret was pasted here; it has not been sent" in terminal.told
        )
        await terminal.type("\x15")
        await terminal.run("echo fine $((40 + 2))")
        assert b"fine 42" in terminal.shown
        await terminal.leave()
    door = await gate.sealed()
    assert KEY.encode() not in b"".join(frame.data for frame in door.frames)
    assert told(gate) == [("pii.aws_key", "terminal", 1, True)]


async def test_a_paste_in_two_reads(gate: Gate):
    look(gate, block=True)
    async with open_terminal(gate) as terminal:
        await terminal.type("echo " + KEY[:10])
        await terminal.type(KEY[10:] + "\r")
        await terminal.until(lambda: b"it has not been sent" in terminal.told)
        await terminal.leave()
    assert KEY.encode() not in (await gate.sealed()).data(CLIENT)


async def test_typed_key_by_key_it_is_stopped_at_the_last(gate: Gate):
    look(gate, block=True)
    async with open_terminal(gate) as terminal:
        for key in "echo " + KEY:
            await terminal.type(key)
            await terminal.until(lambda: bool(gate.door.frames))
        await terminal.until(lambda: b"it has not been sent" in terminal.told)
        await terminal.type("\r")
        await terminal.prompt()
        await terminal.leave()
    door = await gate.sealed()
    assert KEY.encode() not in door.data(CLIENT)
    assert b"\x15" in door.data(2)


async def test_keys_do_not_lag(gate: Gate):
    look(gate, block=True)
    async with open_terminal(gate) as terminal:
        before = time.perf_counter()
        for n, key in enumerate("echo abcdef"):
            await terminal.type(key)
            await terminal.until(lambda n=n: len(gate.door.data(CLIENT)) > n)
        assert time.perf_counter() - before < 11 * 0.05
        await terminal.leave()


async def test_command_lines_and_their_input(gate: Gate, tmp_path: Path):
    look(gate, block=True)
    done = await gate.ssh(f"echo {KEY} > {tmp_path}/x")
    assert done.returncode == 1
    assert b"pii.aws_key: a secret stands in it; it has not been sent" in done.stderr
    done = await gate.ssh(f"cat > {tmp_path}/y; echo end", stdin=f"key={KEY}\n".encode())
    assert b"it has not been sent, and the input ends" in done.stderr
    assert told(gate) == [("pii.aws_key", "command", 1, True), ("pii.aws_key", "stdin", 1, True)]
    for door in gate.doors:
        await door.sealed.wait()
        assert KEY.encode() not in b"".join(frame.data for frame in door.frames)


async def test_what_is_no_secret_passes_whole(gate: Gate):
    look(gate, block=True)
    data = b"".join(b"line %d of plain text AKIA\n" % n for n in range(20_000))
    done = await gate.ssh("cat", stdin=data)
    assert done.stdout == data


async def test_doubt_stops_the_input(gate: Gate):
    gate.inputs = Inputs(raising(b"boom"), frozenset({"pii"}))
    done = await gate.ssh("cat", stdin=b"fine\nboom\n")
    assert b"nothing more of the input is passed on" in done.stderr
    assert b"boom" not in (await gate.sealed()).data(CLIENT)
