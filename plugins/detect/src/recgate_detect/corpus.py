"""A labelled corpus, made anew from a seed: what each rule must find, and what looks like it and is not.

Nothing in it is anybody's: numbers are made to have the right check digits, and words come from a short list.
"""

from __future__ import annotations

import base64
import random
import string
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from recgate_detect import nationalids
from recgate_detect.cards import luhn
from recgate_detect.masker import ContentMasker
from recgate_detect.registries import IBAN_LENGTHS
from recgate_detect.rules import builtin

__all__ = ["Measured", "Sample", "corpus", "measure"]

WORDS: Final = (
    "order", "from", "the", "to", "paid", "invoice", "customer", "call", "me", "at", "about", "shipped", "note", "ref",
    "and", "old", "new", "account", "see",
)  # fmt: skip
NAMES: Final = ("alice", "bob", "carla", "dmitri", "eve", "farid", "grace", "hana", "ivan", "jo")
_ALNUM: Final = string.ascii_letters + string.digits

Random = random.Random


@dataclass(frozen=True, slots=True)
class Sample:
    """One text, and what is in it: (start, end, rule)."""

    text: bytes
    spans: tuple[tuple[int, int, str], ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """How well one rule did: how many were there, were found, and were found where nothing was."""

    rule: str
    there: int
    found: int
    wrong: int

    @property
    def precision(self) -> float:
        """How much of what was found is one."""
        return self.found / (self.found + self.wrong) if self.found + self.wrong else 1.0

    @property
    def recall(self) -> float:
        """How much of what is there was found."""
        return self.found / self.there if self.there else 1.0


def _some(rnd: Random, alphabet: str, low: int, high: int = 0) -> str:
    return "".join(rnd.choices(alphabet, k=rnd.randint(low, high or low)))


def _digits(rnd: Random, count: int) -> str:
    return _some(rnd, string.digits, count)


def _until(rnd: Random, make: Callable[[], str], valid: Callable[[bytes], bool]) -> str:
    while not valid((text := make()).encode()):
        pass
    return text


def _email(rnd: Random) -> str:
    local = rnd.choice(("{0}", "{0}.{1}", "{0}+{1}", "{0}_{1}{2}", "o'{0}"[2:] + "-{1}"))
    name = local.format(rnd.choice(NAMES), rnd.choice(NAMES), rnd.randint(1, 99))
    return f"{name}@{rnd.choice(('example.org', 'mail.example.co.uk', 'x-y.example', 'shop.example.com'))}"


def _card(rnd: Random) -> str:
    first, length = rnd.choice(
        (("4", 16), ("4", 13), ("52", 16), ("37", 15), ("6011", 16), ("2225", 16), ("3530", 16))
    )
    number = _until(rnd, lambda: first + _digits(rnd, length - len(first)), luhn)
    if length == 16 and rnd.random() < 0.5:
        return rnd.choice(" -").join(number[n : n + 4] for n in range(0, 16, 4))
    if length == 15 and rnd.random() < 0.5:
        return f"{number[:4]} {number[4:10]} {number[10:]}"
    return number


def _iban(rnd: Random) -> str:
    country = rnd.choice(sorted(IBAN_LENGTHS)).decode()
    rest = _digits(rnd, IBAN_LENGTHS[country.encode()] - 4)
    number = int("".join(str(int(each, 36)) for each in f"{rest}{country}00"))
    iban = f"{country}{98 - number % 97:02}{rest}"
    return " ".join(iban[n : n + 4] for n in range(0, len(iban), 4)) if rnd.random() < 0.5 else iban


def _ssn(rnd: Random) -> str:
    area = rnd.choice([n for n in range(1, 900) if n != 666])
    return f"{area:03}-{rnd.randint(1, 99):02}-{rnd.randint(1, 9999):04}"


def _phone(rnd: Random) -> str:
    return rnd.choice(
        (
            lambda: f"+49 {rnd.choice((151, 171, 30))} {_digits(rnd, 8)}",
            lambda: f"+1{rnd.randint(2, 9)}0{_digits(rnd, 1)}{rnd.randint(3, 9)}{_digits(rnd, 6)}",
            lambda: f"+44 20 {_digits(rnd, 4)} {_digits(rnd, 4)}",
            lambda: (
                f"({rnd.randint(2, 9)}0{rnd.randint(2, 9)}) {rnd.randint(2, 9)}4{_digits(rnd, 1)}-{_digits(rnd, 4)}"
            ),
            lambda: (
                f"{rnd.randint(2, 9)}1{rnd.randint(2, 9)}-{rnd.randint(2, 9)}5{_digits(rnd, 1)}-{_digits(rnd, 4)}"
            ),
            lambda: (
                f"0{rnd.randint(1, 9)} {_digits(rnd, 2)} {_digits(rnd, 2)} {_digits(rnd, 2)} {_digits(rnd, 2)}"
            ),
            lambda: f"07{_digits(rnd, 3)} {_digits(rnd, 6)}",
        )
    )()


def _tax_id(rnd: Random) -> str:
    def draw() -> str:
        chosen = rnd.sample(string.digits, 9)
        ten = [*chosen, rnd.choice(chosen)]
        rnd.shuffle(ten)
        return "".join(ten) + _digits(rnd, 1)

    return _until(rnd, draw, nationalids.de_tax_id)


def _insee(rnd: Random) -> str:
    body = (
        f"{rnd.choice('12')}{_digits(rnd, 2)}{rnd.randint(1, 12):02}{rnd.randint(1, 95):02}{_digits(rnd, 6)}"
    )
    key = 97 - int(body) % 97
    return f"{body}{key:02}"


def _dni(rnd: Random) -> str:
    return _until(
        rnd,
        lambda: rnd.choice("0123456789XYZ") + _digits(rnd, 7) + rnd.choice("TRWAGMYFPDXBNJZSQVHLCKE"),
        nationalids.es_dni,
    )


def _pesel(rnd: Random) -> str:
    return _until(
        rnd,
        lambda: f"{_digits(rnd, 2)}{rnd.randint(1, 12):02}{rnd.randint(1, 28):02}{_digits(rnd, 5)}",
        nationalids.pl_pesel,
    )


def _nhs(rnd: Random) -> str:
    number = _until(rnd, lambda: _digits(rnd, 10), nationalids.uk_nhs)
    return f"{number[:3]} {number[3:6]} {number[6:]}"


def _bsn(rnd: Random) -> str:
    return _until(rnd, lambda: _digits(rnd, 9), nationalids.nl_bsn)


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _jwt(rnd: Random) -> str:
    header = rnd.choice((b'{"alg":"RS256","typ":"JWT"}', b'{"typ":"JWT","alg":"ES256","kid":"1"}'))
    claims = b'{"sub":"%d"}' % rnd.randint(1, 10**9)
    return f"{_part(header)}.{_part(claims)}.{_part(rnd.randbytes(64))}"


def _pem(rnd: Random) -> str:
    word = rnd.choice(("", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "))
    lines = "\n".join(_some(rnd, _ALNUM + "+/", 64) for _ in range(rnd.randint(3, 24)))
    return f"-----BEGIN {word}PRIVATE KEY-----\n{lines}\n-----END {word}PRIVATE KEY-----"


_VALUES: Final[dict[str, Callable[[Random], str]]] = {
    "email": _email,
    "credit_card": _card,
    "iban": _iban,
    "us_ssn": _ssn,
    "phone": _phone,
    "de_tax_id": _tax_id,
    "fr_insee": _insee,
    "es_dni": _dni,
    "pl_pesel": _pesel,
    "uk_nhs": _nhs,
    "nl_bsn": _bsn,
    "jwt": _jwt,
    "private_key": _pem,
    "aws_key": lambda rnd: rnd.choice(("AKIA", "ASIA")) + _some(rnd, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16),
    "gcp_key": lambda rnd: "AIza" + _some(rnd, _ALNUM + "_-", 35),
    "github_token": lambda rnd: rnd.choice(("ghp_", "gho_", "ghs_")) + _some(rnd, _ALNUM, 36),
    "gitlab_token": lambda rnd: "glpat-" + _some(rnd, _ALNUM, 20),
    "slack_token": lambda rnd: f"xoxb-{_digits(rnd, 11)}-{_digits(rnd, 12)}-{_some(rnd, _ALNUM, 24)}",
    "stripe_key": lambda rnd: rnd.choice(("sk_live_", "rk_test_")) + _some(rnd, _ALNUM, 24),
    "service_token": lambda rnd: rnd.choice(
        ("npm_" + _some(rnd, _ALNUM, 36), "hvs." + _some(rnd, _ALNUM, 24))
    ),
}
# What stands around a value that has a part of its own: (before, value, behind).
_AROUND: Final[dict[str, Callable[[Random], tuple[str, str, str]]]] = {
    "aws_secret": lambda rnd: ("aws_secret_access_key = ", _some(rnd, _ALNUM + "+/", 40), ""),
    "azure_key": lambda rnd: (
        "AccountKey=",
        base64.b64encode(rnd.randbytes(64)).decode(),
        ";EndpointSuffix=x",
    ),
    "url_password": lambda rnd: (
        "postgres://app:",
        _some(rnd, _ALNUM + "-_!", 8, 20),
        "@db.internal:5432/app",
    ),
}


def _broken(rnd: Random, rule: str) -> str:
    """Make what almost is one: a digit changed, a letter too many, a prefix alone."""
    value = _VALUES[rule](rnd)
    if rule in ("credit_card", "iban", "de_tax_id", "fr_insee", "pl_pesel", "uk_nhs", "nl_bsn"):
        at = rnd.choice([n for n in range(4, len(value)) if value[n].isdigit()])
        return value[:at] + str((int(value[at]) + rnd.randint(1, 8)) % 10) + value[at + 1 :]
    if rule == "es_dni":
        return value[:-1] + rnd.choice([each for each in "TRWAGMYFPDXBNJZSQVHLCKE" if each != value[-1]])
    if rule == "us_ssn":
        return rnd.choice(
            (f"000{value[3:]}", f"666{value[3:]}", f"9{value[1:]}", f"{value[:7]}0000", f"1{value}")
        )
    if rule == "email":
        return rnd.choice(
            (value.replace("@", " at "), value.partition("@")[0] + "@", "@" + rnd.choice(NAMES))
        )
    if rule == "phone":
        return rnd.choice(
            (f"+{_digits(rnd, 5)}", f"{_digits(rnd, 3)}-{_digits(rnd, 2)}", f"+999 {_digits(rnd, 8)}")
        )
    if rule == "private_key":
        return value.replace("PRIVATE", "PUBLIC")
    return value[: len(value) // 3]


def _stamp(rnd: Random) -> str:
    day = f"2026-{rnd.randint(1, 12):02}-{rnd.randint(1, 28):02}"
    return f"{day} {rnd.randint(0, 23):02}:{rnd.randint(0, 59):02}:{rnd.randint(0, 59):02}"


def _noise(rnd: Random) -> str:
    """Make what is in every table and is nobody's secret."""
    return rnd.choice(
        (
            lambda: str(uuid.UUID(bytes=rnd.randbytes(16))),
            lambda: rnd.randbytes(20).hex(),
            lambda: f"{_stamp(rnd)}.{_digits(rnd, 6)}+00",
            lambda: (
                f"{rnd.randint(1, 255)}.{rnd.randint(0, 255)}.{rnd.randint(0, 255)}.{rnd.randint(1, 254)}"
            ),
            lambda: f"{rnd.randint(1, 99999)}.{_digits(rnd, 2)}",
            lambda: str(rnd.randint(1, 10**8)),
            lambda: f"v{rnd.randint(0, 20)}.{rnd.randint(0, 99)}.{rnd.randint(0, 999)}",
            lambda: base64.b64encode(rnd.randbytes(24)).decode(),
            lambda: f"https://shop.example/{rnd.choice(WORDS)}?id={rnd.randint(1, 10**6)}",
            lambda: f"17{_digits(rnd, 8)}",
            lambda: f"978-{rnd.randint(0, 9)}-{_digits(rnd, 4)}-{_digits(rnd, 4)}-{rnd.randint(0, 9)}",
        )
    )()


def _sample(rnd: Random, rule: str) -> Sample:
    before = " ".join(rnd.choices(WORDS, k=rnd.randint(0, 4)))
    behind = " ".join(rnd.choices(WORDS, k=rnd.randint(0, 4)))
    left, right = (
        rnd.choice((" ", ": ", "\t", '"', "(", "=")),
        rnd.choice((" ", ", ", "\t", '"', ")", ";", ".\n")),
    )
    inner = ("", _VALUES[rule](rnd), "") if rule in _VALUES else _AROUND[rule](rnd)
    text = f"{before}{left}{inner[0]}".encode()
    start, end = len(text), len(text) + len(inner[1].encode())
    return Sample(text + f"{inner[1]}{inner[2]}{right}{behind}".encode(), ((start, end, rule),))


def corpus(seed: int = 1, each: int = 300) -> Iterator[Sample]:
    """Give `each` samples of every rule with one value in it, as many that almost have one, and as many with noise."""
    rnd = random.Random(seed)  # noqa: S311 - the same corpus for the same seed is the point
    for rule in builtin():
        for _ in range(each):
            yield _sample(rnd, rule)
            if rule in _VALUES:
                yield Sample(f"{rnd.choice(WORDS)} {_broken(rnd, rule)} {rnd.choice(WORDS)}".encode(), ())
            yield Sample(" ".join(_noise(rnd) for _ in range(rnd.randint(1, 4))).encode(), ())


def measure(seed: int = 1, each: int = 300) -> list[Measured]:
    """Run every rule by itself over the whole corpus."""
    samples = list(corpus(seed, each))
    results: list[Measured] = []
    for rule in builtin().values():
        masker = ContentMasker("bench", [rule])
        there = found = wrong = 0
        for sample in samples:
            expected = {span for span in sample.spans if span[2] == rule.name}
            given = set(masker.spans(sample.text, final=True))
            there += len(expected)
            found += len(expected & given)
            # A number with the check digit of another rule is that rule's sample, and a hit here all the same.
            wrong += len(given - expected)
        results.append(Measured(rule.name, there, found, wrong))
    return results
