"""The two sources of trust in a target, as one text."""

from pathlib import Path

import pytest

from recgate.errors import UpstreamFailed
from recgate_ssh import hostkeys
from recgate_ssh.hostkeys import known_hosts
from recgate_ssh.options import SshTargetOptions


async def test_both_sources_are_read(tmp_path: Path):
    (tmp_path / "known").write_text("host ssh-rsa AAAA1\n")
    options = SshTargetOptions.model_validate(
        {"host_key": "ssh-ed25519 AAAA2", "known_hosts": tmp_path / "known"}
    )

    assert await known_hosts(options) == b"* ssh-ed25519 AAAA2\nhost ssh-rsa AAAA1\n\n"


async def test_a_file_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hostkeys, "MAX_KNOWN_HOSTS", 10)
    (tmp_path / "known").write_text("x" * 11)
    with pytest.raises(UpstreamFailed, match="larger than"):
        await known_hosts(SshTargetOptions.model_validate({"known_hosts": tmp_path / "known"}))
