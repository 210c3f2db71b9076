"""The command on a line, by what is shown and what was typed: no shell, just both of them."""

import random

import pytest

from recgate_ssh.commandline import UNSEEN, CommandLine, Entered, without_echo


def after(*steps: str, cols: int = 80, blind: bool = False) -> Entered:
    """`>text` is shown, `<text` is typed."""
    line = CommandLine(cols, blind=blind)
    for step in steps:
        (line.shown if step[0] == ">" else line.typed)(step[1:])
    return line.entered()


@pytest.mark.parametrize(
    ("steps", "texts", "certain"),
    [
        (("> $ ", "<ls -l", ">ls -l"), ("ls -l",), True),
        ((">$ ", "<l", ">l", "<s", ">s"), ("ls",), True),
        ((">$ ", "<lx\x7fs", ">lx\b \bs"), ("ls",), True),
        ((">$ ", "<\x1b[A", ">rm x"), ("rm x",), True),
        ((">$ ", "<r\t", ">rm"), ("rm",), True),
        ((">$ ", "<ls", ">ls\x1b[2m -la /x\x1b[0m\x1b[7D"), ("ls",), True),  # a suggestion behind the cursor
        ((">$ ", "<\x12rm", ">\r(reverse-i-search)`rm': rm -rf x"), ("rm -rf x",), True),
        ((">$ ", "<s3cret"), (), True),  # nothing is shown: a password
        ((">Password: ", "<s3cret", ">*******"), (), True),
        ((">$ rm -rf /",), (), True),  # only shown
        ((">$ ", "<ls", ">rm"), ("rm", "ls"), True),  # both, where they do not agree
        ((">$ ", "<\x0cls", ">\x1b[H\x1b[2J$ ls"), ("ls",), True),
        (("<ls", ">ls\r\n", ">$ ls"), ("ls",), True),  # typed ahead
        ((">$ ", "<\x1b[A", ">\r\nelsewhere rm x"), ("elsewhere rm x",), False),
        ((">\x1b[?1049h~\r\n~", "<x", ">x"), (), True),  # an editor's screen
        ((">$ ", "<\x1b[200~rm x", ">"), ("rm x",), True),  # a paste is judged as it is typed
        ((">$ ", "<a" + "b" * 5000, ">a" + "b" * 5000), ("a" + "b" * 4093, "a" + "b" * 5000), False),
    ],
)
def test_what_enter_would_run(steps: tuple[str, ...], texts: tuple[str, ...], certain: bool) -> None:
    assert after(*steps) == Entered(texts, certain)


def test_a_terminal_without_echo_tells_nothing() -> None:
    assert after(">$ ", "<rm x", blind=True) == Entered((UNSEEN,), certain=False)
    assert after(">$ ", "<ls", ">ls", blind=True) == Entered(("ls",), certain=True)


def test_hidden_at_a_known_prompt_is_what_was_typed() -> None:
    line = CommandLine(80)
    line.shown("$ ")
    line.typed("ls")
    line.shown("ls")
    line.passed(line.entered())
    line.shown("\r\n$ ")
    line.typed("rm x")
    assert line.entered() == Entered(("rm x",))
    line.passed(line.entered())
    line.shown("\r\n[sudo] password for u: ")
    line.typed("s3cret")
    assert line.entered() == Entered()


def test_lines_that_are_one_command_count_together_and_alone() -> None:
    line = CommandLine(80)
    for prompt, text, texts in [
        ("$ ", "echo 'a", ("echo 'a",)),
        ("> ", "b' ; rm \\", ("echo 'a\nb' ; rm \\", "b' ; rm \\")),
        ("> ", "x", ("echo 'a\nb' ; rm \\\nx", "x")),
        ("$ ", "ls", ("ls",)),
    ]:
        line.shown(prompt)
        line.typed(text)
        line.shown(text)
        assert line.entered().texts == texts
        line.passed(line.entered())
        line.shown("\r\n")


def test_what_a_program_read_does_not_hide_the_next_command() -> None:
    """`cat`, "don't", Ctrl-D: at the shell's own prompt a new command begins."""
    line = CommandLine(80)
    for prompt, text in [("$ ", "cat"), ("", "don't"), ("$ ", "rm x")]:
        line.shown(prompt)
        line.typed(text)
        line.shown(text)
        entered = line.entered()
        line.passed(entered)
        line.shown("\r\n")
    assert "rm x" in entered.texts


def test_after_a_refusal_the_line_counts_until_it_is_another() -> None:
    line = CommandLine(80)
    line.shown("$ ")
    line.typed("rm x")
    line.shown("rm x")
    line.refused()
    assert line.entered() == Entered(("rm x",))
    line.shown("^C\r\n$ ")
    assert line.entered() == Entered()


def test_echo_modes() -> None:
    assert without_echo(b"\x35\0\0\0\0\0")
    assert not without_echo(b"\x35\0\0\0\1\0")
    assert not without_echo(b"\x01\0\0\0\3\0")
    assert without_echo(b"\x01\0\0\0\3\x35\0\0\0\0\0")
    assert not without_echo(b"\x35")
    assert not without_echo("")


def test_garbage() -> None:
    rnd = random.Random(9)
    for _ in range(500):
        step(CommandLine(rnd.choice((0, 1, 7, 80))), rnd)


def step(line: CommandLine, rnd: random.Random) -> None:
    for _ in range(12):
        text = "".join(
            rnd.choice("ab$ \x1b[]?12004hlAHK~\r\n\x7f\x08\t'\"`:()") for _ in range(rnd.randrange(20))
        )
        if rnd.random() < 0.5:
            line.shown(text)
        else:
            line.typed(text.replace("\r", "").replace("\n", ""))
        entered = line.entered()
        match rnd.randrange(3):
            case 0:
                line.passed(entered)
            case 1:
                line.refused()
            case _:
                pass
