"""Rows of token ids, separators, and what is chosen of each domain, from documents to batches."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers

from producers.documents import BadDocument, Document, RefusedDocuments
from producers.domain_limits import DomainLimit, parse_domain_limit
from producers.settings import CorpusSettings
from producers.tally import CorpusTally
from streams.errors import CorpusError, SettingsError
from streams.records.corpus import TokenBatch
from streams.tokenizer.tokenizer import Tokenizer, make_tokenizer
from tests.producers.in_memory import DocumentsInMemory

BOS, EOS, UNK = 30, 31, 32


def words() -> Tokenizer:
    vocabulary = {f"w{n}": n for n in range(BOS)} | {"<s>": BOS, "</s>": EOS, "<unk>": UNK}
    made = Backend(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(["<s>", "</s>"])
    return make_tokenizer("words", made, {"bos": BOS, "eos": EOS, "pad": EOS})


WORDS = words()


def settings(**changes: Any) -> CorpusSettings:
    given = {"partitions": 1, "context": 4, "batch_rows": 100, **changes}
    return CorpusSettings("c", "words", **given)


def batches(
    documents: Any, refusals: RefusedDocuments | None = None, **changes: Any
) -> list[TokenBatch]:
    source = DocumentsInMemory(tuple(documents), refusals=refusals or RefusedDocuments())
    return list(settings(**changes).batches(WORDS, source, CorpusTally()))


def rows(
    documents: Any, refusals: RefusedDocuments | None = None, **changes: Any
) -> list[list[int]]:
    """Return the ids of every row, padding left out."""
    return [
        batch.ids[row, :length].tolist()
        for batch in batches(documents, refusals, **changes)
        for row, length in enumerate(batch.row_lengths())
    ]


def ids(*each: list[int]) -> list[Document]:
    return [Document(f"d{n}", "", "", np.array(row, np.uint32)) for n, row in enumerate(each)]


def test_rows_of_ids_stay_as_they_are():
    given = [[5, 6, 7, 8], [9], [1, 2]]
    assert rows(ids(*given)) == given
    assert rows(ids(*given), pack=True, separator="none") == [[5, 6, 7, 8], [9, 1, 2]]


@pytest.mark.parametrize(
    ("long_rows", "expected"), [("split", [[1, 2, 3, 4], [5, 6]]), ("cut", [[1, 2, 3, 4]])]
)
def test_rows_beyond_the_context_are_split_or_cut(long_rows, expected):
    assert rows(ids([1, 2, 3, 4, 5, 6]), long_rows=long_rows) == expected


def test_rows_beyond_the_context_are_refused_if_asked():
    bad: list[BadDocument] = []
    found = rows(ids([1] * 6, [2]), RefusedDocuments(True, bad.append), long_rows="refuse")
    assert found == [[2]]
    assert bad[0].cause == "its row has 6 tokens, and the context is 4"


def test_a_bos_that_rows_have_is_theirs_and_none_is_added_unless_asked():
    given = [[BOS, 1, 2, 3], [BOS, 4]]
    assert rows(ids(*given), first_id=BOS) == given
    assert settings(first_id=BOS).record(WORDS).bos_id == BOS
    assert settings(first_id=1).record(WORDS).bos_id is None
    assert rows(ids([BOS, 1, 2, 3, 4], [5]), first_id=BOS) == [
        [BOS, 1, 2, 3],
        [BOS, 4],
        [5],
    ]
    assert rows(ids([1, 2, 3, 4]), first_id=1, bos="always") == [[BOS, 1, 2, 3], [BOS, 4]]


def test_an_id_beyond_the_tokenizer_is_refused():
    with pytest.raises(CorpusError, match="holds token id 33, and the tokenizer words has 33"):
        rows(ids([33]))
    assert rows(ids([32])) == [[32]]


def test_a_long_stream_of_ids_is_cut_in_parts(monkeypatch):
    monkeypatch.setattr("producers.rows.ROWS", 2)
    stream = Document("s", "", "", np.arange(30, dtype=np.uint32), joined=True)
    found = batches([stream], long_rows="refuse")
    assert found[0].ids[:7].flatten().tolist() == list(range(28))
    assert found[0].ids[7, :2].tolist() == [28, 29]
    tally = CorpusTally()
    list(settings().batches(WORDS, DocumentsInMemory((stream,)), tally))
    assert tally.documents == 1


TEXTS = [Document("a", "x", "w1 w2"), Document("b", "y", "w3"), Document("c", "x", "w4 w5 w6")]


@pytest.mark.parametrize(
    ("separator", "expected"),
    [
        ("eos", [1, 2, EOS, 3, EOS, 4, 5, 6]),
        ("bos", [1, 2, BOS, 3, BOS, 4, 5, 6]),
        ("none", [1, 2, 3, 4, 5, 6]),
        ("w0", [1, 2, 0, 3, 0, 4, 5, 6]),
    ],
)
def test_the_separator_between_packed_documents_is_chosen(separator, expected):
    found = rows(TEXTS, pack=True, separator=separator, context=8)
    assert found == [expected]


def test_a_separator_that_text_can_become_is_read_and_not_counted():
    batch = batches(TEXTS, pack=True, separator="w0", context=8)[0]
    assert batch.mask[0].tolist() == [True, True, False, True, False, True, True, True]
    batch = batches(TEXTS, pack=True, separator="w0", context=8, count_separators=True)[0]
    assert batch.mask.all()
    assert batch.lengths is None
    batch = batches(TEXTS, pack=True, context=8, count_separators=False)[0]
    assert batch.mask[0].sum() == 6


def test_a_separator_that_is_no_token_is_refused():
    with pytest.raises(SettingsError, match="'nope' is no token of words"):
        settings(pack=True, separator="nope").record(WORDS)


def test_rows_that_differ_in_what_counts_are_different_samples():
    one, other, third = (
        batches(TEXTS, pack=True, separator=s, context=8, count_separators=c)[0]
        for s, c in (("w0", True), ("w0", False), ("none", None))
    )
    keys = {batch.keys[0].tobytes() for batch in (one, other, third)}
    assert len(keys) == 3
    other.check(100)


domains = st.lists(st.sampled_from("xyz"), max_size=30)


@given(domains, st.integers(1, 5), st.sampled_from(["documents", "rows"]))
def test_the_first_of_each_domain_are_taken(tags, number, kind):
    documents = [Document(f"d{n}", tag, "w1 w2 w3 w4 w5") for n, tag in enumerate(tags)]
    limit = DomainLimit(number, kind)
    found = batches(documents, limit_per_domain=limit)
    names = [name for batch in found for name in batch.documents]
    everything = [name for batch in batches(documents) for name in batch.documents]
    expected = []
    seen: dict[str, set[str] | list[str]] = {}
    for name in everything:
        tag = tags[int(name[1:])]
        so_far = seen.setdefault(tag, set() if kind == "documents" else [])
        if name in so_far or len(so_far) < number or kind == "rows":
            if isinstance(so_far, list):
                if len(so_far) == number:
                    continue
                so_far.append(name)
            else:
                so_far.add(name)
            expected.append(name)
    assert names == expected


def test_a_limit_per_domain_is_written_like_the_others():
    assert parse_domain_limit("200") == parse_domain_limit("200 documents") == DomainLimit(200)
    assert parse_domain_limit("1_000rows") == DomainLimit(1000, "rows")
    for wrong in ("0", "rows", "5tokens", "-1", ""):
        with pytest.raises(SettingsError, match="write 200documents or 500rows"):
            parse_domain_limit(wrong)


def test_the_choices_are_in_the_record():
    record = settings(pack=True, separator="none", limit_per_domain=DomainLimit(3)).record(WORDS)
    assert {choice.name: choice.value for choice in record.choices} == {
        "separator": "none",
        "limit_per_domain": "3documents",
    }
    assert record.fingerprint != settings(pack=True, separator="none").record(WORDS).fingerprint
    assert record.largest_id == UNK
