"""The caller's side of the control socket, against a socket that answers by script."""

from __future__ import annotations

import json
import socket
import threading

import pytest

from recgate.cli.livesocket import ask, live_sessions
from recgate.errors import RecgateError


@pytest.fixture
def gateway(tmp_path):
    """Answer each connection with the next script, and keep what was asked."""
    asked, scripts = [], []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "control.sock"))
    listener.listen()

    def serve():
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer, peer.makefile("rb") as lines:
                asked.append(json.loads(lines.readline() or b"null"))
                if scripts:
                    peer.sendall(scripts.pop(0))

    thread = threading.Thread(target=serve)
    thread.start()
    yield tmp_path, asked, scripts
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_lines_come_until_the_last(gateway):
    data_dir, asked, scripts = gateway
    scripts.append(b'{"seq":1}\n{"seq":2}\n{"done":true}\n{"seq":3}\n')
    assert list(ask(data_dir, {"do": "watch", "session": "01A"})) == [{"seq": 1}, {"seq": 2}]
    assert asked == [{"do": "watch", "session": "01A"}]


def test_an_error_is_the_gateways_own_words(gateway):
    data_dir, _, scripts = gateway
    scripts.append(b'{"error":"no such live session"}\n')
    with pytest.raises(RecgateError, match="no such live session"):
        list(ask(data_dir, {"do": "kill"}))


@pytest.mark.parametrize("script", [b"", b'{"seq":1}\n', b"not json\n", b"[]\n"])
def test_an_answer_that_breaks_off_is_no_answer(gateway, script):
    data_dir, _, scripts = gateway
    scripts.append(script)
    with pytest.raises(RecgateError):
        list(ask(data_dir, {"do": "watch"}))


def test_without_a_gateway_it_is_said_how_to_start_one(tmp_path):
    with pytest.raises(RecgateError, match=r"control\.sock: no gateway is running there"):
        list(ask(tmp_path, {"do": "sessions"}))


def test_live_sessions_are_rows(gateway, tmp_path):
    data_dir, _, scripts = gateway
    line = {
        "session": "01A",
        "user": "alice",
        "target": "t",
        "protocol": "ssh",
        "source": "::1",
        "started": 5.5,
    }
    scripts.append(json.dumps(line).encode() + b'\n{"done":true}\n')
    (row,) = live_sessions(data_dir) or []
    assert (row.id, row.user, row.started, row.status) == ("01A", "alice", 5.5, "live")
    assert live_sessions(tmp_path / "elsewhere") is None


def test_a_gateway_that_may_not_be_asked_says_nothing_of_what_is_live(gateway):
    data_dir, _, scripts = gateway
    scripts.append(b'{"error":"not for this user"}\n')
    assert live_sessions(data_dir) == []


def test_a_socket_that_its_gateway_left_behind_is_nobody(tmp_path):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "control.sock"))
    assert live_sessions(tmp_path) is None
