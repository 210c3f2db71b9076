"""What the target's next row answers, whatever was skipped, piped or copied before it."""

from __future__ import annotations

from plugins.postgres.tests.talk import FLUSH, SYNC, ask, bind, execute, parse
from recgate.policy.braking import Brake
from recgate.sansio.frames import CLIENT, Frame, Request
from recgate_postgres.answers import MAX_WAITING, Answers
from recgate_postgres.messages import message


class Books(Answers):
    """Answers to requests by name: what has a name was decided on."""

    def __init__(self) -> None:
        self.brake = Brake()
        super().__init__(self.brake)

    def sent(self, data: bytes, name: str = "") -> None:
        request = Request("sql", name) if name else None
        if request is not None:
            self.brake.let_through(request, None, "", self.brake.now)
        self.asked(Frame(CLIENT, "F", data, 0, request))

    @property
    def now(self) -> str:
        return self.current.request.text


def test_queries_are_answered_up_to_their_ready() -> None:
    books = Books()
    books.sent(ask("a"), "a")
    books.sent(ask("b"), "b")
    books.ended()
    books.failed()
    assert books.now == "a"
    books.ready()
    assert (books.now, books.idle) == ("b", False)
    books.ready()
    assert (books.now, books.idle) == ("", True)


def test_an_error_skips_the_rest_of_its_series_and_no_more() -> None:
    books = Books()
    books.sent(parse("", "a") + bind() + execute(), "a")
    assert books.unsynced
    books.sent(bind() + execute(), "b")
    books.sent(SYNC)
    assert not books.unsynced
    books.sent(bind() + execute() + SYNC, "c")
    books.failed()
    assert books.now == ""
    books.ready()
    assert books.now == "c"
    books.ended()
    books.ready()
    assert books.idle


def test_a_bind_that_was_decided_on_by_itself_leaves_nothing_behind() -> None:
    books = Books()
    books.sent(bind(), "bind")
    books.sent(execute() + FLUSH, "a")
    assert books.now == "a"


def test_messages_may_be_cut_anywhere() -> None:
    whole = ask("a") + parse("", "b") + bind() + execute() + SYNC
    for cut in range(1, len(whole)):
        books = Books()
        books.sent(whole[:cut])
        books.sent(whole[cut:])
        books.ready()
        assert not books.idle
        books.ended()
        books.ready()
        assert books.idle


def test_a_sync_that_copy_ignores_is_none() -> None:
    books = Books()
    books.sent(bind() + execute() + SYNC, "copy")
    books.copy_in()
    books.sent(message(b"d", b"x\n") + message(b"c", b"") + SYNC)
    books.ended()
    books.ready()
    assert books.idle


def test_of_too_many_nothing_is_known_any_more() -> None:
    books = Books()
    books.sent(ask("a") * (MAX_WAITING + 1), "a")
    assert (books.now, books.idle, books.unsynced) == ("", False, False)
    books.ready()
    books.sent(ask("b"), "b")
    assert books.now == ""
