"""A client that goes no further is told why by whatever it asked for, and asks for nothing twice."""

import pytest

from plugins.ssh.tests.gate import Gate
from recgate_ssh import doorstep

LINE = b'recgate: no ssh target "elsewhere" is open to you: see `recgate targets`\r\n'


@pytest.mark.parametrize(
    ("command", "options"),
    [((), ()), ((), ("-tt",)), (("id",), ()), (("sftp",), ("-s",))],
    ids=["shell", "terminal", "command", "subsystem"],
)
async def test_any_program_says_the_reason_and_fails(
    gate: Gate, command: tuple[str, ...], options: tuple[str, ...]
):
    done = await gate.ssh(*command, options=options, login="elsewhere", stdin=b"x" * 100_000)

    assert done.returncode == doorstep.STATUS
    assert LINE in done.stderr
    assert done.stdout == b""


async def test_sftp_and_scp_show_the_reason(gate: Gate):
    options = ["-P", str(gate.port), *gate.options()]
    sftp = await gate.run_client(["sftp", *options, "elsewhere@127.0.0.1"])
    scp = await gate.run_client(["scp", *options, "elsewhere@127.0.0.1:x", "/dev/null"])

    assert LINE in sftp.stderr
    assert LINE in scp.stderr


async def test_a_forward_is_refused_with_the_reason(gate: Gate):
    done = await gate.ssh(options=("-W", "127.0.0.1:1"), login="elsewhere")

    assert b'no ssh target "elsewhere" is open to you' in done.stderr
