"""Every example in the documentation is run; and the runner notices one that is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.examples import ExampleFailed, Stage, blocks_of, front_matter, matches, run_page
from docs.generate import DOCS
from docs.staging import Servers, stage_for

EXECUTED = sorted(
    path for path in DOCS.rglob("*.md") if front_matter(path.read_text(encoding="utf-8")).get("executed")
)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with Servers(tmp_path_factory.mktemp("servers")) as running:
        yield running


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", EXECUTED, ids=lambda path: path.relative_to(DOCS).as_posix())
def test_examples_of_the_page_do_what_it_says(page: Path, tmp_path: Path, servers: Servers) -> None:
    with stage_for(page, tmp_path, servers) as stage:
        run_page(page, stage)


def test_tutorial_and_guides_are_executed() -> None:
    executed = {path.relative_to(DOCS).as_posix() for path in EXECUTED}
    assert "tutorial/index.md" in executed
    assert len([name for name in executed if name.startswith("howto/")]) >= 8


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        ("ready", "ready\n", True),
        ("ready", "not ready\n", False),
        ("id …  alice", "id 01J7  alice\n", True),
        ("id …  alice", "id 01J7\nalice\n", False),
        ("first\n…\nlast", "first\n1\n2\nlast\n", True),
        ("first\n…\nlast", "first\nlast\n", True),
        ("first\n…\nlast", "first\n", False),
        ("", "something\n", False),
    ],
)
def test_wildcards_stand_for_what_they_say(expected: str, actual: str, same: bool) -> None:
    assert matches(expected, actual) is same


def _run(tmp_path: Path, text: str, **words: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    run_page(page, Stage(tmp_path, words))


def test_a_file_is_there_for_the_commands_behind_it(tmp_path: Path) -> None:
    _run(
        tmp_path,
        "```{code-block} yaml\n:caption: a/b.yaml\n\nkey: 1\n```\n\n```console\n$ cat a/b.yaml\nkey: 1\n```\n",
    )


def test_a_wrong_output_fails_with_both(tmp_path: Path) -> None:
    with pytest.raises(ExampleFailed, match=r"(?s)line 1.*the page says\nhallo.*it printed.*hello"):
        _run(tmp_path, "```console\n$ echo hello\nhallo\n```\n")


def test_a_failing_command_fails_the_page(tmp_path: Path) -> None:
    with pytest.raises(ExampleFailed, match="exit status 3"):
        _run(tmp_path, "```console\n$ (exit 3)\n```\n")


def test_the_shell_remembers(tmp_path: Path) -> None:
    _run(tmp_path, "```console\n$ X=1\n$ cat <<EOF\n> $X\n> EOF\n1\n```\n")


def test_words_of_the_page_stand_for_those_of_the_run(tmp_path: Path) -> None:
    _run(tmp_path, "```console\n$ echo 127.0.0.1:2222 | tee port\n127.0.0.1:2222\n```\n", **{"2222": "40123"})
    assert (tmp_path / "port").read_text() == "127.0.0.1:40123\n"


def test_a_program_that_stays_is_waited_for_and_ended(tmp_path: Path) -> None:
    program = "import time; print('ready', flush=True); time.sleep(99)"
    text = f'```{{code-block}} console\n:class: stays\n$ python3 -c "{program}"\nready\n```\n'
    _run(tmp_path, text)
    with pytest.raises(ExampleFailed, match="it ended"):
        _run(tmp_path, text.replace("\nready\n", "\nsteady\n").replace("time.sleep(99)", "0"))


def test_blocks_without_a_prompt_or_caption_are_left_alone() -> None:
    assert blocks_of("```yaml\nkey: 1\n```\n\n```text\n$ no\n```\n") == []
