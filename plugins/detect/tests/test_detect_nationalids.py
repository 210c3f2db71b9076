"""Check digits of what states give to people: the published examples, and every wrong last character."""

import pytest

from recgate_detect.nationalids import VALID


@pytest.mark.parametrize(
    ("rule", "text", "alphabet"),
    [
        ("de_tax_id", "86095742719", "0123456789"),
        ("de_tax_id", "65929970489", "0123456789"),
        ("fr_insee", "184127645108946", "0123456789"),
        ("es_dni", "12345678Z", "TRWAGMYFPDXBNJZSQVHLCKE"),
        ("es_dni", "X1234567L", "TRWAGMYFPDXBNJZSQVHLCKE"),
        ("nl_bsn", "111222333", "0123456789"),
        ("pl_pesel", "44051401359", "0123456789"),
        ("uk_nhs", "9434765919", "0123456789"),
    ],
)
def test_of_all_last_characters_one_is_right(rule, text, alphabet):
    valid = VALID[rule]

    assert [each for each in alphabet if valid((text[:-1] + each).encode())] == [text[-1]]
    assert not valid(text[:-1].encode())
    assert not valid((text + text[-1]).encode())


def test_corsica_has_letters():
    number = 97 - int("1841219451089") % 97

    assert VALID["fr_insee"](f"184122A451089{number:02}".encode())


def test_what_cannot_be_is_refused():
    assert not VALID["de_tax_id"](b"00000000000")
    assert not VALID["de_tax_id"](b"11111111115")
    assert not VALID["pl_pesel"](b"44133201359")
    assert not VALID["nl_bsn"](b"000000000")
