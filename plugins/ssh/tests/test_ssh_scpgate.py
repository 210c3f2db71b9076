"""The old scp: what its command line names, and every file of a tree that is sent."""

from pathlib import Path

import pytest

from plugins.ssh.tests.gate import Gate
from plugins.ssh.tests.test_ssh_filegate import forbid
from recgate_ssh.scpgate import copy_of


@pytest.mark.parametrize(
    ("command", "uploads", "acts"),
    [
        ("scp -t /etc/x", True, ["upload /etc/x"]),
        ("scp -v -r -p -d -t -- /etc", True, ["upload /etc"]),
        ("/usr/bin/scp -f /etc/x", False, ["download /etc/x"]),
        ("scp -r -f /etc", False, ["download /etc?"]),
        ("scp -f /etc/*", False, ["download /etc/*?"]),
        ("scp -f x", False, ["download x?"]),
        ("scp -f /a/../b", False, ["download /b?"]),
        ("sudo scp -t /etc/x", True, ["upload ?"]),
        ("scp -t /x; rm y", True, ["upload ?"]),
        ("scp -t $(x)", True, ["upload ?"]),
        ("scp -S x -t /etc/x", True, ["upload /etc/x?", "upload x?"]),
        ("r=1 scp -tf /x", True, ["upload ?"]),
    ],
)
def test_command_lines(command: str, uploads: bool, acts: list[str]) -> None:
    copy = copy_of(command)
    assert copy is not None
    assert copy.uploads is uploads
    assert sorted(f"{act.direction} {act.path}{'?' * act.opaque}" for act in copy.acts) == sorted(acts)


@pytest.mark.parametrize("command", ["ls", "scp a b:c", "echo scp -t x", "scp -t 'x", "xscp -t /x", ""])
def test_what_is_no_far_end_of_a_copy(command: str) -> None:
    assert copy_of(command) is None


async def test_one_file_of_a_tree_is_refused_and_the_others_arrive(gate: Gate, tmp_path: Path):
    tree, there = tmp_path / "tree", tmp_path / "there"
    (tree / "deep").mkdir(parents=True)
    for name in ("a", "secret", "z", "deep/secret", "deep/b"):
        (tree / name).write_text(name * 1000)
    there.mkdir()
    forbid(gate, "secret")
    line = [
        "scp",
        "-q",
        "-O",
        "-r",
        "-p",
        "-P",
        str(gate.port),
        *gate.options(),
        str(tree),
        f"prod-web@127.0.0.1:{there}",
    ]
    done = await gate.run_client(line)

    assert done.returncode == 1
    assert done.stderr.count(b"no-secrets: not that one") == 2
    arrived = {str(path.relative_to(there / "tree")) for path in there.rglob("*") if path.is_file()}
    assert arrived == {"a", "z", "deep/b"}
    assert (there / "tree" / "z").read_text() == "z" * 1000


async def test_what_comes_ahead_of_an_answer_is_no_file(gate: Gate, tmp_path: Path):
    """A client that does not wait: what it believes to be a refused file's content is read as control lines."""
    forbid(gate, "secret")
    done = await gate.ssh(f"scp -t {tmp_path}", stdin=b"C0644 3 secret\nabc\n\0")
    assert b"cannot be followed" in done.stderr
    assert not (tmp_path / "secret").exists()


@pytest.mark.parametrize("line", [b"C0644 3 ..\n", b"C0644 3 a/b\n", b"hello\n", b"C" * 9000])
async def test_what_is_no_scp_ends_the_channel(gate: Gate, tmp_path: Path, line: bytes):
    forbid(gate, "secret")
    done = await gate.ssh(f"scp -t {tmp_path}", stdin=line)
    assert b"cannot be followed" in done.stderr
