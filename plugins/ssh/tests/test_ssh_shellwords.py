"""Words and operators: quotes go, what they hide stays; every line ends in tokens or `Unfinished`."""

import random

import pytest

from recgate_ssh.shellwords import Operator, Substituted, Unfinished, Word, words_of


def shown(text: str) -> list[str]:
    said: list[str] = []
    for each in words_of(text):
        match each:
            case Word():
                said.append(each.text + "?" * each.dynamic)
            case Substituted():
                said.append(f"<{each.text}>")
            case Operator():
                said.append(each.value)
    return said


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("ls -l", ["ls", "-l"]),
        ("r''m \"a b\" 'c d'", ["rm", "a b", "c d"]),
        ("\\rm a\\ b", ["rm", "a b"]),
        ("a;b&&c||d|e&f", ["a", ";", "b", ";", "c", ";", "d", "|", "e", ";", "f"]),
        ("a 2>x <y >>z", ["a", ">", "x", ">", "y", ">", "z"]),
        ("echo $HOME ${x} $1", ["echo", "?", "?", "?"]),
        ('"$(rm x)"', ["<rm x>", "?"]),
        ("`rm \\`y\\``", ["<rm `y`>", "?"]),
        ("$'\\x72\\155'", ["rm"]),
        ("echo $((1 + 2))", ["echo", "?"]),
        ("a # b\nc", ["a", ";", "c"]),
        ("a#b", ["a#b"]),
        ("cat <<-E\n\trm\n\tE\nls", ["cat", "ls", ]),
        ("a \\\n b", ["a", "b"]),
        ("{rm,x} /bin/r?", ["{rm,x}?", "/bin/r??"]),
    ],
)  # fmt: skip
def test_tokens(text: str, tokens: list[str]) -> None:
    assert [each for each in shown(text) if each != ";" or ";" in tokens] == tokens


@pytest.mark.parametrize("text", ["'a", '"a', "a\\", "$(a", "`a", "${a", "cat <<E\nx", "$'a", '"$(a"'])
def test_a_line_that_goes_on_says_so(text: str) -> None:
    with pytest.raises(Unfinished):
        list(words_of(text))


def test_garbage_is_tokens_or_unfinished() -> None:
    rnd = random.Random(7)
    for _ in range(3_000):
        text = "".join(rnd.choice("ab '\"\\$(){}`;&|<>\n#*=-E") for _ in range(rnd.randrange(40)))
        try:
            list(words_of(text))
        except Unfinished:
            continue
