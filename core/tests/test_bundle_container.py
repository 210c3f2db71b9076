"""The one form that a bundle's file has: what others' tools read, and what no other file is taken for."""

from __future__ import annotations

import io
import struct
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate.bundle import container
from recgate.bundle.container import ContainerReader, ContainerWriter
from recgate.errors import RecordingDamaged

OBJECTS = {"one": b"first", "a/two": b"", "a/three": b"x" * 300}


def written(objects) -> bytes:
    out = io.BytesIO()
    writer = ContainerWriter(out)
    for name, content in objects:
        writer.add(name, content)
    writer.finish()
    return out.getvalue()


WHOLE = written(OBJECTS.items())


def test_any_zip_tool_reads_it():
    with zipfile.ZipFile(io.BytesIO(WHOLE)) as file:
        assert file.testzip() is None
        assert {name: file.read(name) for name in file.namelist()} == OBJECTS
        assert {info.compress_type for info in file.infolist()} == {zipfile.ZIP_STORED}


def test_it_is_read_back():
    reader = ContainerReader(io.BytesIO(WHOLE))
    assert {name: reader.get(name, 1000) for name in reader.members} == OBJECTS
    with pytest.raises(RecordingDamaged, match="300 bytes, and the limit is 299"):
        reader.get("a/three", 299)
    with pytest.raises(KeyError):
        reader.get("four", 1)


def test_a_large_one_is_read_by_others_as_well(monkeypatch):
    for name in ("_MAX16", "_MAX32"):
        monkeypatch.setattr(container, name, 2)
    data = written(OBJECTS.items())
    assert b"PK\x06\x06" in data
    assert set(ContainerReader(io.BytesIO(data)).members) == set(OBJECTS)


def test_one_of_many_objects_is_a_zip64():
    data = written((f"{number}", b"") for number in range(66_000))
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert len(file.namelist()) == 66_000
    assert len(ContainerReader(io.BytesIO(data)).members) == 66_000


@given(place=st.integers(0, len(WHOLE) - 1), bit=st.integers(0, 7))
def test_every_flipped_bit_is_seen(place, bit):
    data = bytearray(WHOLE)
    data[place] ^= 1 << bit
    with pytest.raises(RecordingDamaged):
        _read_all(bytes(data))


@given(cut=st.integers(0, len(WHOLE) - 1))
def test_every_cut_is_seen(cut):
    with pytest.raises(RecordingDamaged):
        _read_all(WHOLE[:cut])


def _read_all(data: bytes) -> None:
    reader = ContainerReader(io.BytesIO(data))
    for name in reader.members:
        reader.get(name, 1000)


def deflated() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("one", b"\0" * 1_000_000)
    return out.getvalue()


def overlapping() -> bytes:
    data = bytearray(WHOLE)
    second = WHOLE.index(b"PK\x01\x02", WHOLE.index(b"PK\x01\x02") + 1)
    struct.pack_into("<L", data, second + 42, 0)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (deflated(), "not as a bundle has it"),
        (overlapping(), "directory is not that of its objects"),
        (written([("one", b""), ("one", b"")]), "stands twice"),
        (b"before" + WHOLE, "directory is not that"),
        (WHOLE + b"behind", "something follows its end"),
        (WHOLE[:150], "ends inside the object at byte"),
        (b"", "directory is not that"),
    ],
    ids=["deflated", "overlapping", "twice", "before", "behind", "cut", "empty"],
)
def test_what_is_hostile_is_refused_on_a_line(data, what):
    with pytest.raises(RecordingDamaged, match=what):
        ContainerReader(io.BytesIO(data))


def test_objects_are_counted(monkeypatch):
    monkeypatch.setattr(container, "MAX_OBJECTS", 2)
    with pytest.raises(RecordingDamaged, match="more than 2 objects"):
        ContainerReader(io.BytesIO(WHOLE))
