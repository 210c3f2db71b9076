"""What is agreed on with which peer: AES-GCM wherever it can be, nothing that Terrapin breaks (threat 8)."""

import asyncssh
import pytest
import trio

from plugins.ssh.tests.gate import TOKEN, Gate
from plugins.ssh.tests.rawclient import raw_client
from recgate_ssh.wire.algorithms import GCM, STRICT_ONLY, encryption_for_client, safe_encryption

CHACHA = "chacha20-poly1305@openssh.com"


def test_a_client_with_gcm_is_offered_nothing_else():
    assert encryption_for_client([b"chacha20-poly1305@openssh.com", b"aes256-gcm@openssh.com"]) == GCM


def test_a_client_without_gcm_is_offered_the_rest():
    assert encryption_for_client([b"chacha20-poly1305@openssh.com"]) == GCM + STRICT_ONLY


def test_without_strict_key_exchange_only_gcm_is_safe():
    assert safe_encryption(GCM + STRICT_ONLY, strict=False) == list(GCM)
    assert safe_encryption(GCM + STRICT_ONLY, strict=True) == list(GCM + STRICT_ONLY)


async def test_openssh_agrees_on_aes_gcm_with_its_defaults(gate: Gate):
    done = await gate.ssh("echo in", options=("-v",))

    assert b"server->client cipher: aes128-gcm@openssh.com" in done.stderr
    assert gate.details[0]["cipher"] == "aes128-gcm@openssh.com"


@pytest.mark.parametrize("cipher", [CHACHA, "aes256-gcm@openssh.com", "aes256-ctr"])
async def test_openssh_may_ask_for_another_good_one(gate: Gate, cipher: str):
    data = b"over " * 100_000
    done = await gate.ssh("cat", options=("-c", cipher), stdin=data)

    assert done.stdout == data
    assert gate.details[0]["cipher"] == cipher


@pytest.mark.parametrize(
    "option", ["Ciphers=aes128-cbc", "MACs=hmac-sha1", "KexAlgorithms=diffie-hellman-group14-sha1"]
)
async def test_weak_algorithms_are_not_agreed_on(gate: Gate, option: str):
    ciphers = ("-c", "aes128-ctr") if option.startswith("MACs") else ()
    done = await gate.ssh("echo in", options=("-o", option, *ciphers))

    assert done.returncode == 255
    assert b"no matching" in done.stderr.lower()


async def test_strict_key_exchange_is_offered(gate: Gate):
    done = await gate.ssh("echo in", options=("-vvv",))

    assert b"kex-strict-s-v00@openssh.com" in done.stderr


async def test_a_client_without_strict_key_exchange_gets_gcm(gate: Gate):
    algorithms = [CHACHA, "aes128-gcm@openssh.com"]
    async with raw_client(gate.port, strict=False, encryption_algs=algorithms, password=TOKEN) as client:
        assert client.get_extra_info("send_cipher") == "aes128-gcm@openssh.com"


@pytest.mark.parametrize("cipher", [CHACHA, "aes256-ctr"])
async def test_a_client_without_strict_key_exchange_gets_nothing_else(gate: Gate, cipher: str):
    with pytest.RaisesGroup(asyncssh.KeyExchangeFailed, flatten_subgroups=True):
        async with raw_client(gate.port, strict=False, encryption_algs=[cipher], password=TOKEN):
            raise AssertionError("logged in")
    assert (await gate.sealed()).session is None


async def test_a_client_that_waits_for_our_list_is_given_it(gate: Gate):
    """A client may send its own list only once it has seen the server's (RFC 4253 §7.1 leaves it open)."""
    stream = await trio.open_tcp_stream("127.0.0.1", gate.port)
    async with stream:
        await stream.send_all(b"SSH-2.0-waiting\r\n")
        got = b""
        with trio.fail_after(10):
            while b"aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20" not in got:
                got += await stream.receive_some()
