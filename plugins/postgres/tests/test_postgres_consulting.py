"""An answer of the gateway's own, cut out of what the target says in any pieces; and what else it may say meanwhile."""

from __future__ import annotations

import pytest

from recgate.errors import LocalProtocolError, RemoteProtocolError
from recgate.sansio.asks import PAUSED, Survey, Surveyed
from recgate.sansio.frames import GATEWAY, UPSTREAM, Frame
from recgate_postgres.messages import error_response, message
from recgate_postgres.names import Names
from recgate_postgres.origin import asking
from recgate_postgres.origin.asking import ANSWER, QUESTION, Answer
from recgate_postgres.origin.bearings import Bearings
from recgate_postgres.origin.consulting import Consulting
from recgate_postgres.origin.sights import Doubt, Sight, Wait
from recgate_postgres.origin.snapshot import Snapshot

NOTICE = message(b"N", b"SNOTICE\0\0")
RUNG = message(b"A", bytes(4) + b"bell\0rings\0")
VALUE = b'[["pg_catalog","public"],null,null]'
TOLD = (
    message(b"T", bytes(2)),
    message(b"D", b"\0\1" + len(VALUE).to_bytes(4) + VALUE),
    message(b"C", b"SELECT 1\0"),
    message(b"Z", b"I"),
)


class Target:
    """A backend: keeps what it is handed."""

    def __init__(self, owed: int = 0, begun: bytes = b"") -> None:
        self.begun = owed, begun
        self.got = b""
        self.ended = False

    def unfinished(self) -> tuple[int, bytes]:
        return self.begun

    def receive(self, data: bytes) -> None:
        self.got += data
        self.ended = self.ended or not data


class Found:
    def __init__(self, catalog: Snapshot | None) -> None:
        self.catalog, self.spoilt = catalog, 0

    def current(self, subject: str) -> object | None:
        return self.catalog

    def mark(self, subject: str) -> int:
        return self.spoilt

    def spoil(self, subject: str) -> None:
        self.spoilt += 1
        self.catalog = None


def consulting(catalog: Snapshot | None = None) -> tuple[Consulting, Names, Found]:
    names, found = Names(), Found(catalog)
    names.meanings.settings.report(b"client_encoding", "UTF8")
    names.meanings.settings.report(b"server_encoding", "UTF8")
    names.sights = Bearings(found, "app", names)
    return Consulting(names.sights), names, found


CATALOG = Snapshot(18, 7, (), ())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("owed", [0, 5])
def test_the_answer_is_cut_out_whatever_comes_between_and_however(size: int, owed: int) -> None:
    talk, _, _ = consulting(CATALOG)
    assert talk.bearings.sight(b"select 1") == Wait()
    asked = talk.paused()
    assert isinstance(asked, Frame)
    assert (asked.side, asked.kind, asked.to) == (GATEWAY, QUESTION, UPSTREAM)
    assert talk.paused() is PAUSED
    begun = b"" if owed else NOTICE[:3]
    target = Target(owed, begun)
    talk.sent(target)
    first, data = (b"a row"[-owed:] if owed else b""), b""
    data = (
        first + (NOTICE[3:] if begun else b"") + TOLD[0] + RUNG + TOLD[1] + TOLD[2] + NOTICE + TOLD[3] + RUNG
    )
    answer = None
    for at in range(0, len(data), size):
        if not talk.listening:
            target.receive(data[at : at + size])
            continue
        talk.receive(data[at : at + size])
        answer = talk.heard(target) or answer
    assert isinstance(answer, Frame)
    assert (answer.kind, answer.data) == (ANSWER, b"".join(TOLD))
    assert target.got == first + (NOTICE if begun else b"") + RUNG + NOTICE + RUNG
    sight = talk.bearings.sight(b"select 1")
    assert isinstance(sight, Sight)
    assert sight.path == ("pg_catalog", "public")


@pytest.mark.parametrize(
    "said",
    [
        (error_response("42501", "no"), TOLD[3]),
        (TOLD[2], TOLD[3]),
        (TOLD[0], TOLD[1], TOLD[1], TOLD[2], TOLD[3]),
        (TOLD[0], message(b"D", b"\0\1\xff\xff\xff\xff"), TOLD[3]),
        (TOLD[0], message(b"D", b"\0\1\0\0\0\2{}"), TOLD[3]),
        (TOLD[0], message(b"D", b"\0\1\0\0\0\x0c[[1],[],[]] "), TOLD[3]),
        (TOLD[0], message(b"D", b"\0\1\0\0\0\2\xff\xfe"), TOLD[3]),
        (TOLD[0], message(b"D", b"\0\1" + (5000).to_bytes(4) + b"[" * 5000), TOLD[3]),
    ],
)
def test_an_answer_without_a_path_is_a_doubt_until_the_client_says_more(said: tuple[bytes, ...]) -> None:
    talk, names, _ = consulting(CATALOG)
    talk.bearings.sight(b"select 1")
    talk.paused()
    target = Target()
    talk.sent(target)
    talk.receive(b"".join(said))
    assert talk.heard(target) is not None
    assert talk.bearings.sight(b"select 1") == Doubt("the search path of this session could not be asked for")
    assert isinstance(talk.bearings.sight(b"begin"), Sight)
    assert names.status == 73
    talk.bearings.heard()
    assert talk.bearings.sight(b"select 1") == Wait()


@pytest.mark.parametrize(
    "said", [b"D\0\0\0\3", b"D\x7f\xff\xff\xff", b"G\0\0\0\4", message(b"Z", b"II"), b"\0" * 9]
)
def test_what_is_no_answer_ends_the_session(said: bytes) -> None:
    answer = Answer(0, b"")
    answer.reader.feed(said)
    with pytest.raises(RemoteProtocolError):
        answer.passed()


def test_an_answer_without_an_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MAX_ANSWER", 1000)
    answer = Answer(0, b"")
    answer.reader.feed(message(b"D", bytes(100)) * 11)
    with pytest.raises(RemoteProtocolError, match="without an end"):
        answer.passed()


def test_a_target_that_goes_meanwhile_is_gone() -> None:
    talk, _, _ = consulting(CATALOG)
    talk.bearings.sight(b"select 1")
    talk.paused()
    target = Target()
    talk.sent(target)
    talk.receive(TOLD[0] + RUNG[:4])
    talk.receive(b"")
    assert talk.heard(target) is None
    assert target.ended
    assert not talk.listening


def test_a_survey_is_asked_for_once_and_its_failure_is_a_doubt() -> None:
    talk, _, found = consulting()
    assert talk.bearings.sight(b"select 1") == Wait()
    ask = talk.paused()
    assert ask == Survey("app")
    assert isinstance(ask, Survey)
    assert talk.paused() is PAUSED
    with pytest.raises(LocalProtocolError):
        talk.answer(Survey("app"), Surveyed())
    talk.answer(ask, Surveyed("not now"))
    said = talk.bearings.sight(b"select 1")
    assert isinstance(said, Doubt)
    assert "could not be read" in said.reason
    talk.bearings.heard()
    found.catalog = CATALOG
    assert talk.bearings.sight(b"select 1") == Wait()
    assert isinstance(talk.paused(), Frame)


def test_a_survey_that_says_it_has_and_has_not_is_not_asked_for_ever() -> None:
    talk, _, _ = consulting()
    talk.bearings.sight(b"select 1")
    ask = talk.paused()
    assert isinstance(ask, Survey)
    talk.answer(ask, Surveyed())
    assert isinstance(talk.bearings.sight(b"select 1"), Doubt)


def settled() -> tuple[Consulting, Names, Found]:
    talk, names, found = consulting(CATALOG)
    talk.bearings.sight(b"select 1")
    talk.paused()
    target = Target()
    talk.sent(target)
    talk.receive(b"".join(TOLD))
    talk.heard(target)
    assert isinstance(talk.bearings.sight(b"select 1"), Sight)
    return talk, names, found


def test_what_another_session_changes_meanwhile_takes_a_sight_back() -> None:
    talk, _, found = settled()
    sight = talk.bearings.sight(b"select 1")
    assert isinstance(sight, Sight)
    assert talk.bearings.holds(sight)
    found.spoil("app")
    assert not talk.bearings.holds(sight)
    nothing = talk.bearings.sight(b"begin")
    assert isinstance(nothing, Sight)
    assert talk.bearings.holds(nothing)


def test_what_this_session_changes_is_told_to_the_others_when_it_goes_and_when_it_is_done() -> None:
    talk, names, found = settled()
    sight = talk.bearings.sight(b"select 1")
    assert isinstance(sight, Sight)
    names.query()
    talk.bearings.runs(b"create table t (a int)", True)
    assert found.spoilt == 1
    assert talk.bearings.holds(sight)
    assert talk.bearings.sight(b"select 2") == Wait()
    names.ready(ord("I"))
    assert found.spoilt == 2
    found.catalog = CATALOG
    assert talk.bearings.sight(b"select 2") == Wait()


def test_in_an_open_transaction_what_it_changed_is_a_doubt() -> None:
    talk, names, _ = settled()
    names.query()
    talk.bearings.runs(b"create table t (a int)", True)
    names.ready(ord("T"))
    said = talk.bearings.sight(b"select 2")
    assert isinstance(said, Doubt)
    assert "open transaction" in said.reason


def test_a_path_that_the_target_reports_is_asked_for_anew() -> None:
    talk, _, _ = settled()
    talk.bearings.reported(b"TimeZone")
    assert isinstance(talk.bearings.sight(b"select 1"), Sight)
    talk.bearings.reported(b"search_path")
    assert talk.bearings.sight(b"select 1") == Wait()


def test_nothing_is_asked_in_a_failed_transaction() -> None:
    talk, names, _ = settled()
    names.query()
    talk.bearings.runs(b"select f()", False)
    names.ready(ord("E"))
    said = talk.bearings.sight(b"select 1")
    assert isinstance(said, Doubt)
    assert "ROLLBACK" in said.reason
    assert isinstance(talk.bearings.sight(b"rollback"), Sight)
