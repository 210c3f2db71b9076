"""Binary COPY data: every field is seen once, NULL stays NULL, and what is not whole rows is a doubt."""

import pytest

from recgate.mask.masking import MaskFailed
from recgate_postgres.binarycopy import rewritten

HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(4) + b"\0\0\0\x02xy"
ROW = b"\0\x03" + b"\0\0\0\x02ab" + b"\xff\xff\xff\xff" + b"\0\0\0\0"
END = b"\xff\xff"


def upper(seen):
    def instead(each, value):
        seen.append((each, value))
        return value.upper() if value else None

    return instead


def test_fields_are_given_with_what_is_said_of_them_and_null_is_not_asked_about():
    seen = []
    new = rewritten(HEAD + ROW + END, range, upper(seen))

    assert seen == [(0, b"ab"), (2, b"")]
    assert new == HEAD + b"\0\x03" + b"\0\0\0\x02AB" + b"\xff\xff\xff\xff" * 2 + END


@pytest.mark.parametrize(
    "data", [ROW[:-1], ROW + b"\0", HEAD[:-1], b"\0\x01\0\0\0\x09abc", END + b"x", b"\0"]
)
def test_what_is_not_whole_rows_is_a_doubt(data):
    with pytest.raises(MaskFailed, match="not whole rows"):
        rewritten(data, range, upper([]))


def test_a_row_of_which_too_few_fields_are_known_is_a_doubt():
    with pytest.raises(MaskFailed, match="not whole rows"):
        rewritten(ROW, lambda count: range(count - 1), upper([]))
