"""What crosses a bridge, with the real client and the real sshd: programs, terminals, signals, several at once."""

import os
from pathlib import Path

import trio

from plugins.ssh.tests.gate import Gate
from recgate.sansio.frames import CLIENT, UPSTREAM

# A terminal of 132 columns by 43 rows for a client, whose size is changed while a program waits for it.
PTY_CLIENT = """
import fcntl, os, pty, select, signal, struct, sys, termios
pid, terminal = pty.fork()
if not pid:
    os.execvp(sys.argv[1], sys.argv[1:])
def size(rows, cols):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
    os.kill(pid, signal.SIGWINCH)
size(43, 132)
shown, changed = b"", False
while True:
    try:
        part = os.read(terminal, 65536)
    except OSError:
        break
    shown += part
    if b"ready" in shown and not changed:
        changed = True
        size(50, 100)
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


async def test_a_command_gives_its_output_its_errors_and_its_status(gate: Gate):
    done = await gate.ssh("echo out; echo err >&2; exit 3")

    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 3)
    door = await gate.sealed()
    assert door.data(UPSTREAM) == b"out\n"
    assert door.data(UPSTREAM, "ext") == b"err\n"
    assert door.bodies("request")[0]["command"] == "echo out; echo err >&2; exit 3"
    assert door.bodies("exit") == [{"type": "exit-status", "reply": False, "status": 3}]
    assert door.facts["exit"] == {"channel": 1, "status": 3}
    assert door.reason == "client-closed"


async def test_input_ends_before_output_does(gate: Gate):
    done = await gate.ssh("sort; echo after the end of input", stdin=b"b\na\n")

    assert done.stdout == b"a\nb\nafter the end of input\n"
    door = await gate.sealed()
    assert door.data(CLIENT) == b"b\na\n"
    kinds = [(frame.side, frame.kind) for frame in door.frames]
    assert kinds.index((CLIENT, "eof")) < kinds.index((UPSTREAM, "data"))


async def test_a_program_killed_by_a_signal_is_told_as_such(gate: Gate):
    done = await gate.ssh("kill -TERM $$")

    assert done.returncode == 255
    door = await gate.sealed()
    assert door.bodies("exit")[0]["signal"] == "TERM"


async def test_environment_passes_as_far_as_the_target_accepts_it(gate: Gate):
    env = {**os.environ, "RECGATE_COLOUR": "green"}
    line = gate.line(SendEnv="RECGATE_COLOUR")
    done = await gate.run_client([*line, "echo $RECGATE_COLOUR"], env=env)

    assert done.stdout == b"green\n"
    door = await gate.sealed()
    assert {"type": "env", "reply": False, "name": "RECGATE_COLOUR", "value": "green"} in door.bodies(
        "request"
    )


async def test_a_terminal_has_its_type_and_its_size_and_hears_of_changes(gate: Gate):
    command = "trap 'stty size; exit 7' WINCH; stty size; echo $TERM ready; while :; do sleep 0.05; done"
    ssh = [*gate.line("-tt"), command]
    env = {**os.environ, "TERM": "screen-256color"}
    done = await gate.run_client(["python3", "-c", PTY_CLIENT, *ssh], env=env)

    assert done.returncode == 7, done
    assert [line for line in done.stdout.split(b"\r\n") if line][:3] == [
        b"43 132",
        b"screen-256color ready",
        b"50 100",
    ]
    door = await gate.sealed()
    pty = next(body for body in door.bodies("request") if body["type"] == "pty-req")
    assert (pty["term"], pty["cols"], pty["rows"]) == ("screen-256color", 132, 43)
    assert {"cols": 100, "rows": 50}.items() <= door.bodies("resize")[0].items()


async def test_every_keystroke_and_every_output_byte_is_recorded(gate: Gate):
    done = await gate.ssh(options=("-tt",), stdin=b"stty -echo\recho typed-$((40+2))\rexit 4\r")

    assert done.returncode == 4
    assert b"typed-42" in done.stdout
    door = await gate.sealed()
    assert door.data(CLIENT) == b"stty -echo\recho typed-$((40+2))\rexit 4\r"
    assert door.data(UPSTREAM) == done.stdout


async def test_a_large_transfer_arrives_whole_in_both_directions(gate: Gate):
    data = os.urandom(1 << 20) * 24
    done = await gate.ssh("cat", stdin=data)

    assert done.stdout == data
    door = await gate.sealed()
    assert door.data(CLIENT) == data
    assert door.data(UPSTREAM) == data
    # Frames are per read, not per packet: an eighth as many would be one per packet of 32 KiB.
    assert sum(frame.kind == "data" for frame in door.frames) < 2 * len(data) // 32_768


async def test_multiplexed_channels_are_one_session(gate: Gate, tmp_path: Path):
    path = tmp_path / "mux"
    outputs: list[bytes] = []

    async def one(number: int) -> None:
        line = gate.line(ControlPath=str(path))
        outputs.append((await gate.run_client([*line, f"echo {number}; cat >/dev/null"])).stdout)

    async with gate.client(gate.line("-N", ControlPath=str(path), ControlMaster="yes")):
        await gate.until(path.exists)
        async with trio.open_nursery() as clients:
            for number in range(5):
                clients.start_soon(one, number)
    assert sorted(outputs) == [b"0\n", b"1\n", b"2\n", b"3\n", b"4\n"]
    door = await gate.sealed()
    assert len(gate.doors) == 1
    assert {frame.channel for frame in door.frames if frame.kind == "open"} == {1, 2, 3, 4, 5}


async def test_over_a_shared_connection_the_exit_status_arrives_behind_the_end_of_the_data(
    gate: Gate, tmp_path: Path
):
    """The master closes its channel at the end of the data, and the status comes when the program ends."""
    path = tmp_path / "mux"
    async with gate.client(gate.line("-N", ControlPath=str(path), ControlMaster="yes")):
        await gate.until(path.exists)
        for command, status in (
            ("exit 4", 4),
            ("exec >/dev/null 2>&1 </dev/null; sleep 0.3; exit 5", 5),
            ("echo x; exec >&- 2>&- <&-; sleep 0.3; exit 6", 6),
        ):
            done = await gate.run_client([*gate.line("-n", ControlPath=str(path)), command])
            assert done.returncode == status, command
    exits = [body["status"] for body in (await gate.sealed()).bodies("exit")]
    assert exits == [4, 5, 6]


async def test_a_connection_without_a_channel_stays_until_the_client_leaves(gate: Gate):
    async with gate.client(gate.line("-N")) as process:
        await gate.until(lambda: bool(gate.doors) and gate.door.session is not None)
        assert process.poll() is None
    door = await gate.sealed()
    assert "client" in door.reason
    assert door.frames == []


async def test_a_client_that_is_killed_ends_the_program_behind_it(gate: Gate, tmp_path: Path):
    marker = tmp_path / "gone"
    command = f"trap 'touch {marker}; exit' HUP; echo up; while :; do sleep 0.05; done"
    async with gate.client([*gate.line("-tt"), command]):
        await gate.until(lambda: bool(gate.doors) and b"up" in gate.door.data(UPSTREAM))
    door = await gate.sealed()
    await gate.until(marker.exists)
    assert "client" in door.reason


async def test_a_target_that_goes_away_is_told_to_the_client(gate: Gate):
    done = await gate.ssh("echo before; sleep 0.3; kill -9 $PPID; sleep 5")

    assert done.stdout == b"before\n"
    assert done.returncode == 1
    assert b"recgate: the connection to prod-web is gone" in done.stderr
    door = await gate.sealed()
    assert door.reason.startswith("connection-lost: target")
