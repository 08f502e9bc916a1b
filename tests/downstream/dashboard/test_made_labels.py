"""Labels that programs made, on pages: shown where nobody wrote one, found, and never markup."""

import pytest

from downstream.dashboard.finding import find
from downstream.dashboard.labels import Marks
from downstream.dashboard.list_query import Query
from downstream.dashboard.listing import make_listing
from downstream.dashboard.pages import Page, run_path
from downstream.dashboard.watch import Shelf
from downstream.derived.attach import write_derived
from downstream.derived.derivation import Derived
from downstream.reading.made_labels import LABELS
from downstream.reading.snapshot import Snapshot
from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.opening import open_snapshot
from streams.snapshots.annotations import ClusterAnnotations
from tests.downstream.dashboard.snapshot_files import small, write_snapshot


@pytest.fixture
def labelled(tmp_path) -> LoadedSnapshot:
    manifest = write_snapshot(str(tmp_path), small())
    texts = ["Articles: <b>the</b>", "a cat 7"]
    rows = {"cluster": [0, 2], "label": texts, "author": ["a model", "a model"]}
    made = Derived({LABELS: LABELS.table(rows)}, {})
    write_derived("labels", Snapshot(manifest), made, created="2031-05-06", name="model")
    return open_snapshot(manifest)


def test_a_made_label_is_found_but_a_number_is_not_looked_for_in_it(labelled) -> None:
    clustering = labelled.clusterings[0]
    assert find(labelled, clustering, "label:ARTICLES").keep.tolist() == [True, *[False] * 4]
    assert find(labelled, clustering, "label:cat").keep.tolist() == [
        False,
        False,
        True,
        *[False] * 2,
    ]
    assert not find(labelled, clustering, "label:7").keep.any()
    assert find(labelled, labelled.clusterings[1], "label:cat").keep.sum() == 0


def test_what_people_wrote_stands_in_its_place(labelled) -> None:
    clustering = labelled.clusterings[0]
    marks = Marks({0: ClusterAnnotations(label="determiner")})
    rows = make_listing(labelled, clustering, Query(), marks=marks).rows
    assert (rows[0].written.label, rows[0].made.text) == ("determiner", "Articles: <b>the</b>")
    assert rows[1].made is None
    assert make_listing(labelled, clustering, Query(marked="labelled"), marks=marks).found == 1


def test_pages_and_their_json_say_who_made_it(labelled) -> None:
    shelf = Shelf({"demo": labelled})
    page = run_path(shelf, "/runs/demo/features%2Fsae/2", {})
    assert isinstance(page, Page)
    assert page.values["called"] == "a cat 7"
    assert page.data()["cluster"]["made"] == {"text": "a cat 7", "author": "a model"}
    listed = run_path(shelf, "/runs/demo/features%2Fsae/", {})
    assert isinstance(listed, Page)
    assert listed.data()["listing"]["rows"][0]["made"]["author"] == "a model"
