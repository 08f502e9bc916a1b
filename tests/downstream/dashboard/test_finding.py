"""Finding features by what they do, against looking through every example."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downstream.dashboard.finding import find
from downstream.dashboard.list_query import Query, query_of
from downstream.dashboard.listing import make_listing, matching
from downstream.dashboard.pages import Moved, Page, run_path
from downstream.dashboard.search_words import wanted_of
from downstream.dashboard.watch import Shelf
from downstream.rendering.contexts import top_contexts
from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.text_index import TextIndex, match_expression


@pytest.fixture
def ready(snapshot: LoadedSnapshot) -> LoadedSnapshot:
    """The small snapshot, whose text can be searched."""
    assert snapshot.text_index.wait(20)
    return snapshot


def labels(snapshot: LoadedSnapshot, search: str, at: int = 0) -> list[str]:
    listing = make_listing(snapshot, snapshot.clusterings[at], Query(search=search))
    return [row.label for row in listing.rows]


@pytest.mark.parametrize("word", ["the", "cat", "script", "café", "鳥", "naïve", "nowhere"])
def test_counts_are_those_of_looking_at_every_example(ready: LoadedSnapshot, word: str) -> None:
    clustering = ready.clusterings[0]
    by_token = find(ready, clustering, f"token:{word}")
    by_text = find(ready, clustering, f"text:{word}")
    for cluster in range(clustering.first, clustering.stop):
        contexts = top_contexts(ready, cluster, "maximum", 99)
        peaks = [context.tokens[context.peak].raw.decode(errors="replace") for context in contexts]
        assert by_token.why(cluster)[0] == sum(peak.strip() == word for peak in peaks)
        texts = [b"".join(token.raw for token in context.tokens).decode() for context in contexts]
        assert by_text.why(cluster)[1] == sum(word in text for text in texts)
    assert (by_token.keep == (by_token.peaks > 0)).all()
    assert (by_text.keep == (by_text.texts > 0)).all()


def test_a_word_is_looked_for_everywhere_and_the_best_match_is_first(ready: LoadedSnapshot) -> None:
    assert labels(ready, "the")[0] == "0"  # it alone peaks at "the"
    assert labels(ready, "token:THE") == ["0"]
    assert labels(ready, "token:the text:purred") == ["0"]
    assert labels(ready, "token:the text:nowhere") == []
    assert labels(ready, "2")[0] == "2"  # the feature of that number
    assert labels(ready, "label:nobody", 1) == ["nobody"]
    listing = make_listing(ready, ready.clusterings[0], Query(search="the"))
    assert listing.searchable
    assert listing.rows[0].why[0] > 0
    assert {peak.text for peak in listing.rows[0].peaks} <= {"the", " the"}


def test_filters_combine_with_a_search_and_live_in_the_address(ready: LoadedSnapshot) -> None:
    query = query_of({"q": "the", "max_from": "2.5", "density_to": "0.9", "show": "live"})
    clustering = ready.clusterings[0]
    again = query_of({key: str(value) for key, value in query.address().items()})
    assert again == query
    everything = set(matching(ready, clustering, Query(search="the")).tolist())
    found = set(matching(ready, clustering, query).tolist())
    assert found == {
        c for c in everything if ready.high[c] >= 2.5 and ready.densities[c] <= 0.9
    } & set(matching(ready, clustering, Query(show="live")).tolist())
    assert found


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "-inf", "1e999", "1,5", "9" * 99])
def test_a_senseless_bound_counts_as_not_said(text: str) -> None:
    bound = query_of({"max_from": text}).bound("max")
    assert query_of({"max_from": text}) == Query() or bound.low == float(text[:40])


def test_a_number_leads_to_its_feature_and_random_to_one_that_fires(ready: LoadedSnapshot) -> None:
    shelf = Shelf({"demo": ready})
    there = run_path(shelf, "/runs/demo/features/sae/", {"q": "2", "go": "find"})
    assert there == Moved("/runs/demo/features/sae/2", for_good=False)
    for _ in range(5):
        page = run_path(shelf, "/runs/demo/features/sae/", {"go": "random", "max_from": "3"})
        assert isinstance(page, Moved)
        assert page.address.partition("?")[0].rpartition("/")[2] in ("0", "2")
    nothing = run_path(shelf, "/runs/demo/features/sae/", {"go": "random", "max_from": "1e9"})
    assert isinstance(nothing, Page)


def test_next_and_previous_follow_the_order_of_the_list(ready: LoadedSnapshot) -> None:
    asked = {"sort": "max", "down": "1", "show": "live"}
    order = matching(ready, ready.clusterings[0], query_of(asked)).tolist()
    assert order != sorted(order)
    for at, cluster in enumerate(order):
        address = f"/runs/demo/features/sae/{ready.label(cluster)}"
        page = run_path(Shelf({"demo": ready}), address, asked)
        assert isinstance(page, Page)
        beside = [order[at - 1] if at else None, order[at + 1] if at + 1 < len(order) else None]
        expected = [None if one is None else ready.label(one) for one in beside]
        assert [page.values["page"].previous, page.values["page"].next] == expected


@given(st.text(max_size=30))
def test_nothing_in_a_search_is_syntax(search: str) -> None:
    assert INDEX.wait(20)
    INDEX.find(search)
    assert match_expression(search).count('"') % 2 == 0
    wanted_of(search)


INDEX = TextIndex(lambda: iter(["import os", "the for loop, the loop", "naïve café", 'a "b" OR c']))


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("import", [0]), ("IMPORT OS", [0]), ('"for loop"', [1]), ('"loop for"', []),
        ("loop for", [1]), ("naive", [2]), ("imp*", [0]), ("imp", []), ("b OR import", []),
        ("b OR c", [3]), ("NEAR(a b)", []), ("-", []), ("", []),
    ],
)  # fmt: skip
def test_words_and_phrases_are_found(search: str, found: list[int]) -> None:
    assert INDEX.wait(20)
    assert INDEX.find(search).tolist() == found
