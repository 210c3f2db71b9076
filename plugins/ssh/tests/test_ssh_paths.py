"""Paths are settled by their text, and uncertain where only the target knows."""

import pytest

from recgate_ssh.paths import file_act, file_request, settled


@pytest.mark.parametrize(
    ("raw", "start", "path", "certain"),
    [
        (b"/etc/passwd", "", "/etc/passwd", True),
        (b"//etc///passwd", "", "/etc/passwd", True),
        (b"/etc/./passwd/", "", "/etc/passwd", True),
        (b"/tmp/../etc/passwd", "", "/etc/passwd", False),
        (b"x/y", "/home/alice", "/home/alice/x/y", True),
        (b"../bob/x", "/home/alice", "/home/bob/x", False),
        (b"x", "", "x", False),
        (b"~/x", "", "~/x", False),
        (b"", "", "", False),
        (b"/etc/\xff", "", "/etc/\\xff", True),
        (b"/etc/x\0y", "", "/etc/x\0y", False),
    ],
)
def test_settled(raw: bytes, start: str, path: str, certain: bool) -> None:
    assert settled(raw, start) == (path, certain)


def test_requests_are_of_the_kind_that_copy_has() -> None:
    request = file_request(
        3, (file_act("rename", "/a", certain=True), file_act("rename", "/b", certain=False)), by="sftp"
    )
    assert (request.kind, request.text, request.channel) == ("file", "rename /a /b", 3)
    assert (request.details["path"], request.details["direction"]) == ("/a", "rename")
    first, second = request.details["acts"]  # pyright: ignore[reportGeneralTypeIssues]
    assert (first.verb, first.objects, first.opaque) == ("WRITE", ("file /a",), False)
    assert second.opaque
    assert file_act("download", "/a", certain=True).verb == "READ"
