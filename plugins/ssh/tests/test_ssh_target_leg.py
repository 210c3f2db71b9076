"""The way to the target: whose host key is believed, and which credential gets in (issue item 13)."""

import base64
import hashlib
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from plugins.ssh.tests.gate import Gate, open_gate
from recgate.model import Credential, Secret, TargetInfo
from recgate_ssh import driver
from recgate_ssh.options import SshTargetOptions
from recgate_ssh.wire import target_leg
from tests.peers.sshd import Sshd, free_port, keygen
from tests.peers.sshserver import PasswordServer


def with_options(gate: Gate, **options: Any) -> None:
    old = gate.target
    gate.target = TargetInfo(old.name, "ssh", old.host, old.port, SshTargetOptions.model_validate(options))


def fingerprint(line: str) -> str:
    digest = hashlib.sha256(base64.b64decode(line.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


async def test_an_unknown_host_key_is_refused_with_the_line_to_add(gate: Gate, sshd: Sshd):
    with_options(gate)
    done = await gate.ssh("echo in")

    assert (done.stdout, done.returncode) == (b"", 1)
    said = done.stderr.decode()
    assert "host key of prod-web is not known" in said
    assert fingerprint(sshd.host_key_line) in said
    assert f'host_key: "{sshd.host_key_line}"' in said
    door = await gate.sealed()
    assert door.reason.startswith("upstream: the host key")
    # The recording is open by then, so what the gateway says stands in it.
    assert door.data(2, "ext").decode() == said


async def test_a_changed_host_key_is_refused(gate: Gate, sshd: Sshd, tmp_path: Path):
    other = keygen(tmp_path / "other").with_suffix(".pub").read_text()
    with_options(gate, host_key=other.strip())
    done = await gate.ssh("echo in")

    assert done.returncode == 1
    assert b"has changed" in done.stderr
    assert fingerprint(sshd.host_key_line) in done.stderr.decode()


async def test_one_of_several_host_keys_is_enough(gate: Gate, sshd: Sshd, tmp_path: Path):
    other = keygen(tmp_path / "other").with_suffix(".pub").read_text()
    with_options(gate, host_key=[other.strip(), sshd.host_key_line])

    assert (await gate.ssh("echo in")).stdout == b"in\n"


@pytest.mark.parametrize("hashed", [False, True])
async def test_a_known_hosts_file_is_believed(gate: Gate, sshd: Sshd, tmp_path: Path, hashed: bool):
    known = tmp_path / "known_hosts"
    known.write_text(f"# ours\n[127.0.0.1]:{sshd.port} {sshd.host_key_line}\n")
    if hashed:
        await trio.run_process(
            ["ssh-keygen", "-q", "-H", "-f", str(known)], capture_stdout=True, capture_stderr=True
        )
    with_options(gate, known_hosts=str(known))

    assert (await gate.ssh("echo in")).stdout == b"in\n"


async def test_a_revoked_key_is_refused_even_if_it_is_listed(gate: Gate, sshd: Sshd, tmp_path: Path):
    known = tmp_path / "known_hosts"
    known.write_text(f"@revoked * {sshd.host_key_line}\n")
    with_options(gate, known_hosts=str(known), host_key=sshd.host_key_line)
    done = await gate.ssh("echo in")

    assert done.returncode == 1
    assert b"revoked" in done.stderr


async def test_a_known_hosts_file_that_is_not_there_is_said_to_be(gate: Gate, tmp_path: Path):
    with_options(gate, known_hosts=str(tmp_path / "nowhere"))
    done = await gate.ssh("echo in")

    assert done.returncode == 1
    assert b"known_hosts: cannot read" in done.stderr


async def test_a_host_certificate_is_believed_by_its_authority(tmp_path: Path):
    authority = keygen(tmp_path / "authority")
    (tmp_path / "target").mkdir()
    server = Sshd(tmp_path / "target")
    line = ["-s", str(authority), "-h", "-I", "target", "-n", "127.0.0.1", f"{server.host_key}.pub"]
    subprocess_run(["ssh-keygen", "-q", *line])
    server = server.with_settings(HostCertificate=f"{server.host_key}-cert.pub")
    known = tmp_path / "known_hosts"
    known.write_text(f"@cert-authority * {authority.with_suffix('.pub').read_text()}")
    with server:
        async with open_gate(tmp_path / "gate", server, host_key=(), known_hosts=known) as gate:
            done = await gate.ssh("echo in")
            assert done.stdout == b"in\n", (done, server.log())


async def test_a_leased_certificate_logs_in(tmp_path: Path):
    authority, key = keygen(tmp_path / "authority"), keygen(tmp_path / "user")
    (tmp_path / "target").mkdir()
    server = Sshd(tmp_path / "target").with_settings(
        TrustedUserCAKeys=f"{authority}.pub", AuthorizedKeysFile="none"
    )
    subprocess_run(
        ["ssh-keygen", "-q", "-s", str(authority), "-I", "session-id", "-n", server.user, f"{key}.pub"]
    )
    with server:
        async with open_gate(tmp_path / "gate", server) as gate:
            certificate = (tmp_path / "user-cert.pub").read_bytes()
            gate.credential = Credential(server.user, None, Secret(key.read_bytes()), certificate)
            done = await gate.ssh("echo in")
            assert done.stdout == b"in\n", (done, server.log())
        assert "ID session-id" in server.log()


@pytest.fixture
async def password_server(tmp_path: Path) -> AsyncIterator[PasswordServer]:
    async with trio.open_nursery() as nursery:
        server = PasswordServer(keygen(tmp_path / "password_host_key"), "app", "correct horse")
        await nursery.start(server.run)
        yield server
        nursery.cancel_scope.cancel()


def at(gate: Gate, server: PasswordServer) -> None:
    options = SshTargetOptions.model_validate({"host_key": server.host_key_line})
    gate.target = TargetInfo("prod-web", "ssh", "127.0.0.1", server.port, options)


@pytest.mark.parametrize("interactive", [False, True])
async def test_a_leased_password_logs_in(gate: Gate, password_server: PasswordServer, interactive: bool):
    password_server.interactive = interactive
    at(gate, password_server)
    gate.credential = Credential("app", Secret("correct horse"))

    assert (await gate.ssh("anything")).stdout == b"app ran anything\n"


async def test_a_refused_credential_is_said_without_its_secret(gate: Gate, password_server: PasswordServer):
    at(gate, password_server)
    gate.credential = Credential("app", Secret("wrong staple"))
    done = await gate.ssh("anything")

    assert done.returncode == 1
    assert b"prod-web did not accept the credential for 'app'" in done.stderr
    assert b"wrong staple" not in done.stderr + repr((await gate.sealed()).frames).encode()


async def test_the_account_is_the_options_before_the_credentials(gate: Gate, password_server: PasswordServer):
    at(gate, password_server)
    gate.target = TargetInfo(
        *("prod-web", "ssh", "127.0.0.1", password_server.port),
        SshTargetOptions.model_validate({"host_key": password_server.host_key_line, "username": "app"}),
    )
    gate.credential = Credential("somebody", Secret("correct horse"))

    assert (await gate.ssh("anything")).stdout == b"app ran anything\n"


async def test_a_leased_key_that_is_none_is_said_without_its_text(gate: Gate):
    gate.credential = Credential("app", None, Secret("-----BEGIN NONSENSE-----"))
    done = await gate.ssh("echo in")

    assert done.returncode == 1
    assert b"neither OpenSSH nor PEM" in done.stderr
    assert b"NONSENSE" not in done.stderr


async def test_a_target_that_is_down_is_told_and_ssh_without_a_command_too(gate: Gate):
    old = gate.target
    gate.target = TargetInfo(old.name, "ssh", "127.0.0.1", free_port(), old.options)
    run = await gate.ssh("echo in")
    idle = await gate.ssh(options=("-N",))

    assert (run.returncode, run.stderr) == (1, b"recgate: prod-web: cannot connect\r\n")
    assert idle.returncode == 255
    assert b"recgate: prod-web: cannot connect" in idle.stderr


async def test_a_target_that_is_not_allowed_is_told(gate: Gate):
    done = await gate.ssh("echo in", login="prod-db")

    assert done.returncode == 1
    assert b'no ssh target "prod-db" is open to you' in done.stderr
    assert gate.door.frames == []


@pytest.mark.parametrize(
    "says",
    [
        b"",
        b"x" * 400_000,
        b"banner line\r\n" * 100_000,
        b"SSH-1.5-old\r\n",
        b"SSH-2.0-hostile\r\n" + b"\xff\xff\xff\xf0" * 100,
        b"SSH-2.0-hostile\r\n" + b"\0\0\x80\0" + b"\0" * 40_000,
    ],
    ids=["silent", "no line end", "endless banner", "version 1", "huge packet", "packet of zeros"],
)
async def test_a_hostile_target_costs_a_line_and_no_memory(gate: Gate, says: bytes):
    """Threat 32: whatever it says before keys are exchanged, the client is told, within a deadline."""
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    gate.target = TargetInfo(
        *("prod-web", "ssh", "127.0.0.1", listener.socket.getsockname()[1]),
        SshTargetOptions.model_validate({"host_key": (), "connect_timeout": 1.0}),
    )

    async def hostile(stream: trio.SocketStream) -> None:
        try:
            await stream.send_all(says)
            await stream.receive_some()
            await trio.sleep_forever()
        except trio.BrokenResourceError:
            return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, hostile, [listener])
        done = await gate.ssh("echo in")
        nursery.cancel_scope.cancel()
    assert done.returncode == 1
    assert done.stderr.startswith(b"recgate: prod-web")


def subprocess_run(line: list[str]) -> None:
    subprocess.run(line, check=True, capture_output=True)


async def test_a_target_that_leaves_right_after_the_login_ends_the_session(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
):
    async def connect(link: Any, sock: Any, spawn: Any) -> None:
        await target_leg.connect(link, sock, spawn)
        link.abort()

    monkeypatch.setattr(driver, "connect", connect)
    done = await gate.ssh("true")

    assert done.returncode == 255
    assert (await gate.sealed()).reason == "connection-lost: target: closed right after the login"
