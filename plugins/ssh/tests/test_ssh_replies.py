"""Answers in the order of the requests."""

from hypothesis import given
from hypothesis import strategies as st

from recgate_ssh.wire.replies import Replies


@given(st.permutations(range(6)))
def test_answers_go_out_in_the_order_of_the_requests(order: list[int]):
    sent: list[tuple[bool, bytes]] = []
    replies = Replies(lambda ok, data: sent.append((ok, data)))
    slots = [replies.owe() for _ in order]
    for number in order:
        replies.give(slots[number], number % 2 == 0, bytes([number]))

    assert sent == [(number % 2 == 0, bytes([number])) for number in range(6)]
    assert len(replies) == 0


def test_an_answer_is_given_once():
    sent: list[bool] = []
    replies = Replies(lambda ok, data: sent.append(ok))
    slot = replies.owe()
    replies.give(slot, True)
    replies.give(slot, False)
    replies.give(None, False)

    assert sent == [True]
