"""`recgate unseal` takes what each step needs, and nothing of another step."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from core.tests.test_recording_unsealing import CANARY, Keeping
from recgate.cli.unseal import unseal


@pytest.fixture
def maker(tmp_path):
    return Keeping(tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--why", "x"], "a permit takes --why, --holder and -o"),
        (["--why", "x", "--holder", "rgpub1x"], "a permit takes --why, --holder and -o"),
        ([], "say --identity KEY and --permit FILE"),
        (["--to", "rgpub1x", "-o", "f"], "say --identity KEY and --permit FILE"),
    ],
)
def test_a_step_that_is_not_whole_is_said(words, said) -> None:
    done = CliRunner().invoke(unseal, ["01M8", "--entry", "2", *words])
    assert done.exit_code == 2
    assert said in done.output


def test_a_share_is_made_and_read_from_files(maker, tmp_path) -> None:
    session = maker.recorded()
    files = {}
    for name, person in zip("ab", maker.people, strict=False):
        files[name] = tmp_path / f"{name}.key", tmp_path / f"{name}.permit"
        files[name][0].touch(mode=0o600)
        files[name][0].write_bytes(person.text.reveal())
        files[name][1].write_bytes(maker.permit(session, person).pack())
    share = tmp_path / "share"

    def run(name, *words):
        key, permit = files[name]
        place = ["--entry", "2", "--store", str(tmp_path / "recordings"), "--identity", str(key)]
        return CliRunner().invoke(unseal, [session, *place, "--permit", str(permit), *words])

    public = maker.people[1].recipient.text
    assert run("a", "--to", public, "-o", str(share)).exit_code == 0
    assert share.stat().st_mode & 0o777 == 0o600
    assert "exists; choose another" in str(run("a", "--to", public, "-o", str(share)).exception)
    read = run("b", "--share", str(share))
    assert read.output.encode().strip() == CANARY
    assert run("b", "--share", str(share), "--json").output == f'{{"n":0,"text":"{CANARY.decode()}"}}\n'
    assert run("b").exit_code == 1
    assert run("a", "--share", str(share)).exit_code == 1
    assert "--to and -o" in run("a", "--to", public).output
