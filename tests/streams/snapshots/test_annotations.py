import random
from dataclasses import replace

import pytest

import millrace
from streams.errors import SnapshotError
from streams.snapshots.annotations import Annotation, folded, read_annotations, write_annotation
from streams.snapshots.store import open_store
from tests.downstream.dashboard.snapshot_files import small, write_snapshot


def note(text="modal verbs", kind="label", author="ann", minute=0, label="88", **changes):
    at = f"2031-05-06T07:{minute:02}:09+00:00"
    return Annotation("demo", "features/sae", 0, label, kind, text, author, at, **changes)


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path))


def test_the_last_word_of_an_author_holds_and_an_empty_one_takes_it_back():
    log = [
        note("a", minute=1),
        note("b", minute=2, author="bob"),
        note("c", minute=3),
        note("yes", "star", minute=4),
        note("see x", "note", minute=5),
        note("", author="bob", minute=6),
        note("", "star", minute=7),
    ]
    found = folded(log).of("features/sae", 0, "88")
    assert (found.label, found.stars) == ("c", ())
    assert [one.text for one in found.notes] == ["see x"]
    assert folded(log).of("features/sae", 1, "88").label == ""


def test_the_order_in_which_entries_are_found_does_not_matter():
    log = [note(str(n), minute=n, author="ab"[n % 2]) for n in range(9)]
    shuffled = random.Random(3).sample(log, len(log))
    assert folded(shuffled) == folded(log)
    assert folded([*log, *log]).now == folded(log).now


def test_what_was_written_is_read_through_the_reader_and_outlives_a_snapshot(tmp_path, store):
    write_snapshot(str(tmp_path), small())
    write_annotation(store, note())
    for snapshot in ("final", "noon"):
        write_snapshot(str(tmp_path), small(), snapshot=snapshot, final=snapshot == "final")
        opened = millrace.open(str(tmp_path), snapshot=snapshot)
        assert opened.annotations.of("features/sae", 0, "88").label == "modal verbs"
    assert opened.annotations.log == (note(),)


def test_the_log_only_grows_and_a_repeat_changes_nothing(tmp_path, store):
    paths = [write_annotation(store, one) for one in (note(), note(), note("other", minute=1))]
    assert len(set(paths)) == 2
    assert [one.text for one in read_annotations(store, "demo").log] == ["modal verbs", "other"]


def test_runs_do_not_see_each_others(store):
    write_annotation(store, note())
    assert read_annotations(store, "elsewhere").log == ()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"run": "../x"}, "unreadable annotation: run"),
        ({"kind": "vote"}, "unreadable annotation: kind"),
        ({"text": "x" * 2**17}, "unreadable annotation: text"),
        ({"iteration": -1}, "unreadable annotation: iteration"),
        ({"at": "yesterday"}, "no ISO 8601"),
        ({"at": "2031-05-06T07:08:09"}, "needs an offset from UTC"),
    ],
)
def test_what_cannot_be_an_annotation_is_refused(store, changes, line):
    with pytest.raises(SnapshotError, match=line):
        write_annotation(store, replace(note(), **changes))


def test_entries_that_cannot_be_read_are_passed_over(tmp_path, store):
    write_annotation(store, note())
    folder = tmp_path / "demo" / "annotations"
    (folder / f"20310506T070809.000000Z-{'0' * 16}.json").write_bytes(b"{")
    (folder / "readme.txt").write_bytes(b"hello")
    assert len(read_annotations(store, "demo").log) == 1
