import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.documents import Document
from producers.rows import Cut, Rows, first_tokens
from producers.tokenised import Tokenised
from streams.errors import SettingsError

PAD, BOS, EOS = 0, 1, 2
texts = st.lists(st.lists(st.integers(3, 40), max_size=30), max_size=8)
cuts = st.builds(
    Cut,
    context=st.integers(2, 9),
    pad=st.just(PAD),
    bos=st.sampled_from([None, BOS]),
    pack=st.booleans(),
    separator=st.sampled_from([None, BOS, EOS]),
)


def tokenised(ids_of_each: list[list[int]]) -> list[Tokenised]:
    return [
        Tokenised(Document(f"d{n}", "even" if n % 2 == 0 else "", ""), np.array(ids, np.uint32))
        for n, ids in enumerate(ids_of_each)
    ]


def joined(chunks: list[Rows]) -> list[tuple[str, str, list[int]]]:
    """Return (document, domain, valid ids) of every row."""
    found = []
    for rows in chunks:
        for row, mask in enumerate(rows.mask):
            assert np.all(np.diff(mask.astype(int)) <= 0), "padding is only at the end"
            assert np.all(rows.ids[row][~mask] == PAD)
            name, domain = rows.documents[row], rows.domains[row]
            found.append((name, domain, rows.ids[row][mask].tolist()))
    return found


def rows_of(cut: Cut, ids_of_each: list[list[int]]) -> list[tuple[str, str, list[int]]]:
    return joined(list(cut.rows(tokenised(ids_of_each))))


@given(texts, cuts)
def test_every_row_begins_with_the_one_bos_and_holds_text(ids_of_each, cut):
    for _, _, ids in rows_of(cut, ids_of_each):
        assert len(ids) <= cut.context
        if cut.bos is None:
            assert ids
        else:
            assert ids[0] == BOS
            assert ids[1:]
            assert ids[1] != BOS


@given(texts, cuts.filter(lambda cut: not cut.pack))
def test_the_rows_of_a_document_put_together_are_the_document(ids_of_each, cut):
    skipped = 0 if cut.bos is None else 1
    together: dict[str, list[int]] = {}
    for name, domain, ids in rows_of(cut, ids_of_each):
        assert domain == ("even" if int(name[1:]) % 2 == 0 else "")
        together.setdefault(name, []).extend(ids[skipped:])
    assert together == {f"d{n}": ids for n, ids in enumerate(ids_of_each) if ids}


@given(texts, cuts.filter(lambda cut: not cut.pack))
def test_only_the_last_row_of_a_document_is_short(ids_of_each, cut):
    rows = rows_of(cut, ids_of_each)
    for (name, _, ids), (following, _, _) in itertools.pairwise(rows):
        assert len(ids) == cut.context or name != following


@given(texts, cuts.filter(lambda cut: cut.pack))
def test_packed_rows_put_together_are_all_documents_with_separators_between(ids_of_each, cut):
    rows = rows_of(cut, ids_of_each)
    skipped = 0 if cut.bos is None else 1
    found = [token for _, _, ids in rows for token in ids[skipped:]]
    expected: list[int] = []
    for ids in filter(None, ids_of_each):
        expected += [cut.separator] if expected and cut.separator is not None else []
        expected += ids
    if cut.bos is not None and cut.bos == cut.separator:
        # a separator at the beginning of a row is its BOS and is not written twice
        found = [token for token in found if token != cut.separator]
        expected = [token for token in expected if token != cut.separator]
    assert found == expected
    assert all(len(ids) == cut.context for _, _, ids in rows[:-1])


@given(texts, cuts)
def test_every_document_with_text_begins_once(ids_of_each, cut):
    begun = sum(int(rows.begun.sum()) for rows in cut.rows(tokenised(ids_of_each)))
    assert begun == sum(map(bool, ids_of_each))


def test_a_packed_row_carries_the_document_of_its_first_text():
    cut = Cut(context=4, pad=PAD, pack=True, separator=EOS)
    rows = rows_of(cut, [[10, 11, 12, 13], [20, 21, 22], [30]])
    assert rows == [
        ("d0", "even", [10, 11, 12, 13]),
        ("d1", "", [EOS, 20, 21, 22]),
        ("d2", "even", [EOS, 30]),
    ]


@given(texts, cuts, st.integers(1, 60))
def test_a_limit_of_tokens_keeps_whole_rows_until_it_is_reached(ids_of_each, cut, limit):
    everything = rows_of(cut, ids_of_each)
    kept = joined(list(first_tokens(cut.rows(tokenised(ids_of_each)), limit)))
    assert kept == everything[: len(kept)]
    counts = [len(ids) for _, _, ids in kept]
    assert sum(counts[:-1]) < limit
    assert sum(counts) >= limit or kept == everything


def test_a_context_without_room_for_text_is_refused():
    with pytest.raises(SettingsError, match="take 2 or more"):
        Cut(context=1, pad=PAD, bos=BOS)
