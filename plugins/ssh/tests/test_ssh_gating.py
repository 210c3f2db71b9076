"""Which channels are looked into: none where nobody's rules are about the session."""

from typing import Any

from plugins.ssh.tests.gate import Gate
from recgate.decisions import ALLOW, Decision
from recgate.dispatch import allow_all
from recgate_ssh.bridge import Bridge
from recgate_ssh.commands import acts_of_line


def test_a_command_line_that_does_not_end_is_opaque() -> None:
    assert [act.opaque for act in acts_of_line("ls")] == [False]
    assert [act.opaque for act in acts_of_line("x=1 # nothing runs")] == [False]
    assert [act.opaque for act in acts_of_line("ls 'x")] == [False, True]


async def test_without_rules_nothing_stands_in_the_way(gate: Gate, monkeypatch: Any):
    looked: list[object] = []
    finished = Bridge.end_closed

    def closed(self: Bridge) -> None:
        looked.extend(end.through for end in self.ends.values())
        finished(self)

    monkeypatch.setattr(Bridge, "end_closed", closed)
    gate.decide = allow_all
    done = await gate.ssh("cat", stdin=b"plain")
    assert done.stdout == b"plain"
    assert looked
    assert set(looked) == {None}


async def test_exec_requests_say_what_they_run(gate: Gate):
    asked: list[Any] = []

    def decide(request: Any) -> Decision:
        asked.append(request.request)
        return ALLOW

    gate.decide = decide
    done = await gate.ssh("true && r''m -f /nonexistent/x")
    assert done.returncode == 0
    (request,) = asked
    assert [act.verb for act in request.details["acts"]] == ["true", "rm"]
