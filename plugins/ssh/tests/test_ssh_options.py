"""What a target's options open, and which options are refused."""

import pytest
from pydantic import ValidationError

from recgate.sansio.frames import Request
from recgate_ssh.options import SshListenerOptions, SshTargetOptions


def forward(host: str, port: int, direction: str = "local", kind: str = "forward") -> Request:
    return Request(kind, "", 1, {"direction": direction, "host": host, "port": port})


@pytest.mark.parametrize(
    ("pattern", "host", "port", "open_"),
    [
        ("db.internal:5432", "db.internal", 5432, True),
        ("db.internal:5432", "DB.internal", 5432, True),
        ("db.internal:5432", "db.internal", 5433, False),
        ("db.internal:5432", "evil.db.internal", 5432, False),
        ("*.internal:5432", "db.internal", 5432, True),
        ("*:80", "anything", 80, True),
        ("*:80", "a:80", 8080, False),
        ("*:80", "anything:8080", 80, True),
        ("10.0.0.?:22", "10.0.0.1", 22, True),
        ("10.0.0.?:22", "10.0.0.11", 22, False),
        ("[::1]:22", "::1", 22, True),
        ("[::1]:22", ":", 22, False),
    ],
)
def test_a_local_forward_is_open_where_a_pattern_says_so(pattern: str, host: str, port: int, open_: bool):
    options = SshTargetOptions.model_validate({"forward": pattern})

    assert options.allows(forward(host, port)) is open_
    assert not options.allows(forward(host, port, "remote"))


def test_a_remote_forward_has_patterns_of_its_own():
    options = SshTargetOptions.model_validate({"remote_forward": ["localhost:8080", ":9000"]})

    assert options.allows(forward("localhost", 8080, "remote"))
    assert options.allows(forward("", 9000, "remote"))
    assert not options.allows(forward("localhost", 8080))


@pytest.mark.parametrize("kind", ["agent", "x11", "replication"])
def test_other_doors_stay_shut(kind: str):
    options = SshTargetOptions.model_validate({"forward": "*:*", "remote_forward": "*:*"})

    assert not options.allows(forward("h", 1, kind=kind))


def test_a_request_without_an_address_is_refused():
    options = SshTargetOptions.model_validate({"forward": "*:*"})

    assert not options.allows(Request("forward", "", 1, {}))


@pytest.mark.parametrize(
    "options",
    [
        {"forward": "nowhere"},
        {"forward": "host:port"},
        {"forward": "host:70000"},
        {"host_key": "ssh-ed25519"},
        {"host_key": "a AAAA\n* b AAAA"},
        {"hostkey": "ssh-ed25519 AAAA"},
        {"connect_timeout": 0},
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, object]):
    with pytest.raises(ValidationError):
        SshTargetOptions.model_validate(options)


def test_a_listener_needs_no_options():
    assert SshListenerOptions().keepalive == 30
