"""A program in a terminal is typed to, resized and hung up on, and nothing that it wrote is lost."""

import asyncio
import signal

from recgate_demo.terminal import Terminal

ENV = {"PATH": "/usr/bin:/bin", "TERM": "dumb"}


def in_terminal(script, act, size=(91, 33)):
    async def run():
        terminal = await Terminal.run("/bin/bash", ["bash", "-c", script], ENV, size)
        try:
            async with asyncio.timeout(30):
                return await act(terminal)
        finally:
            terminal.close()
            if terminal.process.returncode is None:
                terminal.process.kill()
            await terminal.process.wait()

    return asyncio.run(run())


async def read_all(terminal):
    shown = b""
    while data := await terminal.read():
        shown += data
    return shown


async def read_until(terminal, awaited):
    shown = b""
    while awaited not in shown:
        shown += await terminal.read()
    return shown


def test_it_is_the_controlling_terminal_and_has_the_size():
    assert in_terminal("stty size </dev/tty", read_all) == b"33 91\r\n"


def test_everything_is_read_although_the_program_has_ended():
    async def late(terminal):
        await terminal.process.wait()
        return terminal.rest()

    assert in_terminal("seq 100", late).split() == [str(n).encode() for n in range(1, 101)]


def test_more_than_the_terminal_holds_can_be_typed():
    async def type_much(terminal):
        await read_until(terminal, b"go")
        reading = asyncio.create_task(read_until(terminal, b"200000"))
        await terminal.write(b"x" * 200_000)
        return await reading

    assert b"200000" in in_terminal("stty raw -echo; echo go; head -c 200000 | wc -c", type_much)


def test_a_new_size_is_told_by_a_signal():
    async def resize(terminal):
        await read_until(terminal, b"go")
        terminal.resize(120, 40)
        return await read_until(terminal, b"120")

    assert b"40 120" in in_terminal(
        "trap 'stty size; exit' WINCH; echo go; while :; do sleep 0.05; done", resize
    )


def test_hanging_up_ends_the_program():
    async def run():
        terminal = await Terminal.run("/bin/bash", ["bash", "-c", "echo go; exec sleep 60"], ENV, (80, 24))
        await read_until(terminal, b"go")
        terminal.close()
        return await asyncio.wait_for(terminal.process.wait(), 30)

    assert asyncio.run(run()) == -signal.SIGHUP
