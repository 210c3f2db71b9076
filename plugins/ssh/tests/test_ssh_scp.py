"""The old scp protocol in passing."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate_ssh.scp import Scp, scp_of

TREE = b"T1 0 2 0\nC0644 5 a b\nhello\0D0755 0 deep\nC0600 0 empty\n\0E\nC0644 3 last\nxyz\0"


def bodies(scp: Scp, data: bytes, size: int = 1 << 20, *, restored: bool = False) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for at in range(0, len(data), size):
        found += [event.body for event in scp.feed(scp.sender, 1, 1, data[at : at + size])]
        if restored:
            scp = Scp.restore(scp.save())
    return [*found, *(event.body for event in scp.finish())]


def sender(command: str) -> Scp:
    scp = scp_of(command)
    assert scp is not None
    return scp


def test_a_tree_is_read_with_its_paths():
    shown = [(body["path"], body["size"]) for body in bodies(sender("scp -r -p -t /srv"), TREE)]

    assert shown == [("/srv/a b", 5), ("/srv/deep/empty", 0), ("/srv/last", 3)]


def test_one_byte_at_a_time_says_the_same():
    assert bodies(sender("scp -r -t /srv"), TREE, 1) == bodies(sender("scp -r -t /srv"), TREE)


def test_a_single_file_has_the_path_of_the_command():
    (body,) = bodies(sender("scp -t /srv/name"), b"C0644 5 other\nhello\0")

    assert body == {
        "path": "/srv/name",
        "direction": "upload",
        "size": 5,
        "sha256": hashlib.sha256(b"hello").hexdigest(),
    }


def test_a_state_border_in_mid_file_loses_the_digest():
    (body,) = bodies(sender("scp -f x"), b"C0644 5 x\nhello\0", 11, restored=True)

    assert body["direction"] == "download"
    assert "sha256" not in body
    assert body["size"] == 5


def test_a_file_that_is_cut_short_is_said_to_be():
    (body,) = bodies(sender("scp -t x"), b"C0644 500 x\nhello")

    assert (body["size"], body["error"]) == (5, "cut short")


def test_the_receiving_side_says_nothing():
    assert sender("scp -t x").feed(1, 1, 1, TREE) == []


@pytest.mark.parametrize(
    "command",
    ["", "cp a b", "scp a b:c", "echo scp -t x", "scp", "'scp -t", "scp --version", "/bin/sh -c 'scp -t x'"],
)
def test_what_is_no_far_end_of_a_copy_is_not_read_as_one(command: str):
    assert scp_of(command) is None


@given(st.binary(max_size=200), st.integers(1, 7))
def test_garbage_ends_the_reading_and_nothing_else(data: bytes, size: int):
    bodies(sender("scp -r -t /x"), data, size, restored=True)


def test_a_control_line_has_an_end():
    scp = sender("scp -t x")
    scp.feed(0, 1, 1, b"C" * 100_000)

    assert scp.broken
