"""What the benchmarks run on is what they say it is."""

import warnings

import numpy as np
import pytest

from benchmarks.shapes import Shape, batches, build, publish, token_rows
from streams import topics
from streams.catalog.corpora import get_corpus, get_vocabulary
from streams.records.corpus import TokenBatch, sample_keys
from streams.transport.memory.broker import forget
from streams.transport.memory.client import MemoryClient
from streams.wire import codec

TINY = Shape("tiny", 2, 32, 4, 200, 1, 256, context=32)
L0 = 20.0


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(TINY, tmp_path_factory.mktemp("shapes"), l0=L0)


def features_of(built, ids):
    """Return the features [token, feature], by transformer-lens and SAELens themselves."""
    from benchmarks.bare import Bare

    bare = Bare(built)
    return bare.encode(bare.hooked(ids)).flatten(0, 1).numpy()


def test_calibrated_features_fire_as_often_as_wanted_on_other_text(built):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = features_of(built, token_rows(TINY, 256, seed=99))
    fired = found > 0
    assert L0 * 0.95 < fired.sum(axis=1).mean() < L0 * 1.05
    densities = fired.mean(axis=0)
    assert densities.max() < 0.3
    # Log-normal: the logarithms of the densities spread, and the mean lies far above the median.
    assert 0.8 < np.log(densities[densities > 0]).std() < 1.8
    assert densities.mean() > 1.2 * np.median(densities)
    assert 0.5 < found[fired].mean() < 2


def test_what_is_there_is_not_built_again_and_another_l0_is(built):
    folder = built.model.parents[1]
    before = (built.model / "model.safetensors").stat().st_mtime_ns
    assert build(TINY, folder, l0=L0) == built
    assert (built.model / "model.safetensors").stat().st_mtime_ns == before
    build(TINY, folder, l0=L0 + 1)
    assert (built.model / "model.safetensors").stat().st_mtime_ns != before


def test_the_first_rows_of_more_rows_are_the_same_rows():
    many = token_rows(TINY, 1500, seed=1)
    assert many.dtype == np.int32
    assert many.shape == (1500, TINY.context)
    assert 0 <= many.min() <= many.max() < TINY.vocabulary
    np.testing.assert_array_equal(token_rows(TINY, 70, seed=1), many[:70])
    assert (token_rows(TINY, 70, seed=2) != many[:70]).any()


def test_text_has_frequent_words_and_phrases_that_come_again():
    shape = Shape("words", 2, 32, 4, 5000, 1, 256)
    ids = token_rows(shape, 512, seed=1)
    counts = np.sort(np.bincount(ids.ravel(), minlength=5000))[::-1]
    assert counts[:50].sum() > 0.25 * counts.sum()
    mixed = np.random.default_rng(0).permutation(ids.ravel()).reshape(ids.shape)
    assert repeated(ids) > repeated(mixed) + 0.05


def repeated(ids):
    """Return the share of sequences of five tokens that were there before."""
    grams = np.lib.stride_tricks.sliding_window_view(ids, 5, axis=1).reshape(-1, 5)
    return 1 - len(np.unique(grams, axis=0)) / len(grams)


def test_batches_are_published_as_a_sealed_corpus():
    forget("bench-shapes")
    client = MemoryClient("bench-shapes")
    record = publish(client, TINY, 70, 32, corpus="some", partitions=2)
    assert record == get_corpus(client, "some")
    assert (record.sealed, record.rows, record.tokens, record.batches) == (True, 70, 70 * 32, 3)
    assert len(get_vocabulary(client, "some").tokens) == TINY.vocabulary
    found = [
        codec.decode(TokenBatch, stored.value)
        for partition in range(2)
        for stored in client.read("tokens.some", partition)
        if dict(stored.headers)[topics.KIND] == topics.BATCH
    ]
    given = sorted(
        batches(TINY, 70, 32, corpus="some", partitions=2), key=lambda b: (b.partition, b.sequence)
    )
    assert [(b.partition, b.sequence) for b in found] == [(0, 0), (0, 1), (1, 0)]
    for one, other in zip(found, given, strict=True):
        np.testing.assert_array_equal(one.ids, other.ids)
        np.testing.assert_array_equal(one.keys, sample_keys("benchmark", one.ids, one.mask))
    rows = np.concatenate([found[0].ids, found[2].ids, found[1].ids])
    np.testing.assert_array_equal(rows, token_rows(TINY, 70, seed=1))
    forget("bench-shapes")
