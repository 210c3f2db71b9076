"""The books of sign-ins: what is in them, what is found, what is forgotten."""

import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from recgate.model import Secret
from recgate_oidc import logins as books_of
from recgate_oidc.logins import (
    IssuedCertificate,
    Login,
    Logins,
    LoginsFailed,
    Logout,
    looks_like_token,
    new_token,
)

NOW = time.time()
ALICE = Login(
    id="a",
    source="corp",
    issuer="https://idp.example",
    subject="1",
    name="alice",
    groups=frozenset({"sre"}),
    issued=NOW,
    expires=NOW + 60,
    sid="s1",
    acr="mfa",
    amr=frozenset({"otp", "pwd"}),
    auth_time=NOW - 5,
    by_userinfo=True,
    refresh=b"sealed",
)

LOGOUT = Logout("https://idp.example", "j", "1", "", NOW + 60)


@pytest.fixture
def books(tmp_path) -> Iterator[Any]:
    made = Logins(tmp_path / "oidc.sqlite")
    yield made
    made.close()


async def test_a_sign_in_is_found_by_its_token_and_by_nothing_else(books, tmp_path):
    token = new_token()
    await books.add(ALICE, token)

    assert await books.by_token(token) == ALICE
    assert await books.by_id("a") == ALICE
    for other in (new_token(), Secret("rgl_"), Secret(token.reveal() + b"x"), Secret(b"x" + token.reveal())):
        assert await books.by_token(other) is None
    assert stat.S_IMODE((tmp_path / "oidc.sqlite").stat().st_mode) == 0o600
    assert token.reveal() not in b"".join(each.read_bytes() for each in tmp_path.iterdir())


def test_tokens_are_told_by_their_beginning_and_are_long():
    tokens = {new_token().reveal() for _ in range(100)}

    assert len(tokens) == 100
    assert all(looks_like_token(Secret(each)) and len(each) == 47 for each in tokens)
    assert not looks_like_token(Secret("rg_" + "A" * 43))


async def test_one_without_a_token_is_nobodys_to_come_in_by(books):
    await books.add(ALICE, None)
    await books.add(replace(ALICE, id="b"), None)

    assert {each.id for each in await books.all(NOW)} == {"a", "b"}
    assert await books.by_token(Secret("rgl_" + "A" * 43)) is None


async def test_what_was_revoked_stays_revoked_and_loses_its_refresh_token(books):
    await books.add(ALICE, None)
    await books.revoke(["a"], NOW + 1, "signed out")
    await books.revoke(["a"], NOW + 2, "again")
    await books.renewed("a", b"another")

    found = await books.by_id("a")
    assert (found.revoked, found.why, found.refresh) == (NOW + 1, "signed out", None)
    assert found.status(NOW) == "revoked"
    assert await books.all(NOW) == []


def test_an_end_is_an_end():
    assert ALICE.status(NOW + 59) == "valid"
    assert ALICE.status(NOW + 60) == "expired"


@pytest.mark.parametrize(
    ("subject", "sid", "ended"),
    [
        ("1", "", {"of-s1", "of-s2", "unsaid"}),
        ("1", "s1", {"of-s1", "unsaid"}),  # of the one whose session is not known it is in doubt
        ("", "s1", {"of-s1"}),
        ("", "s3", set()),
        ("2", "s1", set()),
        ("3", "", set()),
    ],
)
async def test_a_logout_ends_what_may_be_meant(books, subject, sid, ended):
    for name, session in (("of-s1", "s1"), ("of-s2", "s2"), ("unsaid", "")):
        await books.add(replace(ALICE, id=name, sid=session), None)
    await books.add(replace(ALICE, id="bobs", subject="2", sid="s9"), None)
    await books.add(replace(ALICE, id="elsewhere", source="other", sid="s1"), None)
    await books.add(replace(ALICE, id="over", revoked=NOW, sid="s1"), None)

    await books.add(replace(ALICE, id="expired", expires=NOW, sid="s1"), None)

    found = await books.logged_out("corp", replace(LOGOUT, subject=subject, sid=sid), NOW)

    assert {each.id for each in found} == ended
    standing = {each.id for each in await books.all(NOW)}
    assert standing == {"of-s1", "of-s2", "unsaid", "bobs", "elsewhere"} - ended
    for name in ended:
        login = await books.by_id(name)
        assert (login.revoked, login.why, login.refresh) == (NOW, "signed out at the provider", None)


async def test_a_logout_token_is_new_once_and_remembered_after_a_restart(books, tmp_path):
    assert await books.logged_out("corp", LOGOUT, NOW) == []
    await books.add(ALICE, None)
    assert await books.logged_out("corp", LOGOUT, NOW) is None
    assert await books.logged_out("corp", replace(LOGOUT, issuer="https://other.example"), NOW) == []
    books.close()

    again = Logins(tmp_path / "oidc.sqlite")
    assert await again.logged_out("corp", LOGOUT, NOW) is None
    assert [each.id for each in await again.all(NOW)] == ["a"]
    again.close()


async def test_a_logout_that_could_not_be_written_down_is_taken_the_next_time(books, monkeypatch):
    await books.add(ALICE, None)
    with monkeypatch.context() as broken:
        broken.setattr(books_of, "_REVOKE", "UPDATE nothing SET a = ?, b = ?, c = ?")
        with pytest.raises(LoginsFailed):
            await books.logged_out("corp", LOGOUT, NOW)

    assert [each.id for each in await books.logged_out("corp", LOGOUT, NOW)] == ["a"]


async def test_sign_ins_of_one_person_and_old_ones_do_not_grow_without_end(books, monkeypatch):
    monkeypatch.setattr(books_of, "MAX_PER_PERSON", 3)
    await books.add(replace(ALICE, id="bobs", subject="2"), None)
    for n in range(5):
        await books.add(replace(ALICE, id=f"n{n}", issued=NOW + n), None)

    assert {each.id for each in await books.all(NOW)} == {"n4", "n3", "n2", "bobs"}
    assert (await books.by_id("n1")).refresh is None
    later = NOW + books_of.REMEMBER + 120
    await books.add(replace(ALICE, id="later", issued=later, expires=later + 60), None)
    assert await books.by_id("n1") is None
    assert await books.by_id("n4") is None


async def test_certificates_are_found_with_their_sign_in_and_do_not_grow_without_end(books, monkeypatch):
    monkeypatch.setattr(books_of, "MAX_CERTIFICATES", 3)
    await books.add(ALICE, None)
    for n in range(5):
        await books.certify(IssuedCertificate(n, "a", "SHA256:x", NOW + n, NOW + 60))

    assert await books.by_serial(4) == (IssuedCertificate(4, "a", "SHA256:x", NOW + 4, NOW + 60), ALICE)
    assert [n for n in range(5) if await books.by_serial(n) is not None] == [2, 3, 4]
    assert await books.by_serial(-1) is None
    assert await books.by_serial(1 << 64) is None


async def test_books_that_others_may_read_are_refused(books, tmp_path):
    await books.add(ALICE, None)
    books.close()
    (tmp_path / "oidc.sqlite").chmod(0o644)

    with pytest.raises(LoginsFailed, match="chmod 600"):
        await books.by_id("a")
