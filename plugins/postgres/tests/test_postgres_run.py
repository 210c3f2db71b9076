"""Bind, Describe, Execute and Sync in one read are taken at once, and that is the same as walking over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from plugins.postgres.tests.talk import (
    BOUND,
    FLUSH,
    IN_BLOCK,
    PARSED,
    READY,
    SYNC,
    TERMINATE,
    Talk,
    ask,
    bind,
    close,
    done,
    error,
    execute,
    parse,
    row,
    target,
)
from recgate.decisions import Decision
from recgate.errors import RemoteProtocolError
from recgate.sansio.frames import CLIENT, UPSTREAM, Frame, Side
from recgate_postgres.messages import message
from recgate_postgres.names import MAX_SERIES, Names

DESCRIBE = message(b"D", b"P\0")
RUN = bind("", "s", b"1", None) + DESCRIBE + execute() + SYNC
BARE = bind("", "s", b"1", None) + execute() + SYNC
ANSWER = BOUND + row(b"1") + done("SELECT 1")
PREPARED = [(CLIENT, parse("s", "select $1", 23) + SYNC), (UPSTREAM, PARSED + READY)]
ASKED, ANSWERED = (CLIENT, RUN), (UPSTREAM, ANSWER + READY)

Said = Sequence[tuple[Side, bytes]]


def whole(data: bytes) -> list[bytes]:
    return [data]


def walked(data: bytes) -> list[bytes]:
    """In two pieces, so that nothing of it is a read of its own."""
    return [data[:1], data[1:]]


def said(
    script: Said, cut: Callable[[bytes], list[bytes]], *, refused: str = "", most: int = 0
) -> list[object]:
    """What comes of a conversation whose client's reads are cut so."""
    talk = Talk(info=target(max_message=most) if most else None)
    talk.refuse = lambda text: Decision.deny("no") if text == refused else None
    for side, data in script:
        for piece in cut(data) if side is CLIENT else [data]:
            talk.say(side, piece)
    details = [{key: str(value) for key, value in each.items()} for each in talk.details]
    return [talk.take(), talk.requests, details, talk.paused]


SCRIPTS: dict[str, Said] = {
    "described": [*PREPARED, ASKED, ANSWERED],
    "not described": [*PREPARED, (CLIENT, BARE), ANSWERED],
    "again and again": [*PREPARED, *[ASKED, ANSWERED] * 3],
    "unanswered": [*PREPARED, ASKED, ASKED, (UPSTREAM, ANSWER + READY + ANSWER + READY)],
    "two in a read": [*PREPARED, (CLIENT, RUN + RUN), (UPSTREAM, ANSWER + READY + ANSWER + READY)],
    "behind a limit": [
        *PREPARED,
        (CLIENT, bind("", "s", b"1", None) + execute("", 5) + SYNC),
        ANSWERED,
        ASKED,
    ],
    "of a statement that SQL prepared": [ASKED, ANSWERED],
    "before it is confirmed": [
        (CLIENT, PREPARED[0][1]),
        ASKED,
        (UPSTREAM, PARSED + READY + ANSWER + READY),
    ],
    "in a series that goes on": [
        *PREPARED,
        (CLIENT, close("S", "x")),
        ASKED,
        (UPSTREAM, b"3\0\0\0\4" + ANSWER),
    ],
    "behind a flush": [
        *PREPARED,
        (CLIENT, bind("", "s") + FLUSH),
        (UPSTREAM, BOUND),
        ASKED,
        (UPSTREAM, ANSWER),
    ],
    "behind what may be a COPY": [
        *PREPARED,
        (CLIENT, ask("copy t from stdin")),
        ASKED,
        (UPSTREAM, done("") + READY),
    ],
    "behind a bound portal": [
        *PREPARED,
        (CLIENT, bind("p", "s") + FLUSH),
        (UPSTREAM, BOUND),
        ASKED,
        ANSWERED,
        (CLIENT, execute("p") + SYNC),
    ],
    "of what gives a name another meaning": [
        *PREPARED,
        (CLIENT, parse("r", "prepare s as select 2") + SYNC),
        (UPSTREAM, PARSED + READY),
        (CLIENT, bind("", "r") + execute() + SYNC),
        (UPSTREAM, BOUND + done("PREPARE") + READY),
        ASKED,
    ],
    "while its name changes": [*PREPARED, (CLIENT, close("S", "s") + parse("s", "select 2") + SYNC), ASKED],
    "in a transaction, and its portal again": [
        *PREPARED,
        ASKED,
        (UPSTREAM, ANSWER + IN_BLOCK),
        (CLIENT, parse("s", "other") + SYNC),
        (UPSTREAM, PARSED + IN_BLOCK),
        (CLIENT, execute() + SYNC),
        (UPSTREAM, done("") + IN_BLOCK),
        ASKED,
    ],
    "failed": [
        *PREPARED,
        ASKED,
        (UPSTREAM, error() + READY),
        ASKED,
        ANSWERED,
    ],
    "and the end": [*PREPARED, ASKED, ANSWERED, (CLIENT, TERMINATE)],
    "of another portal": [
        (CLIENT, parse("", "select 2") + SYNC),
        (UPSTREAM, PARSED + READY),
        *PREPARED,
        (CLIENT, bind("p", "s") + DESCRIBE + execute() + SYNC),
        (UPSTREAM, error() + READY),
    ],
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_run_at_once_is_the_same_as_a_walk(script):
    assert said(script, whole) == said(script, walked)


@pytest.mark.parametrize("run", [RUN, BARE])
def test_a_run_that_is_refused_is_replaced_in_its_place(run):
    script = [*PREPARED, (CLIENT, run), (UPSTREAM, BOUND + error("x") + READY)]

    assert said(script, whole, refused="select $1") == said(script, walked, refused="select $1")
    assert run not in said(script, whole, refused="select $1")[0][1]  # type: ignore[index]


def test_a_bind_that_is_too_large_is_refused_in_a_run_too():
    large = bind("", "s", b"x" * 20_000) + DESCRIBE + execute() + SYNC
    script = [*PREPARED, (CLIENT, large), (UPSTREAM, error("x") + READY)]

    assert said(script, whole, most=16_384) == said(script, walked, most=16_384)
    assert large not in said(script, whole, most=16_384)[0][1]  # type: ignore[index]


@pytest.mark.parametrize("run", [RUN, BARE])
def test_the_usual_read_is_taken_at_once(run, monkeypatch):
    talk = Talk()
    for side, data in PREPARED:
        talk.say(side, data)
    monkeypatch.setattr(Names, "bind", None)  # which a walk would call

    (frame,) = talk.client(run)

    assert (frame.data, frame.last) == (run, True)
    assert talk.requests == ["select $1"]


def test_a_run_with_the_end_behind_it_is_not_the_last():
    talk = Talk()
    for side, data in PREPARED:
        talk.say(side, data)
    talk.relay.receive_data(CLIENT, RUN)
    talk.relay.receive_data(CLIENT, b"")

    event = talk.relay.next_event(CLIENT)

    assert isinstance(event, Frame)
    assert not event.last


@pytest.mark.parametrize("cut", [whole, walked])
def test_no_run_goes_into_a_copy(cut):
    with pytest.raises(RemoteProtocolError, match="no data"):
        said([*PREPARED, (UPSTREAM, message(b"G", b"\0\0\0")), ASKED], cut)


def test_who_sends_runs_without_end_is_made_to_wait():
    talk = Talk()
    for side, data in PREPARED:
        talk.say(side, data)
    for _ in range(MAX_SERIES + 1):
        talk.client(RUN)

    assert talk.paused
    assert len(talk.requests) == MAX_SERIES


@pytest.mark.parametrize(
    ("around", "answer"),
    [(message(b"d", RUN), b""), (message(b"Q", bytes(20_000) + RUN), error("x") + READY)],
    ids=["passed on", "refused"],
)
def test_what_looks_like_a_run_inside_another_message_is_none(around, answer):
    talk = Talk(info=target(max_message=16_384))
    for side, data in PREPARED:
        talk.say(side, data)
    talk.client(around[: -len(RUN)])
    if answer:
        talk.server(answer)

    talk.client(RUN)

    assert talk.requests == []
