"""What ssh is told: which way, and whose host key; nothing that a gateway says becomes a second line or word."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from recgate.cli.home import ClientHome, KnownGateway
from recgate.cli.remote import About, RemoteGateway, checked_target
from recgate.cli.sshclient import host_block, ssh_settings
from recgate.errors import RecgateError

ABOUT = About("gate-1", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA")


def gateway(tmp_path: Path) -> RemoteGateway:
    home = ClientHome.of({"XDG_CONFIG_HOME": str(tmp_path)})
    return RemoteGateway(KnownGateway("https://gate.example:8443"), home)


def test_the_host_key_is_believed_by_the_gateways_authority_alone(tmp_path: Path) -> None:
    settings = ssh_settings(gateway(tmp_path), ABOUT, "prod-web", None)
    known = Path(settings["UserKnownHostsFile"])
    assert known.read_text() == f"@cert-authority gate-1 {ABOUT.ssh_host_ca}\n"
    assert known.name == "known_hosts-gate.example_8443"
    assert settings["StrictHostKeyChecking"] == "yes"
    assert settings["HostKeyAlias"] == "gate-1"
    assert settings["ProxyCommand"].endswith("connect --stdio --url https://gate.example:8443 prod-web")


def test_ssh_expands_nothing_in_the_way(tmp_path: Path) -> None:
    ca = tmp_path / "100% ours" / "ca.pem"
    block = host_block(gateway(tmp_path), ABOUT, "prod-web", ca)
    assert block.startswith("Host prod-web\n  HostName gate.example\n  User prod-web\n  ProxyCommand ")
    assert f"--ca '{str(ca).replace('%', '%%')}' prod-web\n" in block


def test_a_gateway_does_not_choose_among_the_persons_own_host_blocks(tmp_path: Path) -> None:
    """By calling itself what a block with agent forwarding is for."""
    about = About("bastion", ABOUT.ssh_host_ca)
    block = host_block(gateway(tmp_path), about, "prod-web", None)
    (tmp_path / "config").write_text(block + "Match host bastion\n  ForwardAgent yes\n")
    words = ["ssh", "-G", "-F", str(tmp_path / "config"), "prod-web"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "forwardagent no" in said
    assert "hostkeyalias bastion" in said


def test_files_of_any_name_are_found_by_ssh(tmp_path: Path) -> None:
    home = tmp_path / "100% h"
    home.mkdir()
    known = gateway(home).keep("x", "y")
    (tmp_path / "config").write_text(host_block(gateway(home), ABOUT, "prod-web", None))
    words = ["ssh", "-G", "-F", str(tmp_path / "config"), "prod-web"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert f"userknownhostsfile {known.with_name('known_hosts-gate.example_8443')}" in said


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://a-b:1", "https://a_b:1"),
        ("https://[::1]:1", "https://[1::]:1"),
        ("https://[::1]:1", "https://1:1"),
    ],
)
def test_no_two_gateways_share_a_file(tmp_path: Path, one: str, other: str) -> None:
    home = ClientHome.of({"XDG_CONFIG_HOME": str(tmp_path)})
    slugs = {RemoteGateway(KnownGateway(url), home).slug for url in (one, other)}
    assert len(slugs) == 2
    assert all(re.match(r"[a-z0-9._-]+\Z", each) for each in slugs)


@pytest.mark.parametrize("name", ["-oProxyCommand=x", "a b", "a\nHost *", "", "A", "a/../b"])
def test_what_is_no_targets_name_goes_nowhere(name: str) -> None:
    with pytest.raises(RecgateError, match="no target's name"):
        checked_target(name)
