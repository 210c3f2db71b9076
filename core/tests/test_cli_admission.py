"""Nothing looks behind a `•••` without a line in the audit trail."""

from __future__ import annotations

import json
import os


def test_a_secret_is_shown_only_with_an_audit_event(archive, tmp_path):
    assert "hunter2" in archive.run("show", archive.session, "--entry", "3.1", "--secrets")
    event = json.loads((archive.data / "audit.jsonl").read_text().splitlines()[-1])
    assert event["event"] == "recording.secrets-shown"
    assert (event["session"], event["entry"], event["by"]) == (archive.session, "3.1", f"local:{os.getuid()}")
    before = archive.file.read_text()
    try:
        archive.file.write_text(before + "observers: []\n")
        archive.run("show", archive.session, "--secrets", status=2)
        archive.file.write_text(before + f"observers: [{{jsonl: {{path: {tmp_path}}}}}]\n")
        assert "hunter2" not in archive.run("show", archive.session, "--secrets", status=2)
    finally:
        archive.file.write_text(before)
