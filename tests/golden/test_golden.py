"""Bytes that past releases wrote still mean what they meant, and are still what we write."""

import pytest

from streams import codec, frames, snapshot
from streams.dump import read_dump
from streams.errors import CorpusError, SnapshotError, VersionError
from streams.runs import run_id
from tests.golden import version_1, version_2
from tests.golden.write import HERE, write
from tests.streams.same import bits
from tests.streams.strategies import KINDS

V1, V2 = HERE / "v1", HERE / "v2"
RECORDS = version_1.records()
PACKED = version_2.records()
MANIFESTS = version_1.manifests()
RUN_ID = "42f90b227a5a8e4a98fb808ff86c9f0d"
READERS = {"shard-manifest": snapshot.shard_manifest, "run-manifest": snapshot.run_manifest}


def test_every_kind_of_record_has_golden_bytes():
    assert {type(record) for record in RECORDS.values()} == set(KINDS)
    files = {f"{name}.bin" for name in RECORDS} | {f"{name}.json" for name in MANIFESTS}
    assert {path.name for path in V1.iterdir()} == files | {"dump"}
    assert {type(record) for record in PACKED.values()} == {k for k in KINDS if has_packed(k)}
    assert {path.name for path in V2.iterdir()} == {f"{name}.bin" for name in PACKED}


def has_packed(kind):
    return hasattr(kind, "PACKED")


@pytest.mark.parametrize("name", RECORDS)
def test_stored_bytes_decode_to_what_they_meant(name):
    found = codec.decode(type(RECORDS[name]), (V1 / f"{name}.bin").read_bytes())
    assert bits(found) == bits(RECORDS[name])


@pytest.mark.parametrize("name", PACKED)
def test_stored_packed_bytes_decode_to_what_they_meant(name):
    found = codec.decode(type(PACKED[name]), (V2 / f"{name}.bin").read_bytes())
    assert bits(found) == bits(PACKED[name])


@pytest.mark.parametrize("name", PACKED)
def test_the_same_packed_bodies_are_still_written(name):
    """The frame around a body may differ with the version of the compressor."""
    stored = (V2 / f"{name}.bin").read_bytes()
    written = codec.encode_packed(PACKED[name])
    assert stored[:1] == written[:1] == b"\2"
    assert frames.unframed(written[1:]) == frames.unframed(stored[1:])


@pytest.mark.parametrize("name", RECORDS)
def test_the_same_bytes_are_still_written(name):
    """Other bytes for a run record are another run id: its workers would not know their state."""
    assert codec.encode(RECORDS[name]) == (V1 / f"{name}.bin").read_bytes()


def test_the_run_id_of_a_released_record_never_changes():
    assert run_id(RECORDS["run-record"]) == RUN_ID


@pytest.mark.parametrize("name", RECORDS)
def test_a_future_version_is_refused_by_name(name):
    body = (V1 / f"{name}.bin").read_bytes()
    with pytest.raises(VersionError, match="schema version 3, this program reads up to 2") as info:
        codec.decode(type(RECORDS[name]), b"\3" + body[1:])
    assert (info.value.found, info.value.newest) == (3, 2)


@pytest.mark.parametrize("name", MANIFESTS)
def test_stored_manifests_read_as_what_they_meant(name):
    assert READERS[name]((V1 / f"{name}.json").read_bytes()) == MANIFESTS[name]


def test_a_future_manifest_is_refused_by_name():
    body = (V1 / "run-manifest.json").read_bytes()
    with pytest.raises(SnapshotError, match="version 3, this program reads version 2; take a new"):
        snapshot.run_manifest(body.replace(b'"version": 2', b'"version": 3'))


@pytest.mark.parametrize("read", READERS.values(), ids=list(READERS))
def test_a_manifest_of_an_earlier_form_is_refused_with_what_to_do(read):
    line = r"earlier form of Millrace \(version 1\); make the run again"
    with pytest.raises(SnapshotError, match=line):
        read(b'{"version": 1, "run": "prose", "files": []}')


def test_the_stored_dump_reads_as_what_it_meant():
    assert bits(list(read_dump(V1 / "dump"))) == bits(version_1.dump())


def test_a_future_dump_is_refused_by_name(tmp_path):
    body = (V1 / "dump").read_bytes()
    (tmp_path / "dump").write_bytes(body[:15] + b"\2" + body[16:])
    with pytest.raises(CorpusError, match="newer version"):
        list(read_dump(tmp_path / "dump"))


def test_writing_never_touches_what_is_there(tmp_path):
    written = write(tmp_path)
    assert {path.name for path in written} == {p.name for v in (V1, V2) for p in v.iterdir()}
    for path in written:
        path.write_bytes(b"released")
    assert write(tmp_path) == []
    assert all(path.read_bytes() == b"released" for path in written)
