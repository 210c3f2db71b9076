"""Commands of a terminal are judged as they stand on the line, and what is refused is never run."""

import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from plugins.ssh.tests.gate import Gate
from plugins.ssh.tests.reading import entries
from plugins.ssh.tests.terminals import BASH, Terminal, forbid_verbs, open_terminal
from recgate.decisions import ALLOW, Decision, Effect
from recgate.policy import acts_of
from recgate_ssh.commandline import UNSEEN
from recgate_ssh.shellgate import command_request


@pytest.fixture
def victim() -> Iterator[Path]:
    # A short path, so that lines with it do not wrap: what wraps has tests of its own.
    with tempfile.TemporaryDirectory(prefix="v", dir="/tmp") as directory:
        path = Path(directory, "victim")
        path.touch()
        yield path


def there(path: Path) -> bool:
    return path.exists()


def test_a_command_that_is_not_certain_is_opaque() -> None:
    assert [act.opaque for act in acts_of(command_request(1, "ls", certain=True))] == [False]
    assert [act.opaque for act in acts_of(command_request(1, "ls", certain=False))] == [False, True]


@pytest.mark.parametrize(
    "keys",
    [
        "rm {}\r",
        "rm {}\n",
        "rm {}\x0f",  # readline runs the line at Ctrl-O
        "rx\x7fm {}\r",
        "m {}\x01r\r",  # to the begin of the line, and a letter
        "ls;rm {}\x1bb\x1bb\x1b[D\x1b[D\r",  # the cursor somewhere else
        "r''m {}\r",
        "ls {}\x15rm {}\r",
        "x{}\x17rm {}\r",  # a word erased
        "\\rm {}\r",
        "echo $(rm {})\r",
        "rm \\\r{}\r",  # a line that goes on
        "r\\\rm {}\r",
        "true '\r'; rm {}\r",
        "rm {}\t\r",
        "rm {} #" + "x" * 5_000 + "\r",
        "ls #" + "x" * 200 + "\x01rm {};\r",  # beyond the width
    ],
)
async def test_it_is_refused_however_it_is_typed(gate: Gate, victim: Path, keys: str):
    forbid_verbs(gate, "rm")
    async with open_terminal(gate) as terminal:
        await terminal.type(keys.replace("{}", str(victim)))
        await terminal.refused()
        await terminal.run("echo still $((40 + 2))")
        assert b"still 42" in terminal.shown
        await terminal.leave()
    assert there(victim)
    decisions = (await gate.sealed()).bodies("decision")
    assert [each["rule"] for each in decisions] == ["no-rm"] * len(decisions)


async def test_history_is_what_it_shows(gate: Gate, victim: Path):
    asked = forbid_verbs(gate, "rm")
    async with open_terminal(gate) as terminal:
        await terminal.run(f"history -s 'rm {victim}'")
        await terminal.type("\x1b[A\r")
        await terminal.refused()
        await terminal.leave()
    assert there(victim)
    assert asked[1] == f"rm {victim}"


async def test_a_line_that_wraps_is_read_whole(gate: Gate):
    asked = forbid_verbs(gate, "rm")
    line = "echo " + " ".join(f"word-{n}" for n in range(30)) + " $((40 + 2))"
    async with open_terminal(gate) as terminal:
        await terminal.type(f"{line}\r")
        await terminal.see("word-29 42")
        await terminal.leave()
    assert asked[0] == line


async def test_the_reverse_search_is_read(gate: Gate, victim: Path):
    asked = forbid_verbs(gate, "rm")
    async with open_terminal(gate) as terminal:
        await terminal.run(f"cd {victim.parent}")
        await terminal.run("history -s 'rm victim'")
        await terminal.type("\x12rm vic")
        await terminal.see("victim")
        await terminal.type("\r")
        await terminal.refused()
        await terminal.leave()
    assert there(victim)
    assert asked[2] == "rm victim"


async def test_completion_is_what_it_shows(gate: Gate, tmp_path: Path):
    tool = tmp_path / "dangerous-tool"
    tool.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    tool.chmod(0o755)
    asked = forbid_verbs(gate, "dangerous-tool")
    async with open_terminal(gate) as terminal:
        await terminal.type(f"{tmp_path}/dang\t\r")
        await terminal.refused()
        await terminal.leave()
    assert not (tmp_path / "ran").exists()
    assert asked[0] == str(tool)


@pytest.mark.parametrize("brackets", [True, False])
async def test_several_commands_in_one_paste(gate: Gate, victim: Path, brackets: bool):
    forbid_verbs(gate, "rm")
    async with open_terminal(gate, f"set enable-bracketed-paste {'on' if brackets else 'off'}") as terminal:
        await terminal.type(f"\x1b[200~echo one $((1+1))\rrm {victim}\recho thr$((1))ee\r\x1b[201~\r")
        await terminal.refused()
        await terminal.run("echo end")
        assert b"thr1ee" not in terminal.shown
        await terminal.leave()
    assert there(victim)


async def test_a_paste_without_brackets_stops_at_what_is_refused(gate: Gate, victim: Path):
    forbid_verbs(gate, "rm")
    async with open_terminal(gate) as terminal:
        await terminal.type(f"echo o$((1))ne\rrm {victim}\recho t$((1))wo\r")
        await terminal.refused()
        await terminal.run("echo end")
        assert b"o1ne" in terminal.shown
        assert b"t1wo" not in terminal.shown
        await terminal.leave()
    assert there(victim)


async def test_a_paste_with_brackets_that_is_allowed_runs(gate: Gate):
    forbid_verbs(gate, "rm")
    async with open_terminal(gate) as terminal:
        await terminal.type("\x1b[200~echo o$((1))ne\recho t$((1))wo\x1b[201~")
        await terminal.see("wo")
        await terminal.type("\r")
        await terminal.see("t1wo")
        await terminal.prompt()
        await terminal.leave()


async def test_a_password_is_no_command_and_nowhere_in_the_clear(gate: Gate):
    asked = forbid_verbs(gate, "hunter2")
    async with open_terminal(gate) as terminal:
        await terminal.type("read -s -p 'Password: ' x; echo; echo length ${#x}\r")
        await terminal.see("Password: ")
        await terminal.see("Password: ")
        await terminal.type("hunter2 x")
        await terminal.type("\r")
        await terminal.see("length 9")
        await terminal.leave()
    assert not any("hunter" in text for text in asked)
    assert b"not here" not in terminal.told
    assert not any("hunter" in str(body) for body in (await gate.sealed()).bodies("decision"))


async def test_the_alternate_screen_hides_no_prompt(gate: Gate, victim: Path):
    forbid_verbs(gate, "rm")
    async with open_terminal(gate) as terminal:
        await terminal.run("echo x")
        await terminal.run(r"printf '\033[?1049h'")
        await terminal.type(f"rm {victim}\r")
        await terminal.until(lambda: b"not here" in terminal.told)
        await terminal.leave()
    assert there(victim)


async def test_without_echo_a_known_prompt_is_still_one(gate: Gate, victim: Path):
    forbid_verbs(gate, "rm")
    async with open_terminal(gate, "set enable-bracketed-paste off") as terminal:
        await terminal.run("true")
        await terminal.type("stty -echo; exec bash --norc --noprofile --noediting -i\r")
        await terminal.prompt()
        await terminal.type(f"rm {victim}\r")
        await terminal.until(lambda: b"not here" in terminal.told)
        await terminal.leave()
    assert there(victim)


async def test_a_line_that_was_only_shown_is_no_command(gate: Gate):
    asked = forbid_verbs(gate, "rm")
    async with open_terminal(gate) as terminal:
        await terminal.run("PS1='$ rm -rf / # shell> '")
        await terminal.type("\r")
        await terminal.prompt()
        await terminal.run("echo fine")
        await terminal.leave()
    assert asked[1:3] == ["echo fine", "exit"]
    assert b"not here" not in terminal.told


async def test_a_held_command_waits_and_can_be_given_up(gate: Gate, victim: Path):
    answer = trio.Event()

    async def wait() -> Decision:
        await answer.wait()
        return ALLOW

    def decide(request: object) -> Decision:
        text = request.request.text  # pyright: ignore[reportAttributeAccessIssue]
        if text.startswith("rm"):
            return Decision(Effect.HOLD, "four-eyes", "group:leads can approve within 10m", wait=wait)
        return ALLOW

    gate.decide = decide  # pyright: ignore[reportAttributeAccessIssue]
    async with open_terminal(gate) as terminal:
        await terminal.type(f"rm {victim}\r")
        await terminal.until(lambda: b"group:leads can approve" in terminal.told)
        await terminal.type("\x03")
        await terminal.until(lambda: b"given up" in terminal.told)
        await terminal.prompt()
        assert there(victim)
        await terminal.type(f"rm {victim}\r")
        await terminal.until(lambda: terminal.told.count(b"group:leads can approve") == 2)
        assert there(victim)
        answer.set()
        await terminal.until(lambda: not there(victim))
        await terminal.prompt()
        await terminal.leave()


async def test_the_transcript_tells_what_ran_and_what_did_not(gate: Gate, victim: Path):
    forbid_verbs(gate, "rm")
    async with open_terminal(gate) as terminal:
        await terminal.run("echo one")
        await terminal.type(f"rm {victim}\r")
        await terminal.refused()
        await terminal.run("echo two")
        await terminal.leave()
    door = await gate.sealed()
    typed = [
        each.body["command"]
        for each in entries(door.frames)
        if each.kind == "shell" and each.body.get("typed")
    ]
    assert typed == ["echo one", "echo two", "exit"]
    (decision,) = door.bodies("decision")
    assert (decision["effect"], decision["text"]) == ("deny", f"rm {victim}")


async def test_a_resized_terminal(gate: Gate, victim: Path):
    forbid_verbs(gate, "rm")
    async with open_terminal(gate) as terminal:
        await terminal.run("stty cols 20; kill -WINCH $$")
        await terminal.type(f"echo {'x' * 60}; rm {victim}\r")
        await terminal.until(lambda: b"not here" in terminal.told)
        await terminal.leave()
    assert there(victim)


async def test_a_terminal_without_echo_makes_hidden_lines_opaque(gate: Gate, victim: Path):
    """`stty -echo; ssh …`: the shell does not draw what is typed, so nothing can be told from what it does not draw."""
    asked = forbid_verbs(gate, "rm")
    line = ["script", "-qec", f"stty -echo; exec {shlex.join([*gate.line('-tt'), BASH])}", "/dev/null"]
    async with gate.client(line) as process:
        terminal = Terminal(gate, process)
        await terminal.prompt()
        await terminal.type(f"rm {victim}\r")
        await terminal.until(lambda: b"not here" in terminal.told)
    assert there(victim)
    assert set(asked) <= {UNSEEN}
