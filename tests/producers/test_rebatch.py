"""A corpus in batches of another size is what producing with that size makes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.activations.standin import StandInEngine
from consumers.oracle.oracle import Oracle
from producers.progress import Silent
from producers.publish import produce
from producers.rebatch import rebatch_corpus, regrouped, stored_batches
from streams import topics
from streams.catalog.corpora import get_corpus, get_vocabulary
from streams.errors import CorpusError, SettingsError
from streams.records.corpus import CorpusRecord
from streams.tokenizer.loading import load_tokenizer
from streams.transport.client import Client
from streams.wire import codec
from tests import factories
from tests.producers.conftest import new_client
from tests.producers.test_publish import (
    DOCUMENTS,
    Heard,
    broken_off,
    corpus_settings,
    log,
    produced,
)

PLACES = {"partition", "sequence", "row", "document"}  # a sample that repeats is shown at one place


def rebatched(client: Client, rows: int = 7, partitions: int | None = 3) -> CorpusRecord:
    return rebatch_corpus(client, "text", "new", rows, partitions, Silent())


def contents(client: Client, partitions: int) -> list[list[tuple[Any, bytes | None]]]:
    return [[(r.headers, r.value) for r in log(client, p, "new")] for p in range(partitions)]


@settings(max_examples=15)
@given(
    old=st.integers(1, 9),
    rows=st.integers(1, 40),
    partitions=st.integers(1, 4),
    pack=st.booleans(),
    count=st.booleans(),
)
def test_it_is_what_producing_with_that_size_makes(folder, old, rows, partitions, pack, count):
    client, other = new_client(), new_client()
    how = {"pack": pack, "count_separators": count if pack else None}
    produced(folder, client, batch_rows=old, **how)
    found = rebatched(client, rows, partitions)
    wanted = replace(
        corpus_settings(folder, batch_rows=rows, partitions=partitions, **how), name="new"
    )
    expected = produce(other, wanted, load_tokenizer(folder), DOCUMENTS, Silent())
    assert found == replace(expected, fingerprint=found.fingerprint)
    assert contents(client, partitions) == contents(other, partitions)
    assert get_vocabulary(client, "new") == get_vocabulary(other, "new")


def test_a_run_over_it_has_the_same_tables_but_for_places(folder, client):
    record = produced(folder, client)
    assert len(list(stored_batches(client, record))) > 4
    found = list[dict[str, Any]]()
    for corpus in (record, rebatched(client)):
        run = factories.run_record(context=corpus.context, partitions=corpus.partitions)
        plan = factories.plan(
            context=corpus.context,
            partitions=corpus.partitions,
            model=replace(run.model, vocabulary=corpus.vocabulary),
        )
        oracle = Oracle(plan, StandInEngine(plan, density=0.2))
        for batch in stored_batches(client, corpus):
            oracle.add(batch)
        words = get_vocabulary(client, corpus.name)
        found.append(oracle.tables(words.tokens, words.forms))
    first, second = found
    assert first.keys() == second.keys()
    assert len(first["hits"]) > 20
    for name in first.keys() - {"totals"}:
        same = [column for column in first[name].column_names if column not in PLACES]
        tables = [each[name].select(same) for each in found]
        if name == "samples":  # by place
            tables = [each.sort_by("sample") for each in tables]
        assert tables[0].equals(tables[1]), name
    for name in ("tokens", "rows"):
        assert first["totals"][name] == second["totals"][name]


@settings(max_examples=10)
@given(kept=st.tuples(*[st.integers(0, 9)] * 3))
def test_what_broke_off_anywhere_is_finished_with_the_same_log(folder, kept):
    whole, broken = new_client(), new_client()
    for client in (whole, broken):
        produced(folder, client)
    expected = rebatched(whole)
    broken.create_topics([topics.tokens("new", 3)])
    draft = replace(expected, sealed=False, batches=0, rows=0, tokens=0, documents=0)
    with broken.sender() as sender:
        words = get_vocabulary(whole, "new")
        sender.send("corpora", 0, codec.encode(words), key=b"new/vocabulary")
        sender.send("corpora", 0, codec.encode(draft), key=b"new")
        for partition, number in enumerate(kept):
            for record in log(whole, partition, "new")[:number]:
                sender.send("tokens.new", partition, record.value, headers=record.headers)
    assert rebatched(broken) == expected
    assert contents(broken, 3) == contents(whole, 3)


def test_what_is_there_stays_and_says_so(folder, client):
    produced(folder, client)
    record, before, heard = rebatched(client), contents(client, 3), Heard()
    assert rebatch_corpus(client, "text", "new", 7, 3, heard) == record
    assert heard.said == ["corpus new is complete already: nothing to do"]
    assert contents(client, 3) == before
    with pytest.raises(CorpusError, match=r"exists with other settings \(.*batch_rows 7, now 8"):
        rebatched(client, 8)
    with pytest.raises(CorpusError, match="corpus text exists with other settings"):
        rebatch_corpus(client, "new", "text", 4, 2, Silent())


def test_progress_counts_all_rows_and_partitions_are_the_others_by_default(folder, client):
    record, heard = produced(folder, client), Heard()
    found = rebatch_corpus(client, "text", "new", 5, None, heard)
    assert (heard.rows, heard.tokens) == (record.rows, record.tokens)
    assert (found.rows, found.tokens, found.documents) == (
        record.rows,
        record.tokens,
        record.documents,
    )
    assert (found.partitions, found.batch_rows) == (record.partitions, 5)


def test_what_cannot_be_rebatched_is_refused_before_anything_is_written(folder, client):
    with pytest.raises(CorpusError, match="no corpus 'text'"):
        rebatched(client)
    broken_off(folder, client)
    with pytest.raises(CorpusError, match="corpus text is not complete yet"):
        rebatched(client)
    produced(folder, client)
    with pytest.raises(SettingsError, match="text stays as it is: take another name"):
        rebatch_corpus(client, "text", "text", 7, None, Silent())
    with pytest.raises(SettingsError, match="9,999,999 rows of 8 tokens are more than"):
        rebatched(client, 9_999_999)
    with pytest.raises(SettingsError, match="not a usable name"):
        rebatch_corpus(client, "text", "a b", 7, None, Silent())
    assert "tokens.new" not in client.topics()


def test_a_corpus_that_lost_records_is_never_sealed(folder, client):
    record = produced(folder, client)
    kept = [log(client, partition) for partition in range(2)]
    client.delete_topics(["tokens.text"])
    with pytest.raises(CorpusError, match=r"topic tokens\.text of corpus text is missing"):
        rebatched(client)
    client.create_topics([topics.tokens("text", record.partitions)])
    with client.sender() as sender:
        for partition in range(2):
            for number, stored in enumerate(kept[partition]):
                if (partition, number) != (1, 1):
                    sender.send("tokens.text", partition, stored.value, headers=stored.headers)
    with pytest.raises(CorpusError, match="partition 1 of corpus text is not whole"):
        rebatched(client)
    assert not get_corpus(client, "new").sealed


def test_rows_of_different_lengths_are_not_put_together():
    batches = [factories.batch(np.ones((2, width)), [width] * 2) for width in (3, 4)]
    with pytest.raises(CorpusError, match="corpus text has rows of different lengths"):
        list(regrouped(batches, 3))
    assert [batch.ids.shape for batch in regrouped(batches, 2)] == [(2, 3), (2, 4)]
