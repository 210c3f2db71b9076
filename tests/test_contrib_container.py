"""The container file parses, copies what is there, and ends as somebody not root. It is not built here."""

import io
import json
import re
import subprocess
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

from tests.workspace import tree

FILE = Path("contrib/container/Containerfile")
# It reads bytes, whatever its stub says.
PARSER = DockerfileParser(fileobj=io.BytesIO(tree.read(FILE).encode()))  # pyright: ignore[reportArgumentType]
STRUCTURE = PARSER.structure
INSTRUCTIONS = [
    (step["instruction"], step["value"]) for step in STRUCTURE if step["instruction"] != "COMMENT"
]
KNOWN = {
    "FROM", "WORKDIR", "COPY", "ENV", "RUN", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "ENTRYPOINT", "CMD",
}  # fmt: skip


def values(name):
    return [value for instruction, value in INSTRUCTIONS if instruction == name]


def test_every_line_is_an_instruction():
    assert {instruction for instruction, _ in INSTRUCTIONS} == KNOWN


def test_base_images_carry_a_version():
    assert all(re.search(r":\d+\.\d+-", base) for base in values("FROM"))


def test_what_it_copies_is_in_the_repository():
    tracked = {str(path) for path in tree.tracked()} | {path.parts[0] for path in tree.tracked()}
    sources = [source for value in values("COPY") if "--from=" not in value for source in value.split()[:-1]]

    assert sources == ["constraints.txt", "core", "plugins"]
    assert set(sources) <= tracked


def test_it_copies_from_a_stage_that_exists():
    stages = {base.split(" AS ")[1] for base in values("FROM") if " AS " in base}
    wanted = set(re.findall(r"--from=(\S+)", " ".join(values("COPY"))))

    assert wanted
    assert wanted <= stages


@pytest.mark.parametrize("script", values("RUN"))
def test_its_shell_lines_parse(script):
    subprocess.run(["sh", "-n", "-c", script], check=True)


def test_the_process_is_not_root_and_says_so_by_number():
    last_stage = INSTRUCTIONS[max(index for index, (name, _) in enumerate(INSTRUCTIONS) if name == "FROM") :]
    (user,) = [value for name, value in last_stage if name == "USER"]
    uid, gid = user.split(":")

    assert int(uid) > 0
    assert int(gid) > 0
    made = " ".join(value for name, value in last_stage if name == "RUN")
    assert f"--uid {uid}" in made
    assert f"--gid {gid}" in made


def test_the_command_that_it_starts_exists():
    (entry,) = json.loads(values("ENTRYPOINT")[0])
    (command,) = json.loads(values("CMD")[0])
    shown = subprocess.run(
        [tree.ROOT / ".venv" / "bin" / entry, command, "--help"], check=True, capture_output=True, text=True
    ).stdout

    assert "--config" in shown
