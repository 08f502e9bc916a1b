"""How long the final snapshot of a run takes, part by part, on generated states."""

import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from consumers.shards import new_bucket
from consumers.snapshots import assemble_ready, write_shard
from dataclasses import replace
from streams import codec, topics
from streams.catalog import corpus_key, vocabulary_key
from streams.corpus import CorpusRecord, PartitionEnd, TokenBatch, Vocabulary
from streams.hits import Hits
from streams.plan import make_plan
from streams.runs import Model, RunRecord, Source
from streams.transport.connect import connect


def run_record(store, clusters, vocabulary, partitions=4, shards=4, k=100):
    return RunRecord(
        name="snap", corpus="snap-text", partitions=partitions, context=128,
        model=Model("none", "0", vocabulary),
        sources=(Source(name="sae", kind="dictionary", location="none", content="0", hook="h", components=clusters),),
        clusterings=(), shards=shards, store=store, k=k)


def corpus(rows, vocabulary, partitions=4, batch_rows=64, context=128):
    random = np.random.default_rng(0)
    batches = []
    for j in range(rows // batch_rows):
        ids = random.integers(0, vocabulary, (batch_rows, context)).astype(np.uint32)
        batches.append(TokenBatch("snap-text", j % partitions, j // partitions, ids, np.ones(ids.shape, bool),
            random.integers(0, 256, (batch_rows, 16)).astype(np.uint8),
            tuple(f"doc-{j}-{r}" for r in range(batch_rows)), ("",) * batch_rows))
    return batches


def publish(client, run, batches, vocabulary):
    client.create_topics([*topics.SHARED, topics.tokens(run.corpus, run.partitions)])
    record = CorpusRecord(run.corpus, run.partitions, "none", "none", vocabulary, run.context, 64, False, None, 0, (), sealed=True, batches=len(batches))
    name = topics.tokens(run.corpus, run.partitions).name
    with client.sender() as sender:
        sender.send("corpora", 0, codec.encode(record), key=corpus_key(run.corpus))
        sender.send("corpora", 0, codec.encode(Vocabulary(run.corpus, tuple(b"w%d" % i for i in range(vocabulary)))), key=vocabulary_key(run.corpus))
        for b in batches:
            sender.send(name, b.partition, codec.encode(b), headers=((topics.KIND, topics.BATCH), (topics.SEQUENCE, str(b.sequence).encode())))
        for p in range(run.partitions):
            count = sum(b.partition == p for b in batches)
            sender.send(name, p, codec.encode(PartitionEnd(run.corpus, p, count, 0, 0)), headers=((topics.KIND, topics.END), (topics.SEQUENCE, str(count).encode())))
        sender.flush()


def states(plan, batches, rows, entries=2.0):
    keys = np.concatenate([b.keys for b in batches])
    place = np.concatenate([[(b.partition, b.sequence, r) for r in range(len(b.ids))] for b in batches])
    halves = keys.view(">u8").astype(np.uint64)
    made = {s: [] for s in range(plan.run.shards)}
    k = min(plan.run.k, rows)
    for shard in made:
        for bucket in plan.buckets_of(shard):
            random = np.random.default_rng(bucket)
            n = len(plan.clusters_of(bucket))
            which = np.argsort(random.random((n, rows)), axis=1)[:, :k].reshape(-1)
            score = -np.sort(-random.random((n, k)).astype(np.float32) * 4 - 0.1, axis=1).reshape(-1)
            length = random.geometric(1 / entries, n * k).clip(max=100).astype(np.int32)
            total = int(length.sum())
            first = np.cumsum(length) - length
            position = (random.integers(0, 128 - 100, n * k).repeat(length) + np.arange(total) - first.repeat(length)).astype(np.int32)
            value = (score.repeat(length) * random.random(total)).astype(np.float32)
            value[first] = score
            hits = Hits(table=np.arange(n).repeat(k).astype(np.uint32), score=score,
                sample_high=halves[which, 0], sample_low=halves[which, 1], peak=position[first],
                partition=place[which, 0].astype(np.int32), sequence=place[which, 1], row=place[which, 2].astype(np.int32),
                rows=length, member=np.zeros(total, np.int32), position=position, value=value)
            empty = new_bucket(plan, shard, bucket)
            counts = random.integers(0, 1000, empty.counts.shape)
            chain = np.array([sum(b.partition == p for b in batches) for p in range(plan.run.partitions)])
            made[shard].append(replace(empty, hits=hits, counts=counts, chain=chain - 1, batches=chain, tokens=rows * 128, rows=rows,
                low=np.full(n, .1, np.float32), high=np.full(n, 4, np.float32)))
    return made


def through_writer(plan, st, broker):
    import asyncio
    from consumers.progress import Progress
    from consumers.shard_writer import ShardWriter
    from consumers.snapshots import final_manifest
    parts = []
    class P(Progress):
        __slots__ = ()
        def wrote_part(self, s):
            super().wrote_part(s); parts.append((time.perf_counter() - t0, s))
    async def go():
        progress = P()
        def failed(e): raise e
        w = ShardWriter(plan, broker, failed, progress)
        task = asyncio.ensure_future(w.assemble_forever())
        await asyncio.sleep(0.01)
        w.owned(range(plan.run.shards))
        for shard, s in st.items():
            w.write_final(shard, s)
        slow = 0
        while progress.done.parts < plan.run.shards + 1:
            t = time.perf_counter(); await asyncio.sleep(0.001); slow = max(slow, time.perf_counter() - t)
        task.cancel()
        return slow
    t0 = time.perf_counter()
    slow = asyncio.run(go())
    print("writer", round(time.perf_counter() - t0, 3), [tuple(round(x, 3) for x in p) for p in parts], "loop blocked", round(slow, 4))


def main():
    clusters, rows, vocabulary = map(int, sys.argv[1:4])
    for round_ in range(3):
        folder = tempfile.mkdtemp()
        broker = f"memory://snap{round_}"
        client = connect(broker)
        run = run_record(folder, clusters, vocabulary)
        plan = make_plan(run)
        batches = corpus(rows, vocabulary)
        publish(client, run, batches, vocabulary)
        if not round_: st = states(plan, batches, rows)
        st = {k: [replace(s, run=plan.id) for s in v] for k, v in st.items()}
        through_writer(plan, st, broker)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
