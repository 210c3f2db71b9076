"""A program prints the credential: without a shell, in bounded time and size, and gone when it is not wanted."""

import os
import sys

import pytest
import trio
from pydantic import ValidationError

from recgate.errors import VaultFailed
from recgate.model import Principal, Secret, TargetInfo
from recgate_secrets.command import CommandSettings, CommandVault

ALICE = Principal("local", "1", "alice")
TARGET = TargetInfo("prod-db", "postgres", "db", 5432, None)
CANARY = "canary-13"


def vault(text, **settings):
    run = (sys.executable, "-c", f"import os, sys, time, subprocess\n{text}")
    return CommandVault(CommandSettings(run=run, **settings))


async def lent(vault, path="servers/prod-db"):
    return (await vault.lease(path, ALICE, TARGET, "S")).credential


async def test_what_it_prints_is_lent_and_the_path_is_its_last_argument():
    assert (await lent(vault("print(sys.argv[-1])"))).password == Secret("servers/prod-db")


async def test_its_environment_is_clean(monkeypatch):
    monkeypatch.setenv("RECGATE_SECRET_X", CANARY)
    monkeypatch.setenv("WANTED", "yes")
    shown = "print(' '.join(sorted(os.environ)))"
    names = (await lent(vault(shown, pass_environment=("WANTED", "ABSENT")))).password
    assert names is not None
    words = names.reveal().decode().split()
    assert "WANTED" in words
    assert "RECGATE_SECRET_X" not in words


@pytest.mark.parametrize("path", ["-x", "a b", "$(id)", "", "a;b", "a\0", "ä", "x" * 501])
async def test_threat_24_what_may_not_be_an_argument_is_refused(path):
    with pytest.raises(VaultFailed, match="may not be an argument"):
        await lent(vault("print('never')"), path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"print('{CANARY}'); print('{CANARY}', file=sys.stderr); sys.exit(3)", "ended with status 3"),
        ("", "is empty"),
        (f"print('{CANARY}' * 100000)", "prints more than a credential"),
        (f"print('{{{CANARY}')", "begins like JSON"),
    ],
)
async def test_what_goes_wrong_is_said_and_quotes_nothing(capfd, text, said):
    with pytest.raises(VaultFailed, match=said) as refused:
        await lent(vault(text))
    assert CANARY not in str(refused.value)
    assert CANARY not in capfd.readouterr().err


async def test_a_program_that_is_not_there_is_named():
    with pytest.raises(VaultFailed, match="/no/such/program: No such file"):
        await lent(CommandVault(CommandSettings(run=("/no/such/program",))))


async def test_one_that_hangs_is_ended_with_what_it_started(tmp_path):
    pids = tmp_path / "pids"
    program = tmp_path / "child.py"
    program.write_text(f"import os, time\nopen({str(pids)!r}, 'w').write(str(os.getpid()))\ntime.sleep(99)\n")
    child = f"[sys.executable, {str(program)!r}]"
    with pytest.raises(VaultFailed, match="did not end within"):
        await lent(vault(f"subprocess.Popen({child}); time.sleep(99)", timeout="2s"))
    pid = int(pids.read_text())
    with trio.fail_after(5):
        while _runs(pid):  # noqa: ASYNC110 - another process
            await trio.sleep(0.01)


def _runs(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().split()[2] != "Z"
    except OSError:
        return False


async def test_few_run_at_once(tmp_path):
    busy = vault("time.sleep(0.3); print('x')", at_once=1)
    with trio.fail_after(20):
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(lent, busy)
        assert trio.current_time() - began >= 0.9


async def test_cancelled_it_leaves_no_process():
    before = len(os.listdir("/proc/self/fd"))
    with trio.move_on_after(0.5) as scope:
        await lent(vault("time.sleep(99)"))
    assert scope.cancelled_caught
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_command_is_needed():
    with pytest.raises(ValidationError):
        CommandSettings(run=())
