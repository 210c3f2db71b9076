"""What the plugin brings, its keys, and that a command that only reads the configuration opens no desk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from pydantic import ValidationError

from plugins.approvals.tests.approvalhouse import lead
from recgate.audit import AuditTrail
from recgate.config.sections import AccessOnRequest
from recgate.httpauth import Problem
from recgate_approvals.opening import open_desk
from recgate_approvals.plugin import recgate_settings
from recgate_approvals.settings import ApprovalSettings

carol = lead("carol")


def test_it_understands_its_section() -> None:
    (model,) = recgate_settings()
    assert (model.section, model.word, model.model) == ("approvals", "approvals", ApprovalSettings)


def test_a_name_is_one_persons() -> None:
    assert ApprovalSettings(people=(("a", "b"), ("c",))).people == (("a", "b"), ("c",))
    with pytest.raises(ValidationError, match="names a twice"):
        ApprovalSettings(people=(("a", "b"), ("c", "a")))
    with pytest.raises(ValidationError, match="names A twice"):
        ApprovalSettings(people=(("a", "b"), ("c", "A")))


def test_it_is_read_without_what_a_desk_is_made_of() -> None:
    code = "import sys, recgate_approvals.plugin; sys.exit('recgate_approvals.desk' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class Source:
    """An identity source that says what a test says."""

    name = "corp"

    def __init__(self, said: object) -> None:
        self._said = said

    async def current(self, principal: object) -> object:
        await trio.lowlevel.checkpoint()
        if isinstance(self._said, Exception):
            raise self._said
        return self._said


def gateway(tmp_path: Path, said: object = None) -> Any:
    offer = AccessOnRequest(approvers=("group:leads",), users=("group:devs",))
    config = SimpleNamespace(
        data_dir=tmp_path / "data",
        gateway=SimpleNamespace(name="gate-1"),
        approvals=None,
        targets={"prod-db": SimpleNamespace(request=offer), "closed": SimpleNamespace(request=None)},
    )
    registry = SimpleNamespace(authenticators=[Source(said)])
    audit = AuditTrail()
    return SimpleNamespace(config=config, registry=registry, audit=audit, live={})


@pytest.mark.parametrize("said", [None, ZeroDivisionError(), lead("somebody-else")])
async def test_doubt_about_who_somebody_is_is_nobody(tmp_path: Path, said: object) -> None:
    desk = open_desk(gateway(tmp_path, said))
    assert await desk._around.current(carol) is None
    assert await desk._around.current(lead("carol", issuer="unknown")) is None


async def test_who_stands_is_who_they_are_now(tmp_path: Path) -> None:
    now = lead("carol", "others")
    assert await open_desk(gateway(tmp_path, now))._around.current(carol) == now


def test_what_is_not_offered_and_what_is_not_there_read_alike(tmp_path: Path) -> None:
    desk = open_desk(gateway(tmp_path))
    assert desk._around.access(lead("erin", "devs"), "prod-db") == (("group:leads",), 1, 28_800.0, 86_400.0)
    for who, target in ((carol, "prod-db"), (carol, "closed"), (carol, "nothing")):
        with pytest.raises(Problem, match=f'no target "{target}" is open to you on request'):
            desk._around.access(who, target)


def test_its_files_are_its_owners_alone(tmp_path: Path) -> None:
    open_desk(gateway(tmp_path))
    for path in (tmp_path / "data" / "approvals.sqlite", tmp_path / "data" / "keys" / "approvals"):
        assert path.stat().st_mode & 0o077 == 0
