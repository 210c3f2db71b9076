"""What clients send is looked through by the same maskers: told of once, hidden in what is kept, refused if wanted."""

import time
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, cast

from recgate.decisions import Effect
from recgate.mask import Becomes, InputPolicy, Inputs, Mask, Masking, Pasted, Replacer
from recgate.providers import PolicyRequest
from recgate.sansio.frames import Request


class Finds:
    name = "m"

    def spans(self, data: bytes, *, final: bool) -> Iterable[tuple[int, int, str]]:
        if b"boom" in data:
            raise RuntimeError
        at = data.find(b"s3cret")
        return [(at, at + 6, "word")] if at >= 0 else []


def inputs(*, block: bool) -> Inputs:
    masking = Masking([Mask("m", (Finds(),), Replacer(Becomes.REDACT))], time.perf_counter)
    return Inputs(masking, frozenset({"m"} if block else ()))


def ask(policy: InputPolicy, request: Request, told: list[Pasted]) -> Effect:
    session = SimpleNamespace(pasted=told.append)
    asked = cast("PolicyRequest", SimpleNamespace(request=request, session=session))
    return policy.decide(asked).effect


def sql(text: str, *binds: str | None) -> Request:
    return Request("sql", text, details={"binds": list(binds)})


def test_statements_and_binds():
    told: list[Pasted] = []
    policy = InputPolicy(inputs(block=True))
    assert ask(policy, sql("select 1", "x", None), told) is Effect.ALLOW
    assert ask(policy, sql("select 's3cret'"), told) is Effect.DENY
    assert ask(policy, sql("select $1", None, "s3cret"), told) is Effect.DENY
    assert [(each.place, each.rule, each.blocked) for each in told] == [
        ("statement", "m.word", True),
        ("binds", "m.word", True),
    ]
    assert told[0].body == {"rule": "m.word", "place": "statement", "count": 1, "blocked": True}


def test_the_same_text_is_told_of_once_and_refused_each_time():
    told: list[Pasted] = []
    policy = InputPolicy(inputs(block=True))
    for _ in range(3):
        assert ask(policy, Request("shell", "echo s3cret"), told) is Effect.DENY
    assert [each.place for each in told] == ["command"]


def test_watching_lets_it_go():
    told: list[Pasted] = []
    policy = InputPolicy(inputs(block=False))
    assert ask(policy, sql("select 's3cret'"), told) is Effect.ALLOW
    assert not told[0].blocked
    # A terminal's keys have been told of already.
    assert ask(policy, Request("shell", "echo s3cret", details={"type": "command"}), told) is Effect.ALLOW
    assert len(told) == 1


def test_only_statements_and_commands_are_judged():
    policy = InputPolicy(inputs(block=True))
    assert ask(policy, Request("file", "s3cret"), []) is Effect.ALLOW
    assert [kind for kind in ("sql", "shell", "file", "session") if policy.judges(kind)] == ["sql", "shell"]


def test_what_is_kept_of_a_text_hides_it():
    looked: Any = inputs(block=True)
    assert looked.hidden("echo s3cret ü") == "echo ****** ü"
    assert looked.hidden("boom s3cret") == "•••"
