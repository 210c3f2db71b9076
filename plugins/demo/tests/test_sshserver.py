"""The target's side of SSH that clients only reach by asking for it: signals, window changes, variables."""

import asyncio
import getpass

import asyncssh

from recgate_demo.sshserver import serve
from recgate_demo.sshtarget import KeyPair


def against_server(tmp_path, act):
    host, key = KeyPair.generate(), KeyPair.generate()
    settings = {
        "username": getpass.getuser(),
        "home": str(tmp_path),
        "host_key": host.private,
        "authorized_key": key.public,
    }

    async def run():
        async with asyncio.timeout(30), await serve(settings) as acceptor:
            async with asyncssh.connect(
                "127.0.0.1",
                acceptor.get_port(),
                username=settings["username"],
                client_keys=[asyncssh.import_private_key(key.private)],
                known_hosts=([asyncssh.import_public_key(host.public)], [], []),
                config=None,
            ) as client:
                return await act(client)
        raise AssertionError("no answer")

    return asyncio.run(run())


def test_a_signal_reaches_the_whole_pipeline(tmp_path):
    async def act(client):
        process = await client.create_process("echo go; sleep 60 | sleep 60")
        await process.stdout.readline()
        process.send_signal("TERM")
        return await process.wait()

    assert against_server(tmp_path, act).exit_signal[0] == "TERM"


def test_a_window_change_reaches_the_program(tmp_path):
    async def act(client):
        script = "trap 'stty size; exit' WINCH; echo go; while :; do sleep 0.05; done"
        process = await client.create_process(script, term_type="xterm", term_size=(80, 24))
        await process.stdout.readline()
        process.change_terminal_size(111, 44)
        return await process.stdout.readline()

    assert against_server(tmp_path, act).strip() == "44 111"


def test_a_break_interrupts(tmp_path):
    async def act(client):
        process = await client.create_process("echo go; sleep 60", term_type="xterm")
        await process.stdout.readline()
        process.send_break(100)
        return await process.wait()

    assert against_server(tmp_path, act).exit_signal[0] == "INT"


def test_the_language_is_the_clients_and_nothing_else(tmp_path):
    async def act(client):
        return await client.run("env", env={"LC_ALL": "C", "LD_PRELOAD": "evil.so", "PATH": "/evil"})

    shown = against_server(tmp_path, act).stdout.splitlines()

    assert "LC_ALL=C" in shown
    assert "PATH=/usr/local/bin:/usr/bin:/bin" in shown
    assert not [line for line in shown if "evil" in line]


def test_what_a_client_leaves_running_ends_with_it(tmp_path):
    async def act(client):
        process = await client.create_process("echo $$; sleep 60")
        return int(await process.stdout.readline())

    pid = against_server(tmp_path, act)

    assert ended(pid)


def ended(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
