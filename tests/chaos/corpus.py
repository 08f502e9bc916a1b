"""A corpus with everything in it that may come along: repeats, doubles, poison and junk."""

import random
from dataclasses import dataclass, replace

import numpy as np

from streams import topics
from streams.catalog.corpora import corpus_key, vocabulary_key
from streams.catalog.runs import put_run
from streams.records.corpus import CorpusRecord, PartitionEnd, TokenBatch, Vocabulary, sample_keys
from streams.records.runs import RunRecord
from streams.transport.client import Client
from streams.wire import codec
from tests.factories import VOCABULARY, clustering, run_record, source
from tests.published import WORDS, kind_and_sequence

ROWS = 8
CONTEXT = 16


@dataclass(frozen=True)
class Written:
    """What was put on the broker: batches of the corpus, and how many records are no good."""

    batches: int
    poison: int
    junk: int


def chaos_run(name: str, store: str, shards: int = 4, partitions: int = 4) -> RunRecord:
    """Return a run of 60 single features and some overlapping clusters."""
    groups = {f"g{n}": [(0, n), (0, n + 3), (0, (n * 7) % 60)] for n in range(1, 12)}
    distinct = {label: sorted(set(members)) for label, members in groups.items()}
    return run_record(
        name=name,
        corpus=f"{name}-text",
        partitions=partitions,
        context=CONTEXT,
        sources=(source(components=60, coactivation=True),),
        clusterings=(clustering(distinct),),
        shards=shards,
        store=store,
        k=20,
        bucket_bytes=200_000,
        record_bytes=2 * 2**20,
    )


def write(client: Client, run: RunRecord, batches: int, seed: int, poison: float = 0.01) -> Written:
    """Publish a sealed corpus and the run over it; 1 % of the batches are poison by default."""
    chance = random.Random(seed)
    draw = np.random.default_rng(seed)
    client.create_topics([*topics.SHARED, topics.tokens(run.corpus, run.partitions)])
    name = topics.tokens(run.corpus, run.partitions).name
    bad = junk = 0
    sequences = [0] * run.partitions
    recent: list[tuple[int, bytes, int]] = []
    with client.sender() as sender:
        for number in range(batches):
            partition = number % run.partitions
            sequence = sequences[partition]
            sequences[partition] += 1
            value = codec.encode(_batch(draw, run.corpus, partition, sequence))
            if chance.random() < poison:
                value = _spoiled(value, chance)
                bad += 1
            headers = kind_and_sequence(topics.BATCH, sequence)
            sender.send(name, partition, value, headers=headers)
            recent = [*recent[-5:], (partition, value, sequence)]
            if chance.random() < 0.02:  # a producer that resumed writes some again
                for again, old, at in recent:
                    headers = kind_and_sequence(topics.BATCH, at)
                    sender.send(name, again, old, headers=headers)
            if chance.random() < poison / 2:  # bytes that name no sequence are no part of it
                sender.send(name, partition, chance.randbytes(50))
                junk += 1
        for partition, count in enumerate(sequences):
            end = codec.encode(PartitionEnd(run.corpus, partition, count, 0, 0))
            sender.send(name, partition, end, headers=kind_and_sequence(topics.END, count))
        _describe(sender, run, batches)
        sender.flush()
    put_run(client, run)
    return Written(batches, bad, junk)


def _describe(sender: object, run: RunRecord, batches: int) -> None:
    record = CorpusRecord(
        run.corpus, run.partitions, "none", "none", VOCABULARY, CONTEXT, ROWS, False, None, 0, (),
        sealed=True, batches=batches,
    )  # fmt: skip
    vocabulary = codec.encode(Vocabulary(run.corpus, WORDS))
    sender.send("corpora", 0, codec.encode(record), key=corpus_key(run.corpus))  # type: ignore[attr-defined]
    sender.send("corpora", 0, vocabulary, key=vocabulary_key(run.corpus))  # type: ignore[attr-defined]


def _batch(draw: np.random.Generator, corpus: str, partition: int, sequence: int) -> TokenBatch:
    ids = draw.integers(0, VOCABULARY, (ROWS, CONTEXT)).astype(np.uint32)
    if draw.random() < 0.3:
        ids[0] = np.arange(CONTEXT) % VOCABULARY  # the same context again and again
    mask = np.arange(CONTEXT) < draw.integers(1, CONTEXT + 1, ROWS)[:, None]
    return TokenBatch(
        corpus, partition, sequence, ids, mask,
        sample_keys("none", ids, mask),
        tuple(f"{partition}/{sequence}/{row}" for row in range(ROWS)), ("",) * ROWS,
    )  # fmt: skip


def _spoiled(value: bytes, chance: random.Random) -> bytes:
    """Return a batch that cannot be processed, in one of several ways."""
    batch = codec.decode(TokenBatch, value)
    outside = batch.ids.copy()
    outside[0, 0] = VOCABULARY + 7
    choices = (
        value[: len(value) // 2],
        chance.randbytes(len(value)),
        b"\x63" + value[1:],
        codec.encode(replace(batch, ids=outside)),
        codec.encode(replace(batch, mask=batch.mask[:, 1:])),
        b"",
    )
    return chance.choice(choices)
