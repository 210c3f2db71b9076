"""The keys of `notify:`, and that a configuration without it imports no HTTP client."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from recgate.audit import AuditEvent
from recgate_notify.plugin import recgate_settings
from recgate_notify.settings import NotifySettings
from recgate_notify.wording import lines_of, link_of, subject_of

HOOK: dict[str, Any] = {"webhook": {"url": "https://hooks.example/x", "secret_file": "/k"}}
MAIL: dict[str, Any] = {"host": "127.0.0.1", "from": "g@example.com", "to": ["a@example.com"]}


def test_it_understands_its_entry() -> None:
    (model,) = recgate_settings()
    assert (model.section, model.word, model.model) == ("observers", "notify", NotifySettings)


def test_reading_a_configuration_imports_no_client() -> None:
    code = "import sys, recgate_notify.plugin; sys.exit('httpx2' in sys.modules or 'smtplib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "exactly one of"),
        ({**HOOK, "slack": {"url_file": "/u"}}, "exactly one of"),
        ({"webhook": {**HOOK["webhook"], "url": "http://hooks.example/x"}}, "https://"),
        ({"webhook": {**HOOK["webhook"], "url": "https://u:p@hooks.example/x"}}, "without a user"),
        ({**HOOK, "link": "https://gate.example/"}, "has `{id}`"),
        ({**HOOK, "link": "javascript:{id}"}, "https://"),
        ({**HOOK, "events": ["*"]}, "events"),
        ({"email": {**MAIL, "host": "mail.example", "tls": "off"}}, "inside TLS alone"),
        ({"email": {**MAIL, "username": "u"}}, "go together"),
        ({"email": {**MAIL, "to": ["a@example.com\nBcc: b@example.com"]}}, "e-mail address"),
        ({"email": {**MAIL, "to": []}}, "to"),
    ],
)
def test_what_makes_no_sense_is_refused(keys: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        NotifySettings.model_validate(keys)


def test_what_is_said_names_who_and_where_and_how_to_look() -> None:
    event = AuditEvent(
        "approval.denied", 1.0, {"approval": "01J", "user": "a", "target": "t", "by": "c", "why": "w"}
    )
    assert subject_of(event) == "recgate: a at t was denied"
    assert lines_of(event, "") == [
        "asked by: a", "target: t", "by: c", "because: w", "look at it: recgate requests show 01J",
    ]  # fmt: skip
    assert subject_of(AuditEvent("policy.alert", 1.0)) == "recgate: policy.alert"
    assert link_of(AuditEvent("x", 1.0, {"approval": "../?x"}), "https://g/{id}") == ""
