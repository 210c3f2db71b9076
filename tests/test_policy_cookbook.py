"""Every rule of the policy cookbook says of every request on that page what the page says."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import yaml

from docs.generate import DOCS
from recgate.decisions import Effect
from recgate.dispatch import deny_overrides
from recgate.policy.braking import Brake
from recgate.sansio.frames import Request
from recgate.session import Session
from recgate_policy_cel.checking import check
from recgate_policy_cel.examining import examine
from recgate_policy_cel.policy import CelPolicy
from recgate_policy_cel.rules import CelRule
from recgate_postgres.acts import read
from recgate_ssh.commands import acts_of_line
from recgate_ssh.paths import file_act, file_request, settled
from tests.rulehouse import alice, ask, session

PAGE = (DOCS / "howto" / "policy-cookbook.md").read_text(encoding="utf-8")
_SECTION = re.compile(r"^## (.*?)$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_YAML = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\| `(\w+): ?([^`]*)`(?: with (.*?))? \| (\w+) \|$", re.MULTILINE)
_GIVEN = re.compile(r"`([\w.]+) = ([^`]+)`")
LABELS = {"env": "prod", "data": "pii"}
TUESDAY = (2026, 11, 24, 10, 0, 0, 0, 0, -1)


def rows() -> Iterator[tuple[str, str, str, str, str, str]]:
    for title, body in _SECTION.findall(PAGE):
        blocks, found = _YAML.findall(body), _ROW.findall(body)
        assert bool(blocks) == bool(found), f"{title}: rules and what they say go together"
        for number, row in enumerate(found):
            yield (title, blocks[0], *row)
            assert number < 20


def given(text: str) -> dict[str, object]:
    return {name: json.loads(value) for name, value in _GIVEN.findall(text)}


def asked_with(kind: str, text: str, words: dict[str, object]):
    labels = dict(LABELS)
    clock: list[int] = [*TUESDAY]
    details, of = dict[str, object](), session(labels=labels)
    principal, source = alice, "10.1.2.3"
    of.brake = Brake()
    for name, value in words.items():
        root, _, rest = name.partition(".")
        if rest.startswith("labels."):
            labels[rest.removeprefix("labels.")] = str(value)
        elif root == "request":
            details[rest] = value
        elif rest == "groups":
            assert isinstance(value, list)
            principal = replace(principal, groups=frozenset(value))
        elif rest == "hour":
            clock[3] = int(str(value))
        elif rest == "weekday":
            clock[2] = 22 + int(str(value))  # the 23rd is a Monday
        elif rest == "source":
            source = str(value)
        elif rest in ("rows", "bytes"):
            setattr(of.brake, rest, value)
        elif rest.endswith("_today"):
            assert of.brake is not None
            setattr(of.brake.tally, rest.removesuffix("_today"), value)
        elif rest == "statements":
            assert of.brake is not None
            of.brake.statements.more = int(str(value))
        else:
            setattr(of, rest, value)
    of.principal, of.target = principal, replace(of.target, labels=labels)
    of.connection = replace(of.connection, peer=f"{source}:5555")
    if kind == "sql":
        details["acts"] = read(text).acts
    if kind == "file" and (act := re.fullmatch(r"([a-z]+) (/.*)", text)):
        path, certain = settled(act[2])
        return ask(
            file_request(0, (file_act(act[1], path, certain=certain),), by="sftp"), of
        ), time.struct_time(clock)
    if kind == "shell" and text:
        details["acts"] = acts_of_line(text)
    return ask(Request(kind, text.replace("\\n", "\n"), details=details), of), time.struct_time(clock)


@pytest.mark.parametrize(("title", "rules", "kind", "text", "words", "said"), list(rows()))
def test_the_page_is_right(monkeypatch: pytest.MonkeyPatch, title, rules, kind, text, words, said) -> None:
    found = [
        CelRule.model_validate(rule, context={"base": None}) for rule in yaml.safe_load(rules)["policies"]
    ]
    request, clock = asked_with(kind, text, given(words))
    monkeypatch.setattr(Session, "now", lambda self: time.mktime(clock))
    decision = deny_overrides([CelPolicy(found)])(request)
    effect = "alert" if decision.alerts and decision.effect is Effect.ALLOW else decision.effect.value
    assert effect == said, decision
    if said == "allow" and kind == "session":
        assert decision.obligations == {"session_time": 3_600.0}


def test_nothing_is_odd_about_the_rules_of_the_page() -> None:
    for block in _YAML.findall(PAGE):
        rules = [
            CelRule.model_validate(rule, context={"base": None}) for rule in yaml.safe_load(block)["policies"]
        ]
        assert (
            list(examine([(rule, check(rule.when)) for rule in rules], [session(labels=LABELS).target])) == []
        )
    assert len(_YAML.findall(PAGE)) >= 9
