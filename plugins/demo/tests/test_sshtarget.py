"""The SSH target gives OpenSSH's own clients what a machine gives them: a shell in a terminal, commands, files."""

import shutil
import subprocess

import pytest

from recgate_demo.accounts import SHELL_ACCOUNTS, account_for, scratch_directory
from recgate_demo.sshtarget import KeyPair, ssh_target
from recgate_demo.typist import COLUMNS, ROWS, type_lines

ENV = {"PATH": "/usr/bin:/bin", "TERM": "xterm-256color"}


class Client:
    """OpenSSH's clients, with the key that the target lets in."""

    def __init__(self, machine, directory):
        self.machine = machine
        self.directory = directory
        machine.key.write(directory / "key")
        (directory / "known_hosts").write_text(f"[{machine.host}]:{machine.port} {machine.host_key}\n")

    def options(self, key="key"):
        known = f"UserKnownHostsFile={self.directory / 'known_hosts'}"
        return [
            "-F",
            "none",
            "-i",
            str(self.directory / key),
            "-o",
            known,
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
        ]

    def line(self, *words, user="", key="key"):
        login = f"{user or self.machine.username}@{self.machine.host}"
        return ["ssh", *self.options(key), "-p", str(self.machine.port), login, *words]

    def run(self, *words, stdin=b"", **who):
        return subprocess.run(
            self.line(*words, **who), input=stdin, capture_output=True, timeout=60, check=False
        )

    def copy(self, *words):
        command = ["scp", *self.options(), "-P", str(self.machine.port), *words]
        return subprocess.run(command, capture_output=True, timeout=60, check=False)

    def remote(self, name):
        return f"{self.machine.username}@{self.machine.host}:{name}"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    account = account_for(SHELL_ACCOUNTS)
    scratch = scratch_directory([account])
    with ssh_target(scratch, account) as machine:
        yield Client(machine, tmp_path_factory.mktemp("client"))
    shutil.rmtree(scratch)


def test_a_command_has_output_errors_and_a_status_of_its_own(client):
    done = client.run("id -u; echo wrong >&2; exit 3")

    assert done.stdout.decode().strip() == str(account_for(SHELL_ACCOUNTS).uid)
    assert done.stderr == b"wrong\n"
    assert done.returncode == 3


def test_a_command_reads_its_standard_input_to_the_end(client):
    assert client.run("wc -c", stdin=b"x" * 1_000_000).stdout == b"1000000\n"


def test_a_command_need_not_read_its_standard_input(client):
    done = client.run("head -c 1", stdin=b"y" * 1_000_000)

    assert (done.stdout, done.returncode) == (b"y", 0)


def test_a_login_shell_is_in_a_terminal_of_the_clients_size(client):
    lines = ["tty", "stty size", "shopt -q login_shell && echo a login shell", "exit 5"]

    done = type_lines(client.line(), lines, b"$ ", 60, ENV)

    assert done.returncode == 5
    assert "/dev/pts/" in done.stdout
    assert f"{ROWS} {COLUMNS}" in done.stdout
    assert "\na login shell" in done.stdout.replace("\r", "\n")
    assert f"{client.machine.username}@prod-web:~$" in done.stdout


def test_a_shell_ends_although_something_in_the_background_holds_its_terminal(client):
    done = type_lines(client.line(), ["sleep 15 &", "exit"], b"$ ", 60, ENV)

    assert done.returncode == 0


@pytest.mark.parametrize("options", [[], ["-O"]], ids=["sftp", "rcp"])
def test_files_are_copied_there_and_back(client, options, tmp_path):
    (tmp_path / "here").write_bytes(b"contents\n" * 10_000)

    there = client.copy(*options, str(tmp_path / "here"), client.remote("there"))
    back = client.copy(*options, client.remote("there"), str(tmp_path / "back"))

    assert (there.returncode, back.returncode) == (0, 0), there.stderr + back.stderr
    assert (tmp_path / "back").read_bytes() == (tmp_path / "here").read_bytes()
    assert (client.machine.home / "there").stat().st_uid == account_for(SHELL_ACCOUNTS).uid


def test_only_the_account_with_its_key_gets_in(client):
    KeyPair.generate().write(client.directory / "other")

    assert client.run("id", user="root").returncode == 255
    assert client.run("id", key="other").returncode == 255
    assert client.run("true").returncode == 0


def test_nothing_of_the_demos_environment_reaches_the_shell(client, monkeypatch):
    monkeypatch.setenv("DEMO_SECRET", "x")

    names = {line.partition("=")[0] for line in client.run("env").stdout.decode().splitlines()}

    assert names >= {"HOME", "USER", "SHELL", "PATH"}
    assert names <= {
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "PATH",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "PWD",
        "SHLVL",
        "_",
    }
