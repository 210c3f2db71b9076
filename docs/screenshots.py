"""Draw the README's picture: real commands about a real session, as a terminal would show them.

`make screenshots` runs it. A PostgreSQL, a gateway and `psql` are started, somebody works, and what the commands then
print is drawn as it is: nothing in the picture is typed by hand.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.console import Console
from rich.text import Text

from docs.examples import Shell, Stage
from docs.staging import ROOT, Servers, stage_for

__all__ = ["draw", "play"]

PICTURE: Final = ROOT / "docs" / "pictures" / "terminal.svg"
GUIDE: Final = (
    ROOT / "docs" / "howto" / "find-out-what-happened.md"
)  # begins with the gateway that is wanted here
WIDTH: Final = 96

# What happens before the picture, unseen: alice's work.
WORK: Final = """
export PGPASSWORD="$(cat token)"
export GATE="host=127.0.0.1 port=15432 user=prod-db sslmode=verify-full sslrootcert=recgate-data/ca.pem"
psql "$GATE" -qc "CREATE DATABASE reports" > /dev/null
psql "$GATE" -c "SELECT name, email FROM customers WHERE id < 3" -c "DROP DATABASE reports" > /dev/null
until recgate search 'DROP DATABASE' > /dev/null; do sleep 0.2; done
"""

# What is asked in it. Of the last answer only the verdict is shown: its table of levels is for people who verify.
QUESTIONS: Final = (
    "recgate search 'DROP DATABASE'",
    "recgate search verb:select table:customers",
    'recgate show "$SESSION" --entry "$ENTRY" --rows',
    "recgate verify --all | tail -1",
)
CHOOSE: Final = r"""
FOUND="$(recgate search verb:select table:customers --json)"
SESSION="$(sed 's/.*"session":"\([^"]*\)".*/\1/' <<< "$FOUND")"
ENTRY="$(sed 's/.*"entry":\([0-9]*\).*/\1/' <<< "$FOUND")"
"""

# rich's own frame, without the web font that it would fetch.
FRAME: Final = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font: bold 18px system-ui, sans-serif; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g></g>
</svg>
"""


def play(stage: Stage) -> list[tuple[str, str]]:
    """Have somebody work, then ask; gives the questions with their answers as printed."""
    with Shell(stage) as shell:
        for command in (WORK, CHOOSE):
            output, status = shell.run(command)
            if status:
                raise SystemExit(f"{command}\n{output}")
        typed = [shell.run(f'echo "{question.replace(chr(34), "")}"')[0].strip() for question in QUESTIONS]
        asked = [(line, shell.run(question)) for line, question in zip(typed, QUESTIONS, strict=True)]
    for question, (output, status) in asked:
        if status:
            raise SystemExit(f"{question}\n{output}")
    return [(question, output.strip("\n")) for question, (output, _) in asked]


def draw(answers: list[tuple[str, str]], picture: Path) -> None:
    """Write the picture (SVG)."""
    console = Console(
        record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    for number, (question, answer) in enumerate(answers):
        if number:
            console.print()
        console.print(Text("$ ", "bold green") + Text(question, "bold"))
        console.print(Text(answer), overflow="ellipsis", no_wrap=True)
    picture.parent.mkdir(parents=True, exist_ok=True)
    console.save_svg(str(picture), title="recgate", code_format=FRAME, unique_id="recgate")


def main() -> None:
    """Play and draw."""
    with TemporaryDirectory(prefix="recgate-picture-") as temporary:
        directory = Path(temporary)
        (directory / "stage").mkdir()
        with Servers(directory) as servers, stage_for(GUIDE, directory / "stage", servers) as stage:
            draw(play(stage), PICTURE)
    print(f"wrote {PICTURE.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
