"""Run the examples of a page: its console blocks in order, in one directory, with their output compared.

A page is run when its front matter says `executed: true`. In it

- a `console` block is typed into one shell: `$ ` begins a command, `> ` continues it, what follows is its output;
- a `{code-block}` with a `:caption:` is a file of that name, written before what follows is run;
- a `{code-block} console` with `:class: stays` is a program in a terminal of its own: it runs until the page ends, and
  the page goes on once its output has been seen;
- `…` in expected output stands for anything within a line, and alone on a line for any number of lines;
- a command's exit status is 0; where another is meant the example prints it (`|| echo "exit status $?"`).

Ports and names in the text are the ones that a reader would use. `Stage.words` says what stands for them in this run,
so that no test has a fixed port; in output they are turned back.
"""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final

__all__ = [
    "Block",
    "ExampleFailed",
    "Program",
    "Shell",
    "Stage",
    "blocks_of",
    "front_matter",
    "matches",
    "run_page",
]

PATIENCE: Final = 60.0  # seconds for one command
GRACE: Final = 40.0  # seconds for a program that stays to end when it is told to
END: Final = "\x1eEXAMPLE-DONE "

_FENCE: Final = re.compile(
    r"^(?P<fence>`{3,})(?P<info>[^`\n]*)\n(?P<body>.*?)^(?P=fence)[ \t]*$", re.MULTILINE | re.DOTALL
)
_OPTION: Final = re.compile(r"^:(\w+): *(.*)$")


class ExampleFailed(AssertionError):
    """An example did not do what the page says. The message has page, line, and both outputs."""


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block that a run acts on: where it is, and what it says."""

    line: int
    language: str
    text: str
    caption: str = ""
    stays: bool = False

    def commands(self) -> Iterator[tuple[str, str]]:
        """Commands of a console block with the output that each expects."""
        command: list[str] = []
        output: list[str] = []
        for line in self.text.splitlines():
            if line.startswith("$ ") or line == "$":
                if command:
                    yield "\n".join(command), "\n".join(output)
                command, output = [line[2:]], []
            elif line.startswith("> ") and command and not output:
                command.append(line[2:])
            else:
                output.append(line)
        if command:
            yield "\n".join(command), "\n".join(output)


def front_matter(text: str) -> Mapping[str, str]:
    """Give the keys of a page's front matter; values stay text."""
    if not text.startswith("---\n"):
        return {}
    head, _, _ = text[4:].partition("\n---\n")
    pairs = (line.partition(":") for line in head.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def blocks_of(text: str) -> list[Block]:
    """Give the blocks that a run acts on, in order: consoles, and files by their caption."""
    found: list[Block] = []
    for match in _FENCE.finditer(text):
        language, options, body = _parts(match["info"].strip(), match["body"])
        line = text.count("\n", 0, match.start()) + 1
        caption, classes = options.get("caption", ""), options.get("class", "").split()
        if language == "console" or caption:
            found.append(Block(line, language, body, caption, "stays" in classes))
    return found


def _parts(info: str, body: str) -> tuple[str, dict[str, str], str]:
    if not info.startswith("{code-block}"):
        return info, {}, body
    options: dict[str, str] = {}
    lines = body.splitlines(keepends=True)
    while lines and (option := _OPTION.match(lines[0].rstrip())):
        options[option[1]] = option[2]
        del lines[0]
    return info.removeprefix("{code-block}").strip(), options, "".join(lines).lstrip("\n")


def matches(expected: str, actual: str) -> bool:
    """Compare outputs: `…` is anything within a line, alone on a line any number of lines."""
    wanted = [line.rstrip() for line in expected.strip("\n").splitlines()]
    pattern = "".join(
        r"(?:[^\n]*\n)*?" if line.strip() == "…" else "[^\n]*?".join(map(re.escape, line.split("…"))) + "\n"
        for line in wanted
    )
    text = "".join(f"{line.rstrip()}\n" for line in actual.strip("\n").splitlines())
    return re.fullmatch(pattern, text) is not None


@dataclass(slots=True)
class Stage:
    """Where a page plays: a directory, an environment, and what stands for the ports and names in its text."""

    directory: Path
    words: Mapping[str, str] = field(default_factory=dict[str, str])
    environment: Mapping[str, str] = field(default_factory=dict[str, str])

    def played(self, text: str) -> str:
        """Put this run's ports and names in."""
        return _replace(text, self.words)

    def printed(self, text: str) -> str:
        """Put the page's ports and names back."""
        # A word with a command in it stands for a number that may well mean something else in output.
        return _replace(text, {value: key for key, value in self.words.items() if "$" not in key})


def _replace(text: str, words: Mapping[str, str]) -> str:
    if not words:
        return text
    longest = sorted(words, key=len, reverse=True)  # `127.0.0.1:22` before what it ends in
    pattern = re.compile(r"(?<![\w.-])(?:" + "|".join(map(re.escape, longest)) + r")(?![\w-])")
    return pattern.sub(lambda match: words[match[0]], text)


def run_page(page: Path, stage: Stage) -> None:
    """Run a page from top to bottom. Raises `ExampleFailed` at the first example that is not right."""
    staying: list[Program] = []
    with Shell(stage) as shell:
        try:
            for block in blocks_of(page.read_text(encoding="utf-8")):
                where = f"{page.name}, block in line {block.line}"
                if block.caption:
                    path = stage.directory / stage.played(block.caption)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(stage.played(block.text), encoding="utf-8")
                elif block.stays:
                    ((command, expected),) = block.commands()
                    staying.append(Program(stage, command))
                    staying[-1].wait_for(expected, where)
                else:
                    for command, expected in block.commands():
                        _check(where, command, expected, *shell.run(command))
        finally:
            for program in reversed(staying):
                program.stop()


def _check(where: str, command: str, expected: str, actual: str, status: int) -> None:
    if status != 0 or not matches(expected, actual):
        raise ExampleFailed(
            f"{where}\n$ {command}\n--- the page says\n{expected}\n--- it printed (exit status {status})\n{actual}"
        )


class Program:
    """A process with its output, in a group of its own so that what it started ends with it."""

    def __init__(self, stage: Stage, command: str, arguments: Sequence[str] = ("-c",)) -> None:
        self.stage = stage
        words = [
            "bash",
            "--noprofile",
            "--norc",
            *arguments,
            *([f"exec {stage.played(command)}"] if command else []),
        ]
        self.process = subprocess.Popen(
            words,
            cwd=stage.directory,
            env={**os.environ, **stage.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._buffer = b""

    def read_until(self, done: re.Pattern[bytes], what: str) -> bytes:
        """Give output up to and with what `done` finds. Raises `ExampleFailed` on silence or an early end."""
        deadline = time.monotonic() + PATIENCE
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while (match := done.search(self._buffer)) is None:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise ExampleFailed(f"{what}: nothing more after {PATIENCE:.0f} s:\n{self._printed()}")
                data = os.read(self.process.stdout.fileno(), 65_536)
                if not data:
                    raise ExampleFailed(f"{what}: it ended:\n{self._printed()}")
                self._buffer += data
        taken, self._buffer = self._buffer[: match.end()], self._buffer[match.end() :]
        return taken

    def _printed(self) -> str:
        return self.stage.printed(self._buffer.decode(errors="replace"))

    def wait_for(self, expected: str, where: str) -> None:
        """Wait until each expected line has been printed, in order; what is printed between does not matter."""
        for line in expected.strip("\n").splitlines():
            if line.strip() == "…":
                continue
            wanted = "[^\n]*?".join(map(re.escape, self.stage.played(line.strip()).split("…")))
            self.read_until(re.compile(wanted.encode()), where)

    def stop(self) -> None:
        """End the process as Ctrl-C would, and whatever is left of its group."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.communicate(timeout=GRACE)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate()
            raise ExampleFailed(
                f"it did not end within {GRACE:.0f} s of Ctrl-C:\n{self._printed()}"
            ) from None


class Shell:
    """One shell for a page, so that what an example sets is there for the next."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._program = Program(stage, "", ("-s",))

    def __enter__(self) -> Shell:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        process = self._program.process
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def run(self, command: str) -> tuple[str, int]:
        """Run one command; gives its output in the page's words, and its exit status."""
        line = f"{{\n{self._stage.played(command)}\n}} </dev/null\nprintf '\\n{END}%d\\n' $?\n"
        stdin = self._program.process.stdin
        assert stdin is not None
        stdin.write(line.encode())
        stdin.flush()
        printed = self._program.read_until(re.compile(END.encode() + rb"\d+\n"), command).decode(
            errors="replace"
        )
        output, _, status = printed.rpartition(END)
        return self._stage.printed(output), int(status)
