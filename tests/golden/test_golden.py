"""Bytes that past releases wrote still mean what they meant, and are still what we write."""

import hashlib
import re

import pytest

import millrace
from consumers.plan import make_plan
from downstream.rendering.opening import open_snapshot
from streams.dump import read_dump
from streams.errors import CorpusError, SnapshotError, VersionError
from streams.records.run_identity import LAYOUT, identity, run_id
from streams.snapshots import manifests
from streams.wire import codec, frames
from tests.golden import snapshot_2, version_2, version_2_packed
from tests.golden.write import HERE, write
from tests.streams.same import bits
from tests.streams.strategies import KINDS

V2 = HERE / "v2"
RECORDS = version_2.records()
PACKED = version_2_packed.records()
MANIFESTS = version_2.manifests()
RUN_ID, IDENTITY = "7639db11696eb4e5e2bdca3177f89788", "5123e9dd707396b5af42bd03a31eeead"
READERS = {"shard-manifest": manifests.shard_manifest, "run-manifest": manifests.run_manifest}


def test_every_kind_of_record_has_golden_bytes():
    assert {type(record) for record in RECORDS.values()} == set(KINDS)
    assert {type(record) for record in PACKED.values()} == {k for k in KINDS if has_packed(k)}
    files = {f"{n}.bin" for n in (*RECORDS, *PACKED)} | {f"{n}.json" for n in MANIFESTS}
    assert {path.name for path in V2.iterdir()} == files | {"dump", "store"}


def has_packed(kind):
    return hasattr(kind, "PACKED")


@pytest.mark.parametrize("name", RECORDS)
def test_stored_bytes_decode_to_what_they_meant(name):
    found = codec.decode(type(RECORDS[name]), (V2 / f"{name}.bin").read_bytes())
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
    assert stored[:2] == written[:2] == b"\2z"
    assert frames.unframed(written[2:]) == frames.unframed(stored[2:])


@pytest.mark.parametrize("name", RECORDS)
def test_the_same_bytes_are_still_written(name):
    assert codec.encode(RECORDS[name]) == (V2 / f"{name}.bin").read_bytes()


def test_the_hashes_of_a_released_record_never_change():
    """With another run id its workers would not know their state."""
    assert run_id(RECORDS["run-record"]) == RUN_ID
    assert identity(RECORDS["run-record"]) == IDENTITY


def test_a_layout_that_changes_is_counted_up():
    """Where counters stand in a state: if it moves, count up LAYOUT, or the version of a statistic,
    so that states of before are refused by name, and write down what is new here."""
    plan = make_plan(RECORDS["run-record"])
    names = [f"activation.{name}" for name in ("tokens", "rows", "bins")]
    names += ["coactivation.tokens", "member_coactivation.tokens", "activation.feature_tokens"]
    at = [plan.layout.sum_first, *map(plan.layout.at, names)]
    found = hashlib.sha256(b"".join(each.astype("<i8").tobytes() for each in at)).hexdigest()
    assert (LAYOUT, found[:16]) == (2, "c883fdc2e9601563")
    assert plan.layout.at("activation.activation").tolist() == list(range(plan.clusters))


@pytest.mark.parametrize("name", RECORDS)
def test_a_future_version_is_refused_by_name(name):
    body = (V2 / f"{name}.bin").read_bytes()
    with pytest.raises(VersionError, match="version 3, this program reads version 2") as info:
        codec.decode(type(RECORDS[name]), b"\3" + body[1:])
    assert (info.value.found, info.value.ours) == (3, 2)


@pytest.mark.parametrize("body", [b"\1\x80", b"\1", b"\2\x28\xb5\x2f\xfd\x20"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_record_of_an_earlier_form_is_refused_with_what_to_do(kind, body):
    line = r"an earlier form of Millrace \(version 1\); make the corpus and the run again"
    with pytest.raises(VersionError, match=line):
        codec.decode(kind, body)


@pytest.mark.parametrize("name", MANIFESTS)
def test_stored_manifests_read_as_what_they_meant(name):
    assert READERS[name]((V2 / f"{name}.json").read_bytes()) == MANIFESTS[name]


def test_a_future_manifest_is_refused_by_name():
    body = (V2 / "run-manifest.json").read_bytes()
    with pytest.raises(SnapshotError, match="version 3, this program reads version 2; take a new"):
        manifests.run_manifest(body.replace(b'"version": 2', b'"version": 3'))


@pytest.mark.parametrize("read", READERS.values(), ids=list(READERS))
def test_a_manifest_of_an_earlier_form_is_refused_with_what_to_do(read):
    line = r"earlier form of Millrace \(version 1\); make the run again"
    with pytest.raises(SnapshotError, match=line):
        read(b'{"version": 1, "run": "prose", "files": []}')


def test_the_stored_dump_reads_as_what_it_meant():
    assert bits(list(read_dump(V2 / "dump"))) == bits(version_2.dump())


def test_a_dump_of_another_version_is_refused_by_name(tmp_path):
    body = (V2 / "dump").read_bytes()
    for version, line in ((3, "newer version"), (1, "earlier form of Millrace .version 1.; prod")):
        (tmp_path / "dump").write_bytes(body[:15] + bytes([version]) + body[16:])
        with pytest.raises(CorpusError, match=line):
            list(read_dump(tmp_path / "dump"))


def named(paths):
    return {re.sub(r"-[0-9a-f]{16}\.parquet$", ".parquet", path.name) for path in paths}


def test_writing_never_touches_what_is_there(tmp_path):
    written = write(tmp_path)
    # The hash in a name is over bytes of Parquet, which another writer chooses differently.
    assert named(written) == named(p for p in V2.rglob("*") if p.is_file())
    for path in written:
        path.write_bytes(b"released")
    assert write(tmp_path) == []
    assert all(path.read_bytes() == b"released" for path in written)


def test_the_stored_snapshot_reads_as_what_it_meant():
    opened = millrace.open(V2 / "store")
    for name, rows in snapshot_2.rows().items():
        assert opened.table(name).to_pylist() == rows, name
    assert opened.verify() == opened.content == snapshot_2.CONTENT
    assert opened.table("clusters").about("activation_sum").unit == "2^-sum_bits of activation"


def test_the_stored_snapshot_shows_examples_and_pages():
    opened = millrace.open(V2 / "store")
    (best,) = opened.cluster("both").examples()
    assert (best.text, best.activations) == ("the café\ufffd", (0.0, 1.5, 0.5))
    assert best.members == {"sae:0": {1: 1.5}, "sae:1": {2: 0.5}}
    assert open_snapshot(opened.manifest).densities.tolist() == [0.4, 0.2, 0.6]


def test_the_golden_snapshot_is_small():
    assert sum(p.stat().st_size for p in V2.rglob("*") if p.is_file()) < 60_000
