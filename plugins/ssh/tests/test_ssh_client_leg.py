"""Logging in: keys, certificates, tokens, names, and what is tried against each (threats 1, 2, 5, 7, 8, 12)."""

import base64
import os
import subprocess
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import trio
import trio.testing
from asyncssh.auth import MSG_USERAUTH_INFO_RESPONSE
from asyncssh.constants import MSG_USERAUTH_REQUEST
from asyncssh.packet import Boolean, String, UInt32

from plugins.ssh.tests.askpass import askpass
from plugins.ssh.tests.gate import TOKEN, Gate
from plugins.ssh.tests.rawclient import raw_client
from recgate.model import CertificateEvidence, PasswordEvidence, PublicKeyEvidence, Secret
from recgate_ssh.wire.client_leg import MAX_ATTEMPTS, MAX_FAILURES
from tests.peers.sshd import keygen


async def test_a_registered_key_logs_in_under_either_form_of_the_name(gate: Gate):
    plain = await gate.ssh("echo in")
    named = await gate.ssh("echo in", login="alice+prod-web")

    assert (plain.stdout, named.stdout) == (b"in\n", b"in\n")
    assert [name for name, _ in gate.tried] == ["prod-web", "alice+prod-web"]
    assert all(isinstance(evidence, PublicKeyEvidence) for _, evidence in gate.tried)


async def test_somebody_elses_name_is_refused(gate: Gate):
    done = await gate.ssh("echo in", login="bob+prod-web")

    assert done.returncode == 255
    assert b"Permission denied" in done.stderr


NAMES = [
    "../prod-web",
    "prod-web/../../etc",
    "prod\nweb",
    "prod-web\u202e",
    "alice\u202e+prod-web",
    "p" * 300,
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
async def test_a_name_with_more_than_a_name_in_it_opens_nothing(gate: Gate, name: str):
    """Threat 24. asyncssh's client says what OpenSSH's refuses to."""
    async with raw_client(gate.port, manual=True) as client:
        await said(client, name, TOKEN)
        await gate.until(lambda: client.ended is not None or bool(gate.tried))
    door = await gate.sealed()
    assert door.session is None
    assert door.frames == []


async def said(client: Any, name: str, token: str) -> None:
    fields = String(name), String("ssh-connection"), String("password"), Boolean(False), String(token)
    client.send_packet(MSG_USERAUTH_REQUEST, *fields)
    await trio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    "name", ["Prod-Web", "prod-web ", "ALICE+prod-web", "al\u0131ce+prod-web", "alice+PROD-WEB"]
)
async def test_a_name_that_only_looks_right_does_not_get_in(gate: Gate, name: str):
    """Threat 5."""
    done = await gate.ssh("echo in", login=name)

    assert b"in\n" not in done.stdout
    assert done.returncode in (1, 255)


async def test_an_unknown_key_is_asked_about_once_and_fails_no_login(gate: Gate, tmp_path: Path):
    stranger = keygen(tmp_path / "stranger")
    done = await gate.ssh("echo in", key=stranger)

    assert done.returncode == 255
    assert len(gate.asked) == 1
    assert gate.tried == []


async def test_a_key_offered_without_a_signature_is_not_a_login(gate: Gate):
    """Threat 1 (CVE-2023-43660): the offer is answered, and nothing more is allowed."""
    blob = next(iter(gate.known))
    async with raw_client(gate.port, manual=True) as client:
        packet = b"".join((String("prod-web"), String("ssh-connection"), String("publickey"), Boolean(False)))
        client.send_packet(MSG_USERAUTH_REQUEST, packet, String("ssh-ed25519"), String(blob))
        await gate.until(lambda: bool(gate.asked))
        client._auth_complete = True
        client.send_packet(90, String("session"), b"\0\0\0\0", b"\0\0\xff\xff", b"\0\0\xff\xff")
        await gate.until(lambda: client.ended is not None)
    assert gate.tried == []
    assert (await gate.sealed()).session is None


async def test_a_wrong_signature_is_not_a_login(gate: Gate, tmp_path: Path):
    """Threat 1: the key is known, the signature is another's."""
    blob, other = next(iter(gate.known)), asyncssh.generate_private_key("ssh-ed25519")
    async with raw_client(gate.port, manual=True) as client:
        body = b"".join(
            (
                *(String("prod-web"), String("ssh-connection"), String("publickey"), Boolean(True)),
                *(String("ssh-ed25519"), String(blob)),
            )
        )
        signed = String(client._session_id) + bytes([MSG_USERAUTH_REQUEST]) + body
        signature = other.sign(signed, b"ssh-ed25519")
        client.send_packet(MSG_USERAUTH_REQUEST, body, String(signature))
        await trio.testing.wait_all_tasks_blocked(0.2)
    assert gate.tried == []
    assert (await gate.sealed()).session is None


async def test_a_change_of_the_user_name_drops_the_link(gate: Gate):
    """Threat 2 (CVE-2023-48712, CVE-2023-46446)."""
    async with raw_client(gate.port, manual=True) as client:
        for name in ("prod-web", "root"):
            client.send_packet(
                MSG_USERAUTH_REQUEST,
                b"".join((String(name), String("ssh-connection"), String("password"), Boolean(False))),
                String("wrong"),
            )
        await gate.until(lambda: client.ended is not None)
    assert "user name changed" in str(client.ended)
    assert (await gate.sealed()).session is None


async def test_of_two_proofs_at_once_the_first_leaves_nothing(gate: Gate):
    """Threat 2: a good token still being judged when a bad one arrives does not log the bad one in."""
    judged = trio.Event()
    async with raw_client(gate.port, manual=True) as client:
        gate.judging = judged
        for count, word in enumerate((TOKEN, "wrong"), 1):
            client.send_packet(
                MSG_USERAUTH_REQUEST,
                b"".join((String("prod-web"), String("ssh-connection"), String("password"), Boolean(False))),
                String(word),
            )
            await gate.until(lambda count=count: len(gate.tried) >= count)
        judged.set()
        await trio.testing.wait_all_tasks_blocked(0.2)
        assert not client._auth_complete
    assert (await gate.sealed()).session is None


class Deaf:
    """A client's side of an authentication that hears nothing."""

    def process_packet(self, *_: Any) -> bool:
        return True

    def log_received_packet(self, *_: Any) -> None:
        pass

    def cancel(self) -> None:
        pass


async def test_answers_sent_one_after_another_are_counted(gate: Gate):
    """Threat 7: each drops the one before, so that none of them would ever fail."""
    gate.judging = trio.Event()
    async with raw_client(gate.port, manual=True) as client:
        client._auth = Deaf()
        name = b"".join((String("prod-web"), String("ssh-connection"), String("keyboard-interactive")))
        client.send_packet(MSG_USERAUTH_REQUEST, name, String(""), String(""))
        await trio.testing.wait_all_tasks_blocked(0.2)
        for n in range(3 * MAX_ATTEMPTS):
            if client.ended is None:
                client.send_packet(MSG_USERAUTH_INFO_RESPONSE, UInt32(1), String(f"guess {n}"))
                await trio.testing.wait_all_tasks_blocked()
        await gate.until(lambda: client.ended is not None)
    assert "Too many authentication attempts" in str(client.ended)
    assert (await gate.sealed()).session is None


@pytest.mark.parametrize("method", ["password", "keyboard-interactive"])
async def test_a_token_logs_in_as_password(gate: Gate, tmp_path: Path, method: str):
    line = gate.line(BatchMode="no", PreferredAuthentications=method, PubkeyAuthentication="no")
    done = await gate.run_client([*line, "echo in"], env=askpass(tmp_path, TOKEN))

    assert done.stdout == b"in\n", done
    assert gate.tried == [("prod-web", PasswordEvidence(Secret(TOKEN)))]
    assert len((tmp_path / "asked").read_text().splitlines()) == 1


async def test_guessing_is_cut_off(gate: Gate, tmp_path: Path):
    """Threat 7: how long a guesser waits is the core's; how often it may try on one connection is counted here."""
    line = gate.line(
        BatchMode="no",
        PreferredAuthentications="password",
        PubkeyAuthentication="no",
        NumberOfPasswordPrompts="50",
    )
    done = await gate.run_client([*line, "echo in"], env=askpass(tmp_path, "guess"))

    assert b"Too many authentication failures" in done.stderr
    assert len(gate.tried) == MAX_FAILURES


def certify(directory: Path, *options: str, principals: str = "alice") -> Path:
    """Sign alice's key; gives the certificate's path, beside a copy of the key."""
    ca, key = directory / "ca", directory / "certified"
    keygen(ca)
    keygen(key)
    names = ["-n", principals] if principals else []
    given = ["-s", str(ca), "-I", "alice@test", *names, "-V", "+1h", *options, f"{key}.pub"]
    subprocess.run(["ssh-keygen", "-q", *given], check=True, capture_output=True)
    return key


def certificate_blob(key: Path) -> bytes:
    return base64.b64decode((key.parent / f"{key.name}-cert.pub").read_text().split()[1])


async def test_a_certificate_logs_in_with_the_signature_of_its_key(gate: Gate, tmp_path: Path):
    key = certify(tmp_path)
    gate.known = {certificate_blob(key)}
    done = await gate.ssh("echo in", key=key)

    assert done.stdout == b"in\n", done
    assert gate.tried == [("prod-web", CertificateEvidence(certificate_blob(key)))]


@pytest.mark.parametrize(
    "options",
    [
        ("-V", "20200101:20200201"),
        ("-h",),
        ("-O", "force-command=/bin/true"),
        ("-O", "source-address=192.0.2.1"),
        ("-O", "critical:unheard-of=1"),
    ],
    ids=["expired", "a host's", "forced command", "another address", "unknown critical option"],
)
async def test_a_certificate_that_is_not_for_this_is_refused(
    gate: Gate, tmp_path: Path, options: tuple[str, ...]
):
    key = certify(tmp_path, *options)
    gate.known = {certificate_blob(key)}
    done = await gate.ssh("echo in", key=key)

    assert done.returncode == 255
    assert not any(isinstance(evidence, CertificateEvidence) for _, evidence in gate.tried)


async def test_a_certificate_without_principals_is_refused(gate: Gate, tmp_path: Path):
    """Threat 5: no principal meant everybody to OpenSSH before 10."""
    key = certify(tmp_path, principals="")
    gate.known = {certificate_blob(key)}

    assert (await gate.ssh("echo in", key=key)).returncode == 255
    assert gate.tried == []


async def test_a_client_that_never_logs_in_is_dropped(gate: Gate):
    """Threat 12."""
    gate.handshake_timeout = 0.3
    stream = await trio.open_tcp_stream("127.0.0.1", gate.port)
    async with stream:
        with trio.fail_after(20):
            while await stream.receive_some():
                pass
    assert (await gate.sealed()).session is None
    gate.handshake_timeout = 60.0
    assert (await gate.ssh("echo in")).stdout == b"in\n"


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n", os.urandom(70_000), b"SSH-2.0-x\r\n" + b"\xff" * 9000]
)
async def test_garbage_ends_the_connection_and_nothing_else(gate: Gate, garbage: bytes):
    stream = await trio.open_tcp_stream("127.0.0.1", gate.port)
    async with stream:
        with trio.fail_after(20):
            try:
                await stream.send_all(garbage)
                while await stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass
    await gate.sealed()
