"""A shell without a terminal reads lines; so does the gate."""

import os
from pathlib import Path

from plugins.ssh.tests.gate import Gate
from plugins.ssh.tests.terminals import forbid_verbs


async def test_lines_are_judged_one_by_one(gate: Gate, tmp_path: Path):
    asked = forbid_verbs(gate, "rm")
    victim = tmp_path / "victim"
    victim.write_text("")
    script = f"echo one\nrm {victim}\necho 'a\nb'\nrm \\\n{victim}\ncat <<E\nrm\nE\necho end"
    done = await gate.ssh(options=("-T",), stdin=script.encode())

    assert done.stdout == b"one\na\nb\nrm\nend\n" or b"one\na\nb\n" in done.stdout
    assert done.stdout.endswith(b"end\n")
    assert done.stderr.count(b"no-rm: not here") >= 2
    assert os.listdir(tmp_path).count("victim")
    assert asked[0] == "echo one"
    assert asked[-1] == "echo end"


async def test_a_line_within_quotes_may_be_none(gate: Gate, tmp_path: Path):
    """`read x` takes the quote, and what looks quoted is a command."""
    forbid_verbs(gate, "rm")
    victim = tmp_path / "victim"
    victim.write_text("")
    done = await gate.ssh(options=("-T",), stdin=f"read x\ndon't\nrm {victim}\necho it's\n".encode())
    assert b"not here" in done.stderr
    assert os.listdir(tmp_path).count("victim")


async def test_a_shell_that_is_given_its_input_is_opaque(gate: Gate):
    asked: list[bool] = []

    def decide(request: object) -> object:
        from recgate.decisions import ALLOW
        from recgate.policy import acts_of

        asked.append(any(act.opaque for act in acts_of(request.request)))  # pyright: ignore[reportAttributeAccessIssue]
        return ALLOW

    gate.decide = decide  # pyright: ignore[reportAttributeAccessIssue]
    await gate.ssh("bash", stdin=b"true\n")
    await gate.ssh("true")
    assert asked == [True, False]


async def test_a_huge_line_is_opaque(gate: Gate):
    forbid_verbs(gate, "rm")
    done = await gate.ssh(options=("-T",), stdin=b"echo " + b"x" * 200_000 + b"\necho end\n")
    assert b"not here" in done.stderr
    assert done.stdout == b"end\n"
