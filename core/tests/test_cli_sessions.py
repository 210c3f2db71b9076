"""`recgate sessions` on real recordings."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress

from recgate.cli.sessions import HEADINGS

KEYS = [
    "id",
    "user",
    "groups",
    "target",
    "protocol",
    "source",
    "started",
    "ended",
    "status",
    "reason",
    "requests",
    "rows",
    "bytes_client",
    "bytes_upstream",
    "denied",
    "masked",
    "approved",
]


def ids(archive, *words):
    known = (archive.session, archive.other, archive.terminal)
    return [row["id"] for row in archive.run_json("sessions", *words) if row["id"] in known]


def test_a_table_newest_first(archive):
    lines = archive.run("sessions").splitlines()
    assert lines[0].split() == list(HEADINGS)
    (line,) = [line for line in lines if line.startswith(archive.session)]
    columns = line.split()
    assert columns[1:4] == ["alice", "prod-db", "tiny"]
    assert columns[6:] == ["0:00", "sealed", "3", "3", "10.0.0.7:40112"]
    assert (
        len({len(line) - len(line.split()[-1]) for line in lines}) == 1
    )  # the last column begins in one place


def test_json_has_what_scripts_rely_on(archive):
    (row,) = [row for row in archive.run_json("sessions") if row["id"] == archive.session]
    assert list(row) == KEYS
    assert row["groups"] == ["dba"]
    assert row["bytes_client"] == sum(
        map(len, (b"ask DROP DATABASE customers", b"ask SELECT name\nask ALTER ROLE app PASSWORD 'hunter2'"))
    )
    assert 0 <= row["ended"] - row["started"] < 60


def test_filters(archive):
    assert ids(archive) == [archive.terminal, archive.other, archive.session]
    assert ids(archive, "--user", "alice") == [archive.other, archive.session]
    assert ids(archive, "--target", "prod-web") == [archive.terminal]
    assert ids(archive, "--since", "1h") == [archive.terminal, archive.other, archive.session]
    assert ids(archive, "--limit", "100", "--until", "now") == [
        archive.terminal,
        archive.other,
        archive.session,
    ]
    assert archive.run("sessions", "--until", "1h", status=1) == ""
    assert archive.run("sessions", "--user", "nobody", status=1) == ""


def test_a_time_that_is_none_is_refused_with_examples(archive):
    archive.run("sessions", "--since", "soon", status=2)
    assert "write how long ago (90m, 12h, 30d)" in archive.errors


def test_what_is_cut_off_is_said(archive):
    assert len(archive.run("sessions", "--limit", "2").splitlines()) == 3
    assert "the newest 2 are shown" in archive.errors
    assert len(archive.run_json("sessions", "--limit", "2")) == 2


def test_a_live_session_is_listed_as_live(archive):
    (live,) = archive.record([(0, "line", b"ask SELECT 1")], closed=False)
    with answering(archive.data):
        rows = archive.run_json("sessions", "--live")
        assert "live" in archive.run("show", live).splitlines()[1]
    assert live in [row["id"] for row in rows]
    assert {row["status"] for row in rows} == {"live"}
    assert all(row["started"] <= time.time() for row in rows)


def test_what_a_killed_gateway_left_open_is_unsealed_and_not_live(archive):
    (left,) = archive.record([(0, "line", b"ask SELECT 1")], closed=False)
    with answering(archive.data):
        pass  # and gone without taking its socket along, as after kill -9
    assert (archive.data / "control.sock").exists()
    archive.run("sessions", "--live", status=1)
    status = {row["id"]: row["status"] for row in archive.run_json("sessions")}
    assert status[left] == "unsealed"
    assert "live" not in status.values()
    assert "unsealed" in archive.run("show", left).splitlines()[1]


@contextmanager
def answering(data_dir):
    """A gateway that runs and knows of no session that the catalog does not list."""
    path = data_dir / "control.sock"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve():
            with suppress(OSError):
                while True:
                    peer, _ = listener.accept()
                    with peer:
                        peer.recv(4096)
                        peer.sendall(b'{"done":true}\n')

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
