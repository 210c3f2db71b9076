"""What is one and what only looks like it, by examples from the specifications."""

import time

import pytest

from recgate_detect.masker import ContentMasker
from recgate_detect.rules import builtin, expand

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def found(rule: str, text: str) -> list[str]:
    data = text.encode()
    return [
        data[start:end].decode()
        for start, end, _ in ContentMasker("m", expand([rule])).spans(data, final=True)
    ]


@pytest.mark.parametrize(
    ("rule", "text", "expected"),
    [
        ("email", "Write to <alice.b+x@example.co.uk>, or bob@x.", ["alice.b+x@example.co.uk"]),
        ("email", "jürgen@müller.example", ["jürgen@müller.example"]),
        ("email", "alice at example.org @bob git@host", []),
        ("credit_card", "1 4111111111111111 2", ["4111111111111111"]),
        ("credit_card", "4111 1111 1111 1111;5500-0000-0000-0004", ["4111 1111 1111 1111", "5500-0000-0000-0004"]),
        ("credit_card", "3782 822463 10005", ["3782 822463 10005"]),
        ("credit_card", "4111111111111112 x4111111111111111 41111111111111111", []),
        ("credit_card", "4111-1111 1111-1111 411 1111 1111 11111", []),
        ("credit_card", "0000000000000000 9111111111111111", []),
        ("iban", "AB12 DE89 3704 0044 0532 0130 00 DE", ["DE89 3704 0044 0532 0130 00"]),
        ("iban", "GB82WEST12345698765432.", ["GB82WEST12345698765432"]),
        ("iban", "DE89370400440532013001 DE8937040044053201300 XDE89370400440532013000", []),
        ("us_ssn", "078-05-1120 and 219 09 9999", ["078-05-1120", "219 09 9999"]),
        ("us_ssn", "000-12-3456 666-12-3456 900-12-3456 123-00-4567 123-45-0000 123-45 6789 1123-45-6789", []),
        ("us_ssn", "123-45-6789-1 2-123-45-6789", []),
        ("phone", "+49 151 12345678 (212) 555-0199", ["+49 151 12345678", "(212) 555-0199"]),
        ("phone", "call +442079460958 or 06 12 34 56 78", ["+442079460958", "06 12 34 56 78"]),
        ("phone", "2026-11-24 14:00:00+00 1.234.567 +999 12345678 911-555-0199x 10.0.0.1", []),
        ("de_tax_id", "86095742719 86 095 742 719", ["86095742719", "86 095 742 719"]),
        ("de_tax_id", "86095742718 11111111111 65929970489x", []),
        ("fr_insee", "1 84 12 76 451 089 46", ["1 84 12 76 451 089 46"]),
        ("fr_insee", "1 84 13 76 451 089 46 184127645108947", []),
        ("es_dni", "12345678Z X1234567L", ["12345678Z", "X1234567L"]),
        ("es_dni", "12345678A X1234567M 112345678Z", []),
        ("pl_pesel", "44051401359", ["44051401359"]),
        ("pl_pesel", "44051401358 44133201359", []),
        ("uk_nhs", "943 476 5919", ["943 476 5919"]),
        ("uk_nhs", "943 476 5918 9434765919", []),
        ("nl_bsn", "111222333", ["111222333"]),
        ("nl_bsn", "111222334 000000000", []),
        ("jwt", "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"]),
        ("jwt", "eyJhbGciOiJIUzI1.NotJson0.x eyJmb28iOiJiYXIifQ.eyJzdWIiOiIxIn0.c2ln", []),
        ("url_password", "postgres://app:s3cret@db/x https://user@host/", ["s3cret"]),
        ("aws_secret", f"AWS_SECRET_ACCESS_KEY={SECRET}", [SECRET]),
    ],
)  # fmt: skip
def test_by_example(rule, text, expected):
    assert found(rule, text) == expected


def test_a_private_key_is_masked_to_its_end_and_no_further():
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----"
    cut = key[:60]

    assert found("private_key", f"x\n{key}\nhello") == [key]
    assert found("private_key", key.replace("\n", "\\n")) == [key.replace("\n", "\\n")]
    assert found("private_key", cut) == [cut]
    assert found("private_key", key.replace("PRIVATE", "PUBLIC")) == []


@pytest.mark.parametrize(
    "piece",
    [
        b"1",
        b"4111 ",
        b"a@",
        b"a@b.",
        b"AA11 ",
        b"AA11A",
        b"+1 ",
        b"eyJhbGciOi",
        b"-----BEGIN PRIVATE KEY",
        b"a:b@c:",
    ],
)
def test_what_almost_matches_costs_linear_time(piece):
    masker = ContentMasker("m", list(builtin().values()))
    small, large = (piece * (size // len(piece)) for size in (1 << 14, 1 << 17))
    spent: list[float] = []
    for data in (small, large):
        started = time.thread_time()
        masker.hints(data)
        list(masker.spans(data, final=True))
        spent.append(time.thread_time() - started)

    # Eight times as much; in quadratic time it would be sixty-four.
    assert spent[1] < 25 * spent[0] + 0.2
