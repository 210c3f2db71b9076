"""Signing in without a key or a token at hand: by a code shown in the terminal, or through a tunnel that knows one."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from plugins.ssh.tests.askpass import askpass
from plugins.ssh.tests.gate import TOKEN, Gate
from recgate.errors import AuthenticationFailed
from recgate.model import PasswordEvidence, Principal, Secret, Voucher, VoucherEvidence
from recgate_ssh.options import SshListenerOptions

ALICE = Principal("idp", "1", "alice")
TEXT = "Go to https://idp.example/device and enter ABCD-EFGH.\nOnly if you connect to prod-web now."


@dataclass
class Code:
    """A challenge that the test meets or refuses."""

    text: str = TEXT
    met: trio.Event = field(default_factory=trio.Event)
    waiting: trio.Event = field(default_factory=trio.Event)
    withdrawn: bool = False
    refused: bool = False

    async def answer(self) -> Principal:
        self.waiting.set()
        try:
            await self.met.wait()
        except trio.Cancelled:
            self.withdrawn = True
            raise
        if self.refused:
            raise AuthenticationFailed("the person said no", tell="the sign-in was refused: ask again")
        return ALICE


def interactive(gate: Gate) -> list[str]:
    return gate.line(
        BatchMode="no",
        PreferredAuthentications="keyboard-interactive",
        PubkeyAuthentication="no",
        NumberOfPasswordPrompts="1",
    )


async def test_a_code_is_shown_and_waited_for(gate: Gate, tmp_path: Path):
    code = gate.challenge = Code()
    async with trio.open_nursery() as nursery:
        done = {}

        async def client() -> None:
            done["ssh"] = await gate.run_client([*interactive(gate), "echo in"], env=askpass(tmp_path, "x"))

        nursery.start_soon(client)
        with trio.fail_after(20):
            await code.waiting.wait()
        assert gate.door.session is None
        code.met.set()
    assert done["ssh"].stdout == b"in\n", done
    shown = done["ssh"].stderr.decode() + done["ssh"].stdout.decode()
    for line in TEXT.splitlines():
        assert line in shown
    assert not (tmp_path / "asked").exists(), "nothing is to be typed"
    assert gate.tried == []


async def test_a_refused_code_says_what_to_do_next(gate: Gate, tmp_path: Path):
    code = gate.challenge = Code(refused=True)
    code.met.set()
    done = await gate.run_client([*interactive(gate), "echo in"], env=askpass(tmp_path, "x"))

    assert done.returncode == 255
    assert b"recgate: the sign-in was refused: ask again" in done.stderr


async def test_a_client_that_leaves_withdraws_its_code(gate: Gate, tmp_path: Path):
    code = gate.challenge = Code()
    process = await trio.lowlevel.open_process(
        [*interactive(gate), "echo in"], env=askpass(tmp_path, "x"), stdin=-3, stdout=-3, stderr=-3
    )
    with trio.fail_after(20):
        await code.waiting.wait()
    process.kill()
    await process.wait()
    await gate.sealed()
    assert code.withdrawn


async def test_an_answer_where_none_was_asked_for_lets_nobody_in(gate: Gate):
    """Threat 2: a made-up response must not stand for the approval."""
    gate.challenge = Code()
    answers = iter([["surprise"]])

    import asyncssh
    import trio_asyncio

    class Client(asyncssh.SSHClient):
        def kbdint_auth_requested(self) -> str:
            return ""

        def kbdint_challenge_received(self, name, instructions, lang, prompts):
            return next(answers, None)

    async def attempt() -> None:
        await asyncssh.connect(
            "127.0.0.1",
            gate.port,
            username="prod-web",
            client_factory=Client,
            known_hosts=None,
            client_keys=None,
            agent_path=None,
            config=None,
            preferred_auth="keyboard-interactive",
        )

    async with trio_asyncio.open_loop():
        with pytest.raises(asyncssh.PermissionDenied):
            await trio_asyncio.aio_as_trio(attempt)()
    assert (await gate.sealed()).session is None


async def test_a_listener_may_ask_for_the_token_instead(gate: Gate, tmp_path: Path):
    gate.challenge = Code()
    gate.listener_options = SshListenerOptions(keyboard_interactive="token")
    done = await gate.run_client([*interactive(gate), "echo in"], env=askpass(tmp_path, TOKEN))

    assert done.stdout == b"in\n", done
    assert gate.tried == [("prod-web", PasswordEvidence(Secret(TOKEN)))]


async def test_a_refused_password_says_what_to_do_next(gate: Gate, tmp_path: Path):
    gate.tell = "the token was cut: use `recgate ssh`"
    line = gate.line(
        BatchMode="no",
        PreferredAuthentications="password",
        PubkeyAuthentication="no",
        NumberOfPasswordPrompts="1",
    )
    done = await gate.run_client([*line, "echo in"], env=askpass(tmp_path, "cut"))

    assert b"recgate: the token was cut: use `recgate ssh`" in done.stderr
    assert done.returncode == 255


async def test_a_tunnel_vouches_and_no_proof_is_asked_for(gate: Gate):
    gate.voucher = Voucher(ALICE, "prod-web")
    done = await gate.run_client([*gate.line(PubkeyAuthentication="no"), "echo in"])

    assert done.stdout == b"in\n", done
    assert gate.tried == [("prod-web", VoucherEvidence())]


async def test_a_tunnel_vouches_for_its_own_target_alone(gate: Gate):
    gate.voucher = Voucher(ALICE, "other")
    done = await gate.run_client([*gate.line(PubkeyAuthentication="no"), "echo in"])

    assert done.returncode == 255
    assert gate.door.session is None
