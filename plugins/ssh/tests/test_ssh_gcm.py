"""The cached cipher against asyncssh's own."""

import os

from asyncssh.crypto.cipher import GCMCipher

from recgate_ssh.wire.gcm import TAG, CachedGcm


def pair() -> tuple[GCMCipher, CachedGcm]:
    key, iv = os.urandom(16), os.urandom(4) + b"\xff" * 7 + b"\xfe"
    return GCMCipher("aes128-gcm", key, iv), CachedGcm(key, iv)


def test_both_seal_alike_over_a_wrapping_counter():
    theirs, ours = pair()
    for size in (16, 64, 32_768, 16):
        header, data = size.to_bytes(4, "big"), os.urandom(size)
        sealed = bytearray(size + TAG)
        if size == 64:
            sealed[:] = b"".join(ours.encrypt_and_sign(header, data))[4:]
        else:
            ours.seal_into(data, header, memoryview(sealed))
        assert b"".join(theirs.encrypt_and_sign(header, data)) == header + bytes(sealed)


def test_ours_opens_what_theirs_sealed_and_nothing_else():
    theirs, ours = pair()
    header, data = b"\0\0\0\x20", os.urandom(32)
    sealed, tag = theirs.encrypt_and_sign(header, data)
    out = bytearray(32)

    assert not ours.open_into(sealed[4:] + bytes(TAG), header, memoryview(out))
    assert ours.open_into(sealed[4:] + tag, header, memoryview(out))
    assert bytes(out) == data


def test_a_packet_opened_on_the_fast_path_is_handed_over_once():
    theirs, ours = pair()
    ours.opened = b"already open"

    assert ours.verify_and_decrypt(b"", b"", b"") == b"already open"
    sealed, tag = theirs.encrypt_and_sign(b"\0\0\0\x10", b"x" * 16)
    assert ours.verify_and_decrypt(b"\0\0\0\x10", sealed[4:], tag) == b"x" * 16
    assert ours.verify_and_decrypt(b"\0\0\0\x10", sealed[4:], tag) is None
