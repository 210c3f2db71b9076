"""Rules about files at real sftp and scp: what is refused reads "Permission denied", and the session goes on."""

import os
from pathlib import Path
from typing import Any

import pytest

from plugins.ssh.tests.gate import Gate
from recgate.decisions import ALLOW, Decision
from recgate.policy import acts_of


def forbid(gate: Gate, word: str, asked: list[str] | None = None) -> None:
    """Refuse every act on a file whose path has a word in it, or that nobody can tell."""

    def decide(request: Any) -> Decision:
        if request.request.kind != "file":
            return ALLOW
        acts = acts_of(request.request)
        if asked is not None:
            asked.extend(
                f"{act.verb} {act.direction} {act.path}{'?' * act.opaque}" for act in acts if act.path
            )
        if any(word in act.path or act.opaque for act in acts):
            return Decision.deny("not that one", rule="no-secrets")
        return ALLOW

    gate.decide = decide


async def sftp(gate: Gate, batch: str) -> Any:
    line = ["sftp", "-q", "-P", str(gate.port), *gate.options(), "-b", "-", "prod-web@127.0.0.1"]
    return await gate.run_client(line, stdin=batch.encode())


async def test_each_operation_is_refused_by_itself(gate: Gate, tmp_path: Path):
    asked: list[str] = []
    forbid(gate, "secret", asked)
    secret, plain = tmp_path / "secret", tmp_path / "plain"
    secret.write_text("s3cret")
    plain.write_bytes(os.urandom(400_000))
    here, there = tmp_path / "here", tmp_path / "there"
    done = await sftp(
        gate,
        f"-get {secret} {here}\n-put {plain} {secret}\n-rm {secret}\n-rename {secret} {tmp_path}/x\n"
        f"-rename {plain} {secret}2\n-chmod 777 {secret}\n-symlink {secret} {tmp_path}/link\n-mkdir {secret}3\n"
        f"-ln {secret} {tmp_path}/hard\n-ls {secret}\nput {plain} {there}\nget {there} {here}\nrm {plain}\n",
    )
    assert done.returncode == 0, done
    assert here.read_bytes() == there.read_bytes()
    assert len(here.read_bytes()) == 400_000
    assert secret.read_text() == "s3cret"
    assert set(os.listdir(tmp_path)) == {"secret", "there", "here", "gate"}
    assert done.stderr.count(b"not that one") + done.stderr.lower().count(b"permission denied") >= 8
    door = await gate.sealed()
    assert {
        f"READ download {secret}",
        f"WRITE upload {secret}",
        f"WRITE rename {secret}2",
        f"WRITE symlink {secret}",
    } <= set(asked)
    assert {each["rule"] for each in door.bodies("decision")} == {"no-secrets"}
    # What was refused is in nothing that was sent on.
    assert str(secret).encode() + b"2" not in door.data(0)


async def test_the_clients_own_words(gate: Gate, tmp_path: Path):
    forbid(gate, "secret")
    (tmp_path / "secret").write_text("x")
    done = await sftp(gate, f"get {tmp_path}/secret {tmp_path}/y\n")
    assert done.returncode == 1
    assert b"recgate session" in done.stderr or b"Permission denied" in done.stderr


@pytest.mark.parametrize("how", ["-O", "-s"])
async def test_scp_of_both_kinds(gate: Gate, tmp_path: Path, how: str):
    forbid(gate, "secret")
    source = tmp_path / "source"
    source.write_bytes(os.urandom(100_000))
    base = ["scp", "-q", "-P", str(gate.port), *gate.options(), how]
    refused = await gate.run_client([*base, str(source), f"prod-web@127.0.0.1:{tmp_path}/secret"])
    assert refused.returncode != 0
    assert not (tmp_path / "secret").exists()
    (tmp_path / "secret").write_text("x")
    refused = await gate.run_client([*base, f"prod-web@127.0.0.1:{tmp_path}/secret", str(tmp_path / "y")])
    assert refused.returncode != 0
    assert not (tmp_path / "y").exists()
    fine = await gate.run_client([*base, str(source), f"prod-web@127.0.0.1:{tmp_path}/there"])
    assert fine.returncode == 0, fine
    assert (tmp_path / "there").read_bytes() == source.read_bytes()
    back = await gate.run_client([*base, f"prod-web@127.0.0.1:{tmp_path}/there", str(tmp_path / "back")])
    assert back.returncode == 0, back
    assert (tmp_path / "back").read_bytes() == source.read_bytes()


async def test_what_is_no_sftp_ends_the_channel(gate: Gate):
    done = await gate.ssh("sftp", options=("-s",), stdin=b"\xff" * 100)
    assert b"cannot be followed" in done.stderr
    assert done.returncode == 1


async def test_a_detour_is_opaque(gate: Gate, tmp_path: Path):
    """A detour through `..` may end anywhere, so it is opaque and this rule refuses it."""
    forbid(gate, "secret")
    (tmp_path / "d").mkdir()
    (tmp_path / "plain").write_text("x")
    done = await gate.run_client(
        [
            "scp",
            "-q",
            "-O",
            "-P",
            str(gate.port),
            *gate.options(),
            f"prod-web@127.0.0.1:{tmp_path}/d/../plain",
            str(tmp_path / "y"),
        ]
    )
    assert done.returncode != 0
    assert b"not that one" in done.stderr
