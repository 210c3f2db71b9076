"""The key and certificate of a sign-in: whose they are, who may read them, and that nothing else is touched."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from core.tests.logingateway import StubGateway
from recgate.cli.sshidentity import SshIdentity
from recgate.errors import ConfigurationError, RecgateError
from recgate.keys import GatewayKeys


@pytest.fixture
def gateway(tmp_path: Path) -> StubGateway:
    keys = GatewayKeys(tmp_path / "data")
    keys.prepare()
    return StubGateway("https://gate.example:8443", keys)


def identity(tmp_path: Path) -> SshIdentity:
    return SshIdentity(tmp_path / "home", "gate.example_8443")


def test_the_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        first = identity(tmp_path).public_key()
    finally:
        os.umask(old)
    mine = identity(tmp_path)
    assert first.startswith("ssh-ed25519 AAAA")
    assert mine.public_key() == first
    assert stat.S_IMODE(mine.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(mine.file.parent.stat().st_mode) == 0o700


def test_a_file_that_is_there_already_is_not_replaced(tmp_path: Path) -> None:
    mine = identity(tmp_path)
    mine.file.parent.mkdir(mode=0o700)
    mine.file.write_text("somebody's own")
    mine.file.chmod(0o600)
    with pytest.raises(ConfigurationError, match="not an SSH key"):
        mine.public_key()
    assert mine.file.read_text() == "somebody's own"


def test_a_certificate_for_the_key_is_kept(tmp_path: Path, gateway: StubGateway) -> None:
    mine = identity(tmp_path)
    end = float(int(time.time()) + 600)
    assert mine.expires() is None
    assert mine.keep(gateway.signed(mine.public_key(), end)) == end
    assert identity(tmp_path).expires() == end
    assert mine.stands(end - 1)
    assert not mine.stands(end)
    assert mine.certificate_file == mine.file.with_name(mine.file.name + "-cert.pub")
    assert stat.S_IMODE(mine.certificate_file.stat().st_mode) == 0o600
    mine.drop()
    assert list(mine.file.parent.iterdir()) == []
    mine.drop()


def test_anything_else_is_not_kept(tmp_path: Path, gateway: StubGateway) -> None:
    mine = identity(tmp_path)
    good = gateway.signed(mine.public_key(), time.time() + 600)
    foreign = gateway.signed(SshIdentity(tmp_path / "home", "x").public_key(), time.time() + 600)
    host = gateway.keys.ssh_host_certificate.decode()
    for line in (
        "",
        mine.public_key(),
        foreign,
        host,
        good + good,
        "cert-authority " + good,
        good[:80],
        "x" * 99_999,
    ):
        with pytest.raises(RecgateError, match="not for this key"):
            mine.keep(line)
    assert mine.expires() is None


def test_a_line_offers_this_identity_and_no_other(tmp_path: Path) -> None:
    mine = SshIdentity(tmp_path / "my home", "g")
    assert mine.in_line("ssh -p 22 web@gate") == (
        f"ssh -i '{tmp_path}/my home/id-g' -o IdentitiesOnly=yes -p 22 web@gate"
    )
    assert mine.in_line("psql x") == "psql x"
