"""Files in and out by every client people use, and what the transcript says of them."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from plugins.ssh.tests.gate import Door, Gate
from plugins.ssh.tests.reading import entries
from recgate.decisions import ALLOW, Decision
from recgate.sansio.frames import CLIENT


def files(door: Door) -> list[dict[str, Any]]:
    return [dict(entry.body) for entry in entries(door.frames) if entry.kind == "file"]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sample(path: Path, size: int = 3_000_000) -> Path:
    path.write_bytes(os.urandom(size))
    return path


def copy_line(gate: Gate, *words: str) -> list[str]:
    return ["scp", "-q", "-P", str(gate.port), *gate.options(), *words]


async def test_old_scp_uploads(gate: Gate, tmp_path: Path):
    source, there = sample(tmp_path / "source"), tmp_path / "there"
    done = await gate.run_client(copy_line(gate, "-O", str(source), f"prod-web@127.0.0.1:{there}"))

    assert done.returncode == 0, done
    assert there.read_bytes() == source.read_bytes()
    (file,) = files(await gate.sealed())
    assert file == {"path": str(there), "direction": "upload", "size": 3_000_000, "sha256": sha256(source)}


async def test_old_scp_downloads_a_tree(gate: Gate, tmp_path: Path):
    tree, here = tmp_path / "tree", tmp_path / "here"
    (tree / "deep").mkdir(parents=True)
    first, second = sample(tree / "first", 10), sample(tree / "deep" / "second", 100_000)
    (tree / "empty").touch()
    done = await gate.run_client(copy_line(gate, "-O", "-r", f"prod-web@127.0.0.1:{tree}", str(here)))

    assert done.returncode == 0, done
    assert (here / "deep" / "second").read_bytes() == second.read_bytes()
    found = {file["path"]: file for file in files(await gate.sealed())}
    assert {Path(path).name: file["size"] for path, file in found.items()} == {
        "first": 10,
        "second": 100_000,
        "empty": 0,
    }
    assert {file["sha256"] for file in found.values()} == {
        sha256(first),
        sha256(second),
        hashlib.sha256().hexdigest(),
    }
    assert all(file["direction"] == "download" for file in found.values())


async def test_new_scp_uploads_and_downloads(gate: Gate, tmp_path: Path):
    source, there, back = sample(tmp_path / "source"), tmp_path / "there", tmp_path / "back"
    up = await gate.run_client(copy_line(gate, "-s", str(source), f"prod-web@127.0.0.1:{there}"))
    down = await gate.run_client(copy_line(gate, "-s", f"prod-web@127.0.0.1:{there}", str(back)))

    assert (up.returncode, down.returncode) == (0, 0), (up, down)
    assert back.read_bytes() == source.read_bytes()
    (uploaded,) = files(await gate.sealed(1))
    (downloaded,) = files(await gate.sealed(2))
    same = {"path": str(there), "size": 3_000_000, "sha256": sha256(source)}
    assert uploaded == {**same, "direction": "upload"}
    assert downloaded == {**same, "direction": "download"}


async def test_sftp_is_told_step_by_step(gate: Gate, tmp_path: Path):
    source = sample(tmp_path / "source", 200_000)
    batch = f"""
put {source} {tmp_path}/up
get {tmp_path}/up {tmp_path}/down
mkdir {tmp_path}/made
rename {tmp_path}/up {tmp_path}/made/moved
chmod 600 {tmp_path}/made/moved
rm {tmp_path}/made/moved
rmdir {tmp_path}/made
"""
    line = ["sftp", "-q", "-P", str(gate.port), *gate.options(), "-b", "-", "prod-web@127.0.0.1"]
    done = await gate.run_client(line, stdin=batch.encode())

    assert done.returncode == 0, done
    assert (tmp_path / "down").read_bytes() == source.read_bytes()
    steps = files(await gate.sealed())
    assert [(step["direction"], Path(step["path"]).name) for step in steps] == [
        ("upload", "up"),
        ("download", "up"),
        ("mkdir", "made"),
        ("rename", "up"),
        ("attributes", "moved"),
        ("remove", "moved"),
        ("rmdir", "made"),
    ]
    assert {step["sha256"] for step in steps[:2]} == {sha256(source)}
    assert steps[3]["to"] == f"{tmp_path}/made/moved"


async def test_what_sftp_was_refused_by_the_target_is_told_too(gate: Gate, tmp_path: Path):
    line = ["sftp", "-q", "-P", str(gate.port), *gate.options(), "-b", "-", "prod-web@127.0.0.1"]
    await gate.run_client(line, stdin=f"-rm {tmp_path}/nothing\n-mkdir {tmp_path}\n".encode())

    errors = [(step["direction"], step.get("error")) for step in files(await gate.sealed())]
    assert ("remove", "no such file") in errors or ("mkdir", "failure") in errors


async def test_rsync_copies_a_tree(gate: Gate, tmp_path: Path):
    tree, there = tmp_path / "tree", tmp_path / "there"
    (tree / "deep").mkdir(parents=True)
    source = sample(tree / "deep" / "file")
    shell = " ".join(["ssh", "-p", str(gate.port), *gate.options()])
    done = await gate.run_client(["rsync", "-a", "-e", shell, f"{tree}/", f"prod-web@127.0.0.1:{there}/"])

    assert done.returncode == 0, done
    assert (there / "deep" / "file").read_bytes() == source.read_bytes()


async def test_git_clones(gate: Gate, tmp_path: Path):
    origin = tmp_path / "origin"
    identity = ["-c", "user.name=alice", "-c", "user.email=alice@example.org"]
    for line in (["init", "-q", str(origin)], ["-C", str(origin), "add", "."]):
        origin.mkdir(exist_ok=True)
        sample(origin / "file", 50_000)
        assert (await gate.run_client(["git", *line])).returncode == 0
    await gate.run_client(["git", "-C", str(origin), *identity, "commit", "-q", "-m", "one"])
    env = {**os.environ, "GIT_SSH_COMMAND": " ".join(["ssh", *gate.options()])}
    url = f"ssh://prod-web@127.0.0.1:{gate.port}{origin}"
    done = await gate.run_client(["git", "clone", "-q", url, str(tmp_path / "clone")], env=env)

    assert done.returncode == 0, done
    assert (tmp_path / "clone" / "file").read_bytes() == (origin / "file").read_bytes()
    assert "git-upload-pack" in (await gate.sealed()).bodies("request")[-1]["command"]


async def test_ansible_runs_with_pipelining(gate: Gate, tmp_path: Path):
    config = tmp_path / "ansible.cfg"
    config.write_text("[defaults]\nhost_key_checking = False\n[ssh_connection]\npipelining = True\n")
    inventory = tmp_path / "hosts"
    arguments = " ".join(gate.options())
    inventory.write_text(
        f"web ansible_host=127.0.0.1 ansible_port={gate.port} ansible_user=prod-web "
        f"ansible_ssh_common_args='{arguments}' ansible_python_interpreter=/usr/bin/python3\n"
    )
    env = {**os.environ, "ANSIBLE_CONFIG": str(config), "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local")}
    command = f"dest={tmp_path}/written content=by-ansible"
    done = await gate.run_client(
        ["ansible", "-i", str(inventory), "all", "-m", "copy", "-a", command, "-o"], env=env
    )

    assert done.returncode == 0, done
    assert b"CHANGED" in done.stdout
    assert (tmp_path / "written").read_text() == "by-ansible"


async def test_a_copy_whose_command_is_more_than_a_copy_is_a_command(gate: Gate, tmp_path: Path):
    """Threat 13: `scp -t …; bash` is judged as the shell that it is, by all of its text."""
    asked: list[Any] = []

    def decide(request: Any) -> Decision:
        asked.append(request.request)
        return Decision.deny("no shells here", rule="r") if "bash" in request.request.text else ALLOW

    gate.decide = decide
    done = await gate.ssh(f"scp -t {tmp_path}/x; bash", options=("-tt",), stdin=b"id\rexit\r")

    assert done.returncode == 1
    assert b"no shells here" in done.stderr
    door = await gate.sealed()
    assert [(each.kind, each.text) for each in asked] == [("shell", f"scp -t {tmp_path}/x; bash")]
    assert door.data(CLIENT) == b"" or "id" not in json.dumps(door.bodies("request"))
    assert not door.data(1)


def test_the_clients_are_there():
    assert all(map(shutil.which, ("scp", "sftp", "rsync", "git", "ansible")))
