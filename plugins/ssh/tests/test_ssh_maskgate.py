"""Masks at real ssh: what is seen is what is recorded, however the value comes, and doubt ends the channel."""

import time
from typing import Any

import pytest

from plugins.ssh.tests.gate import Gate
from plugins.ssh.tests.masks import CARD, masking, raising
from plugins.ssh.tests.reading import entries
from recgate.mask import Becomes
from recgate.sansio.frames import CLIENT, UPSTREAM


async def test_exec_output_is_masked_everywhere(gate: Gate):
    gate.masking = masking()
    done = await gate.ssh("echo card 4111111111111111 end; echo alice@example.com >&2; exit 3")

    assert done.stdout == b"card **************** end\n"
    assert done.stderr == b"*****************\n"
    assert done.returncode == 3
    door = await gate.sealed()
    assert CARD not in door.data(UPSTREAM)
    assert {(each["rule"], each["place"], each["count"]) for each in door.bodies("mask")} == {
        ("pii.credit_card", "stdout", 1),
        ("pii.email", "stderr", 1),
    }


@pytest.mark.parametrize("script", [
    "for c in 4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1; do printf $c; done; echo",
    "printf '4111\\033[31m1111\\033[0m1111\\033[K1111\\n'",
    "printf '411111111'; sleep 0.01; printf '1111111\\n'",
    "printf '4\\b4111111111111111\\n'",
    "printf '\\303\\274 4111111111111111 \\303'; printf '\\274\\n'",
])  # fmt: skip
async def test_however_it_comes(gate: Gate, script: str):
    gate.masking = masking()
    done = await gate.ssh(script)
    shown = b"".join(bytes((byte,)) for byte in done.stdout if 0x30 <= byte <= 0x39)
    assert b"41" not in shown
    assert b"1111" not in done.stdout
    door = await gate.sealed()
    assert door.data(UPSTREAM) == done.stdout
    assert [each["rule"] for each in door.bodies("mask")] == ["pii.credit_card"]


async def test_colours_stay(gate: Gate):
    gate.masking = masking(becomes=Becomes.KEEP_LAST, keep=4)
    done = await gate.ssh("printf '\\033[1;31m4111\\033[32m111111111111\\033[0m\\n'")
    assert done.stdout == b"\x1b[1;31m****\x1b[32m********1111\x1b[0m\n"


async def test_what_left_before_it_was_known_is_partial(gate: Gate):
    gate.masking = masking()
    done = await gate.ssh("printf 4111111111; sleep 0.4; echo 111111")
    assert done.stdout == b"4111111111******\n"
    door = await gate.sealed()
    (mask,) = door.bodies("mask")
    assert mask == {"rule": "pii.credit_card", "place": "stdout", "count": 1, "partial": True}


async def test_a_terminals_echo_does_not_lag(gate: Gate):
    """Keys are echoed within milliseconds although a word is under way that may become an address."""
    gate.masking = masking()
    async with gate.client([*gate.line("-tt"), "echo ready; cat"]) as process:
        assert process.stdin is not None
        await gate.until(lambda: bool(gate.doors) and b"ready" in gate.door.data(UPSTREAM))
        worst = 0.0
        typed = b"alice.example"
        for n in range(len(typed)):
            before = time.perf_counter()
            await process.stdin.send_all(typed[n : n + 1])
            await gate.until(lambda n=n: typed[: n + 1] in gate.door.data(UPSTREAM))
            worst = max(worst, time.perf_counter() - before)
        await process.stdin.send_all(b"\x03")
    assert worst < 0.25  # on a busy machine; what is held is held 5 ms


async def test_much_output_is_all_there(gate: Gate):
    gate.masking = masking()
    done = await gate.ssh("seq 1 60000; head -c 3000000 /dev/zero | tr '\\0' x")
    assert done.stdout == b"".join(b"%d\n" % n for n in range(1, 60001)) + b"x" * 3_000_000


async def test_a_masker_that_raises_ends_the_channel(gate: Gate):
    gate.masking = raising(b"boom")
    done = await gate.ssh("echo fine; sleep 0.3; echo boom secret; sleep 0.3; echo more")
    assert done.stdout == b"fine\n"
    assert b"the masker pii failed (RuntimeError); the rest of the output is withheld" in done.stderr
    assert done.returncode == 1
    door = await gate.sealed()
    assert b"secret" not in door.data(UPSTREAM)
    assert b"more" not in door.data(UPSTREAM)


async def test_files_are_not_masked(gate: Gate, tmp_path: Any):
    gate.masking = masking()
    (tmp_path / "x").write_bytes(CARD)
    for how in ("-s", "-O"):
        line = [
            "scp",
            "-q",
            how,
            "-P",
            str(gate.port),
            *gate.options(),
            f"prod-web@127.0.0.1:{tmp_path}/x",
            f"{tmp_path}/y{how}",
        ]
        done = await gate.run_client(line)
        assert done.returncode == 0, done
        assert (tmp_path / f"y{how}").read_bytes() == CARD


async def test_a_copy_that_does_more_is_masked(gate: Gate, tmp_path: Any):
    gate.masking = masking()
    (tmp_path / "x").write_bytes(CARD + b"\n")
    done = await gate.ssh(f"cat {tmp_path}/x; true scp -f y")
    assert CARD not in done.stdout
    done = await gate.ssh(f"scp -f /nonexistent; cat {tmp_path}/x")
    assert CARD not in done.stdout


async def test_the_transcript_has_the_mask(gate: Gate):
    gate.masking = masking()
    await gate.ssh("echo alice@example.com alice@example.com", options=("-tt",))
    door = await gate.sealed()
    told = entries(door.frames)
    assert all("alice@" not in str(each.body) for each in told if each.kind == "screen")
    assert door.bodies("mask") == [{"rule": "pii.email", "place": "terminal", "count": 2}]
    assert door.data(CLIENT) == b""
