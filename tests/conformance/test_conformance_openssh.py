"""OpenSSH's own regress scripts come out through the gateway as they do direct."""

import tempfile
from pathlib import Path

import pytest

from bench.gateway import SSH_TARGET, SshTarget, gateway
from tests.conformance import openssh
from tests.conformance.origin import SuiteMissing
from tests.conformance.outcome import explained, unexplained
from tests.peers.sshd import Sshd, keygen

ACCEPTED = {"AcceptEnv": "_XXX_TEST _XXX_TEST_*"}


@pytest.fixture
def place():
    with tempfile.TemporaryDirectory(prefix="recgate-openssh-") as directory:
        yield Path(directory)


def _below(place, name):
    below = place / name
    below.mkdir()
    return below


def _both(place, scripts):
    key = keygen(place / "key")
    with Sshd(_below(place, "server"), ACCEPTED) as sshd:
        host = SshTarget(sshd.port, sshd.user, sshd.user_key, sshd.host_key_line)
        with gateway(_below(place, "gateway"), None, host, key.with_suffix(".pub")) as running:
            direct = openssh.Reach(sshd.port, sshd.user, sshd.user_key)
            through = openssh.Reach(running.ssh_port, SSH_TARGET, key)
            return (
                openssh.run(direct, _below(place, "direct"), scripts),
                openssh.run(through, _below(place, "through"), scripts),
            )


@pytest.mark.parametrize("script", openssh.QUICK)
def test_a_script_gives_the_same(place, script, say_missing):
    try:
        direct, through = _both(place, [script])
    except SuiteMissing as missing:
        say_missing(f"OpenSSH's {script}: {missing}")
        return
    assert direct == {script: "passed"}
    assert through == direct


@pytest.mark.conformance
@pytest.mark.timeout(3600)
def test_every_script_gives_the_same(place, say_missing):
    try:
        direct, through = _both(place, openssh.SCRIPTS)
    except SuiteMissing as missing:
        say_missing(f"OpenSSH's regress scripts: {missing}")
        return
    assert sum(outcome == "passed" for outcome in direct.values()) >= len(openssh.SCRIPTS) - 2
    assert unexplained(direct, through, explained("openssh")) == []
