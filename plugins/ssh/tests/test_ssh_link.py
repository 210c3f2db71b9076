"""What this plugin takes for granted of asyncssh's private parts. When asyncssh is updated, this fails first."""

import inspect
from typing import Any

import asyncssh
import pytest
from asyncssh.channel import SSHChannel
from asyncssh.connection import SSHClientConnection, SSHConnection, SSHServerConnection
from asyncssh.constants import MSG_CHANNEL_OPEN, MSG_GLOBAL_REQUEST

from recgate_ssh.wire import channel, client_leg, link, packets, target_leg
from recgate_ssh.wire.channel import WireChannel
from recgate_ssh.wire.client_leg import ClientLink
from recgate_ssh.wire.link import Link
from recgate_ssh.wire.target_leg import TargetLink


def test_the_fast_path_is_on_for_the_version_that_is_installed():
    assert packets.FAST, asyncssh.__version__


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (packets.PacketLayer, SSHConnection),
        (Link, SSHConnection),
        (ClientLink, SSHServerConnection),
        (TargetLink, SSHClientConnection),
        (WireChannel, SSHChannel),
    ],
)
def test_what_is_overridden_is_there_to_be_overridden(ours: Any, theirs: Any):
    own = {
        name
        for name, value in vars(ours).items()
        if inspect.isfunction(value) and name.startswith("_") and not name.startswith("__")
    }
    known = {name for name in own if hasattr(theirs, name)}
    added = own - known
    # Private names that are ours alone; anything else that asyncssh no longer has would never be called.
    assert added <= {
        *(
            "_begin",
            "_client_seen",
            "_count_attempt",
            "_held",
            "_hold",
            "_judged",
            "_missing",
            "_offer_unseen",
        ),
        *(
            "_outcome",
            "_process_channel_close",
            "_process_channel_request",
            "_process_channel_response",
            "_process_client_kexinit",
        ),
        *("_process_global", "_process_global_answer", "_process_open", "_receiver", "_recv_other"),
        *(
            "_recv_sealed",
            "_seal",
            "_send_global_reply",
            "_send_now",
            "_send_reply",
            "_send_sealed",
            "_sender",
            "_signed",
        ),
        *("_take_data", "_take_whole", "_unverified"),
    }


@pytest.mark.parametrize(
    ("module", "name", "parameters"),
    [
        (SSHConnection, "_recv_packet", ["self"]),
        (SSHConnection, "_finish_recv_packet", ["self", "pkttype", "seq", "_task", "is_async"]),
        (SSHConnection, "send_packet", ["self", "pkttype", "args", "handler"]),
        (SSHConnection, "_choose_alg", ["self", "alg_type", "local_algs", "remote_algs"]),
        (SSHConnection, "_force_close", ["self", "exc"]),
        (SSHServerConnection, "validate_public_key", ["self", "username", "key_data", "msg", "signature"]),
        (SSHClientConnection, "validate_server_host_key", ["self", "key_data"]),
        (SSHChannel, "_flush_recv_buf", ["self", "exc"]),
        (
            SSHChannel,
            "process_open_confirmation",
            ["self", "send_chan", "send_window", "send_pktsize", "packet"],
        ),
    ],
)
def test_the_methods_take_what_they_took(module: Any, name: str, parameters: list[str]):
    assert list(inspect.signature(getattr(module, name)).parameters) == parameters


def test_every_way_in_is_ours():
    """Law 5: asyncssh's own handlers for channels and global requests cannot be reached."""
    for each in (ClientLink, TargetLink):
        table: Any = each._packet_handlers
        assert table[MSG_CHANNEL_OPEN] is Link._process_open
        assert table[MSG_GLOBAL_REQUEST] is Link._process_global


def test_only_this_package_knows_asyncssh():
    for module in (channel, client_leg, link, packets, target_leg):
        assert module.__name__.startswith("recgate_ssh.wire.")
