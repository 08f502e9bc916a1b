from dataclasses import replace

import pyarrow as pa
import pytest

import millrace
from streams.errors import SnapshotError
from streams.snapshots.attachments import (
    attachment_manifest,
    folder_of,
    list_attachments,
    make_attachment,
    to_json,
    write_attachment,
)
from streams.snapshots.store import open_store
from streams.snapshots.tables import TOTALS, Column, TableForm
from tests import factories
from tests.downstream.dashboard.snapshot_files import small, write_snapshot

NOW = "2031-05-06T07:08:09+00:00"
LENS = TableForm(
    "logit_lens",
    "The tokens that a feature's direction makes more likely.",
    ("feature", "rank"),
    (
        Column("feature", pa.int32(), "feature"),
        Column("rank", pa.int32(), "0 is first"),
        Column("id", pa.int32(), "token id"),
        Column("logit", pa.float32(), "how much more likely", "logit", "with error", "bfloat16"),
    ),
)


def lens(value=1.0):
    rows = [{"feature": 3, "rank": 0, "id": 7, "logit": value}]
    return {LENS: pa.Table.from_pylist(rows, schema=LENS.schema)}


@pytest.fixture
def snapshot(tmp_path):
    return write_snapshot(str(tmp_path), small())


def attach(snapshot, value=1.0, name="default"):
    made = make_attachment(
        snapshot, "logit-lens", lens(value), created=NOW, name=name, provenance={"by": "a test"}
    )
    return write_attachment(open_store(snapshot.store), made, lens(value))


def test_an_attachment_is_found_like_any_table_and_leaves_the_content_as_it_is(snapshot):
    opened = millrace.open(snapshot.store)
    before = opened.verify()
    written = attach(snapshot)
    assert opened.attachments == (written,)
    assert opened.table("logit_lens").to_pylist() == lens()[LENS].to_pylist()
    assert opened.table("logit_lens").about("logit").error == "bfloat16"
    assert opened.attachment("logit-lens")["logit_lens"].to_pylist() == lens()[LENS].to_pylist()
    assert opened.attachments[0].provenance == {"by": "a test"}
    assert opened.tables["logit_lens"].content is False
    assert opened.verify() == before == snapshot.content


def test_the_same_kind_made_again_takes_its_place(snapshot, tmp_path):
    first, second = attach(snapshot), attach(snapshot, 2.0)
    assert first.hash != second.hash
    opened = millrace.open(snapshot.store)
    assert opened.table("logit_lens")["logit"].to_pylist() == [2.0]
    folder = tmp_path / "demo" / folder_of(snapshot.content, "logit-lens", "default")
    assert len(list(folder.iterdir())) == 2  # its manifest and its table
    assert attach(snapshot, 2.0) == second


def test_another_name_stands_beside(snapshot):
    attach(snapshot)
    attach(snapshot, 2.0, name="folded")
    opened = millrace.open(snapshot.store)
    assert [one.name for one in opened.attachments] == ["default", "folded"]
    with pytest.raises(SnapshotError, match="ask one of logit-lens/default, logit-lens/folded"):
        opened.table("logit_lens")
    assert opened.attachment("logit-lens", "folded")["logit_lens"]["logit"].to_pylist() == [2.0]


def test_an_attachment_belongs_to_the_content_it_was_made_from(snapshot):
    attach(snapshot)
    assert list_attachments(open_store(snapshot.store), "demo", "ab" * 32) == ()


@pytest.mark.parametrize(
    ("changes", "tables", "line"),
    [
        ({"final": False}, lens(), "is not final"),
        ({}, {TOTALS: TOTALS.schema.empty_table()}, "has a table 'totals' of its own"),
        ({}, {LENS: pa.table({"a": [1]})}, "has other columns than its form"),
    ],
)
def test_what_cannot_be_attached_is_refused(changes, tables, line):
    manifest = factories.run_manifest(**changes)
    with pytest.raises(SnapshotError, match=line):
        make_attachment(manifest, "lens", tables, created=NOW, provenance={})


@pytest.mark.parametrize("word", ["..", "a/b", "", "A"])
def test_names_of_attachments_are_names(snapshot, word):
    for kind, name in ((word, "default"), ("lens", word)):
        with pytest.raises(SnapshotError, match="cannot be named"):
            make_attachment(snapshot, kind, lens(), created=NOW, provenance={}, name=name)


def test_a_manifest_comes_back_and_others_are_passed_over(snapshot, tmp_path):
    written = attach(snapshot)
    assert attachment_manifest(to_json(written)) == written
    kind = tmp_path / "demo" / "attachments" / snapshot.content
    for name, body in {
        "junk": b"{",
        "elsewhere": to_json(written),
        "later": to_json(replace(written, version=3, kind="later")),
    }.items():
        (kind / name / "default").mkdir(parents=True)
        (kind / name / "default" / "manifest.json").write_bytes(body)
    assert millrace.open(snapshot.store).attachments == (written,)
