"""Whatever either side says, the relay yields events or `RemoteProtocolError`; what is decided on is what runs.

The second half plays random clients against a model of the server's rules (names, portals, skipping to Sync) with
the answers delayed at random: each text that the model runs must have been the text that was decided on.
"""

from __future__ import annotations

import random
import re
import tracemalloc
from collections import deque
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plugins.postgres.tests.talk import (
    AUTH_OK,
    BOUND,
    CLOSED,
    FLUSH,
    PARSED,
    READY,
    SYNC,
    Talk,
    answer,
    ask,
    bind,
    close,
    done,
    error,
    execute,
    fresh,
    parse,
    password,
    startup,
    target,
)
from recgate.errors import RemoteProtocolError
from recgate.policy import Act, acts_of
from recgate.sansio.asks import NEED_DATA, PAUSED, Ask, Cancel, PeerClosed
from recgate.sansio.frames import CLIENT, UPSTREAM, Frame, Side
from recgate_postgres.acts import OPAQUE, read
from recgate_postgres.messages import message

NAMES = st.sampled_from(["", "a", "b"])
CLIENT_MESSAGES = st.one_of(
    st.builds(parse, NAMES, st.sampled_from(["select 1", "select 2", "drop table t"])),
    st.builds(bind, NAMES, NAMES),
    st.builds(execute, NAMES),
    st.builds(close, st.sampled_from("SP"), NAMES),
    st.sampled_from(
        [SYNC, FLUSH, ask("select 3"), message(b"d", b"x"), message(b"c", b""), message(b"D", b"S\0")]
    ),
    st.builds(
        message, st.sampled_from([bytes([kind]) for kind in b"QPBECDFSHdcfXp?"]), st.binary(max_size=12)
    ),
    st.binary(max_size=20),
)
TARGET_MESSAGES = st.one_of(
    st.sampled_from(
        [PARSED, BOUND, CLOSED, READY, error("x"), done("SELECT 1"), message(b"G", b"\0\0\0"), b"n\0\0\0\4"]
    ),
    st.builds(
        message,
        st.sampled_from([bytes([kind]) for kind in b"123RSKZETDCGWHNAdcnstIVv?"]),
        st.binary(max_size=12),
    ),
    st.binary(max_size=20),
)
TALK = st.lists(
    st.one_of(st.tuples(st.just(CLIENT), CLIENT_MESSAGES), st.tuples(st.just(UPSTREAM), TARGET_MESSAGES)),
    max_size=40,
)
LIMITS = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])


@LIMITS
@given(TALK)
def test_an_open_session_yields_events_or_the_peers_error(said: list[tuple[Side, bytes]]):
    talk = Talk()
    try:
        for side, data in said:
            talk.say(side, data)
    except RemoteProtocolError:
        return


@LIMITS
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from([startup(user="a"), password(), AUTH_OK, READY, b"S", b"N"]),
        ),
        max_size=12,
    ),
    st.data(),
)
def test_the_way_in_yields_events_or_the_peers_error(said: list[bytes], data: st.DataObject):
    relay = fresh(auth=data.draw(st.sampled_from(["password", "scram"])))
    info = target(tls=data.draw(st.sampled_from(["disable", "require"])))
    try:
        for piece in said:
            side = data.draw(st.sampled_from([CLIENT, UPSTREAM]))
            relay.receive_data(side, piece)
            while (event := relay.next_event(side)) is not NEED_DATA and event is not PAUSED:
                if isinstance(event, Frame):
                    relay.send(event)
                elif isinstance(event, PeerClosed | Cancel):
                    return
                else:
                    relay.answer(event, _reply(event, info))
    except RemoteProtocolError:
        return


def _reply(event: Ask, info: object):
    from recgate.model import ScramKeys
    from recgate.sansio.asks import ScramLookedUp, ScramLookup

    if isinstance(event, ScramLookup):
        return ScramLookedUp(ScramKeys(b"salt", 4096, "nonce"))
    return answer(event, info)  # type: ignore[arg-type]


@LIMITS
@given(st.lists(CLIENT_MESSAGES, max_size=15), st.integers(1, 9))
def test_cutting_changes_nothing(said: list[bytes], size: int):
    data = b"".join(said)
    whole, cut = Talk(), Talk()
    outcome = [
        _failure(whole, [data]),
        _failure(cut, [data[at : at + size] for at in range(0, len(data), size)]),
    ]
    if outcome[0] is None:
        assert outcome[1] is None
        assert whole.requests == cut.requests
        assert whole.take() == cut.take()
    else:
        assert outcome[1] == outcome[0]
        # Nothing of the read that fails goes on, so whether its last request was asked about before is all the same.
        both = min(len(whole.requests), len(cut.requests))
        assert whole.requests[:both] == cut.requests[:both]


def _failure(talk: Talk, pieces: list[bytes]) -> str | None:
    try:
        for piece in pieces:
            talk.client(piece)
    except RemoteProtocolError as exc:
        return str(exc)
    return None


@pytest.mark.parametrize("side", [CLIENT, UPSTREAM])
def test_memory_is_bounded_whatever_the_length_says(side):
    talk = Talk(info=target(max_message=65_536))
    talk.client(ask("copy t from stdin"))
    talk.server(message(b"G", b"\0\0\0"))
    head = b"d" + (512 * 1024 * 1024).to_bytes(4)
    tracemalloc.start()
    try:
        talk.say(side, head)
        for _ in range(300):
            talk.say(side, bytes(65_536))
            talk.take()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * 1024 * 1024


# -- a model of the server's own rules -------------------------------------------------------------------------


class Model:
    """PostgreSQL's rules about names (postgres.c): answers in order, skips to Sync behind an error."""

    def __init__(self) -> None:
        self.statements: dict[str, str] = {}
        self.portals: dict[str, str] = {}
        self.skipping = False
        self.block = False
        self.ran: list[str] = []

    def hear(self, word: str, *names: str) -> bytes:
        """Take one message; gives the answer."""
        if word == "sync":
            if not self.block or self.skipping:
                self.portals.clear()
            self.skipping = False
            return READY if not self.block else b"Z\0\0\0\5T"
        if self.skipping:
            return b""
        reply = getattr(self, f"_{word}")(*names)
        if reply is None:
            self.skipping = True
            return error("failed")
        return reply

    def _parse(self, name: str, text: str) -> bytes | None:
        if text == "bad" or (name and name in self.statements):
            return None
        self.statements[name] = text
        return PARSED

    def _bind(self, portal: str, name: str) -> bytes | None:
        if name not in self.statements or (portal and portal in self.portals):
            return None
        self.portals[portal] = self.statements[name]
        return BOUND

    def _execute(self, portal: str) -> bytes | None:
        if portal not in self.portals:
            return None
        self.ran.append(self.portals[portal])
        return done("SELECT 1")

    def _query(self, text: str) -> bytes:
        """DEALLOCATE and PREPARE, or CLOSE and DECLARE, of one name: both, or an error at the first that cannot be."""
        if not self.block:
            self.portals.clear()
        book = self.statements if "prepare" in text.lower() else self.portals
        found = re.match(r"\w+ (\w+);.*?(\w+) as select", text, re.DOTALL)
        assert found is not None
        gone, made = found.groups()
        ready = READY if not self.block else b"Z\0\0\0\5T"
        if gone not in book:
            return error("does not exist") + ready
        del book[gone]
        if made in book:
            return done("DEALLOCATE") + error("exists") + ready
        book[made] = text.rpartition(" as ")[2]
        return done("DEALLOCATE") + done("PREPARE") + ready

    def _close(self, kind: str, name: str) -> bytes:
        (self.statements if kind == "S" else self.portals).pop(name, None)
        return CLOSED


def _random_message(dice: random.Random) -> tuple[bytes, tuple[str, ...]]:
    name, portal = dice.choice(["", "a", "b"]), dice.choice(["", "p"])
    text = f"select from t{dice.randrange(1000)}" if dice.random() > 0.15 else "bad"
    kind = dice.choice("SP")
    return dice.choice(
        [
            (parse(name, text), ("parse", name, text)),
            (bind(portal, name), ("bind", portal, name)),
            (bind(portal, name) + execute(portal), ("bind", portal, name, "execute", portal)),
            (execute(portal), ("execute", portal)),
            (close(kind, name if kind == "S" else portal), ("close", kind, name if kind == "S" else portal)),
            (SYNC, ("sync",)),
            (SYNC + ask(_redefining(dice)), ("sync",)),
        ]
    )


def _redefining(dice: random.Random) -> str:
    """SQL that gives a name of the protocol's another meaning, with or without what would hide that."""
    one, other = dice.choice("aab"), dice.choice("aab")
    words = dice.choice([("deallocate", "PREPARE"), ("close", "DECLARE")])
    if words[0] == "close":
        one = other = "p"
    between = dice.choice([" ", "  ", "/* x */", " -- x\n", " /* /* x */ */ "])
    return f"{words[0]} {one}; {words[1]}{between}{other} as select from t{1000 + dice.randrange(1000)}"


class Asking(Talk):
    """A session whose every request is asked what it does, at once, as a policy would."""

    def __init__(self) -> None:
        self.acts: list[set[Act]] = []
        super().__init__()

    def kinds(self, frame: Frame) -> str:
        assert frame.request is not None
        self.acts.append(set(acts_of(frame.request)))
        return super().kinds(frame)


@pytest.mark.parametrize("seed", range(60))
def test_threat_15_what_runs_is_what_was_decided_on(seed):
    dice = random.Random(seed)
    talk, model = Asking(), Model()
    model.block = dice.random() < 0.5
    talk.take()
    on_the_way: deque[bytes] = deque()
    executed = iter(range(10_000))
    planned = 0
    for round_ in range(400):
        if round_ < 300 and dice.random() < 0.6:
            talk.client(_random_message(dice)[0])
        runs = [
            (text, details, acts)
            for text, details, kinds, acts in zip(
                talk.requests, talk.details, talk.asked, talk.acts, strict=True
            )
            if "E" in kinds
        ]
        bound = sum("B" in kinds for kinds in talk.asked)
        sent = talk.take()[1]
        while sent:  # what reached the target, message by message; it may answer later
            size = 1 + int.from_bytes(sent[1:5])
            on_the_way.append(sent[:size])
            sent = sent[size:]
        while on_the_way and (round_ >= 300 or dice.random() < 0.5):
            heard, before = on_the_way.popleft(), len(model.ran)
            reply = model.hear(*_words(heard))
            planned += heard[:1] == b"B"
            assert planned <= bound, "planning a Bind may run functions: it came undecided"
            if heard[:1] == b"E":
                number = next(executed)
                decided, details, acts = runs[number]  # an IndexError here: it ran undecided
                prepared = cast("dict[str, str]", details["prepared"])
                for text in model.ran[before:]:
                    named = re.fullmatch(r'(?:EXECUTE|FETCH FROM) "(\w+)"', decided)
                    # What SQL prepared was decided on there; the name must have been judged with it and the old text.
                    meant = prepared.get(named[1], "") if named else ""
                    assert text == decided or text in meant or (named and named[1] not in prepared)
                    assert set(read(text).acts) <= acts or OPAQUE[0] in acts
            talk.server(reply) if reply else None
    assert not talk.paused, "everything is answered, and the client still waits"


def _words(data: bytes) -> tuple[str, ...]:
    body = data[5:]
    parts = [part.decode("latin-1") for part in body.split(b"\0")]
    return {
        b"P": lambda: ("parse", parts[0], parts[1]),
        b"B": lambda: ("bind", parts[0], parts[1]),
        b"E": lambda: ("execute", parts[0]),
        b"C": lambda: ("close", body[:1].decode(), parts[0][1:]),
        b"S": lambda: ("sync",),
        b"Q": lambda: ("query", parts[0]),
    }[data[:1]]()
