"""A digest, or the reason why there is none."""

import hashlib

from recgate_ssh.digest import RunningDigest


def test_what_comes_in_order_is_hashed():
    digest = RunningDigest()
    digest.update(0, b"he")
    digest.update(2, memoryview(b"llo"))

    assert (digest.size, digest.body) == (5, {"sha256": hashlib.sha256(b"hello").hexdigest()})


def test_what_does_not_is_counted_without():
    digest = RunningDigest()
    digest.update(0, b"he")
    digest.update(10, b"x")
    digest.update(2, b"y")

    assert digest.size == 11
    assert digest.body == {"sha256_absent": "not transferred from beginning to end"}


def test_a_restored_digest_is_lost_unless_nothing_was_hashed():
    digest = RunningDigest()
    assert "sha256" in RunningDigest.restore(digest.save()).body
    digest.update(0, b"x")
    assert "sha256" not in RunningDigest.restore(digest.save()).body


def test_the_first_reason_stands():
    digest = RunningDigest()
    digest.spoil("one")
    digest.spoil("two")

    assert digest.body == {"sha256_absent": "one"}
