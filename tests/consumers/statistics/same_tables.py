"""Hashes of every table of drawn runs through faults, to compare two checkouts of this project.

``python -m tests.consumers.statistics.same_tables | sort`` in each, then ``diff``. Runs have
sources of all kinds and signs, overlapping, empty and wide clusterings, masks, dropped components
and both rankings; shards restart from their last flush, and records come twice and out of order.
"""

import sys
from typing import Any

import numpy as np

from consumers.aggregation.overlay import Overlay, partial
from consumers.plan import Plan
from consumers.selection.worker import ActivationWorker
from consumers.snapshots.snapshots import shard_tables
from streams import topics
from streams.records.corpus import PartitionEnd
from streams.snapshots.content import table_hash
from streams.wire import codec
from tests import factories

KINDS = ("dictionary", "neurons", "weights")
SIGNS = ("value", "absolute", "positive", "negative")


def drawn(random: np.random.Generator) -> Plan:
    """Return the plan of a drawn run."""
    sources = tuple(
        factories.source(
            f"s{number}",
            kind=KINDS[int(random.integers(3))],
            components=int(random.integers(2, 20)),
            sign=SIGNS[int(random.integers(4))],
            threshold=float(random.choice([0.0, 0.5, 1.0])),
            dropped=(0,) if random.random() < 0.3 else (),
            singles=bool(number == 0 or random.random() < 0.5),
            coactivation=bool(random.random() < 0.5),
        )
        for number in range(int(random.integers(1, 4)))
    )
    known = [(s, i) for s, source in enumerate(sources) for i in range(source.components)]
    clusterings = tuple(
        factories.clustering(
            {
                f"c{label}": [
                    known[i] for i in random.permutation(len(known))[: random.integers(9)]
                ]
                for label in range(int(random.integers(1, 5)))
            },
            f"clustering-{number}",
            coactivation=bool(random.random() < 0.5),
        )
        for number in range(int(random.integers(0, 3)))
    )
    return factories.plan(
        sources=sources,
        clusterings=clusterings,
        shards=int(random.integers(1, 6)),
        k=int(random.choice([1, 3, 50])),
        rankings=(("maximum", "last"), ("maximum",), ("last",))[int(random.integers(3))],
        masked_ids=random.integers(0, 9, int(random.integers(3))),
        masked_positions=random.integers(0, 6, int(random.integers(2))),
        bucket_bytes=int(random.choice([2000, 9000, 10**6])),
        edges=np.array([0.5, 1.0, 1.75], np.float32)[: random.integers(4)],
        sum_bits=int(random.integers(0, 24)),
    )


def records_of(plan: Plan, random: np.random.Generator, seed: int) -> list[list[Any]]:
    """Return what is in the log of each shard: records of two workers, some again, hits astray."""
    engine = factories.DenseEngine(plan, seed)
    logs: list[list[Any]] = [[] for _ in range(plan.run.shards)]
    given = factories.batches(seed=seed, per_partition=6)
    for partition in range(plan.run.partitions):
        worker = ActivationWorker(plan, engine)
        mine = [b for b in given if b.partition == partition]
        for number, batch in enumerate(mine):
            again = mine[max(number - int(random.integers(3)), 0) : number + 1]
            for each in again if random.random() < 0.4 else [batch]:
                headers = {topics.KIND: topics.BATCH, topics.SEQUENCE: str(each.sequence).encode()}
                value = codec.encode(each)
                if each.sequence == 3 and seed % 3 == 0:
                    value = value[:-9]  # a dead letter
                for record in worker.handle(partition, value, headers).records:
                    logs[record.shard].append(record)
        end = codec.encode(PartitionEnd("text", partition, len(mine), 0, 0))
        headers = {topics.KIND: topics.END, topics.SEQUENCE: str(len(mine)).encode()}
        for record in worker.handle(partition, end, headers).records:
            logs[record.shard].append(record)
    for log in logs:
        hits = [record for record in log if record.kind == topics.HITS]
        for at in random.integers(0, len(log), len(hits)).tolist():
            log.insert(at, hits[int(random.integers(len(hits)))])
    return logs


def main(runs: int = 60) -> None:
    """Print a line per run and table: the table's hash and rows."""
    for seed in range(runs):
        random = np.random.default_rng(seed)
        plan = drawn(random)
        for shard, log in enumerate(records_of(plan, random, seed)):
            overlay, table, offset = Overlay(plan, least_pending=4), dict[bytes, bytes](), 0
            overlay.load(shard, ())
            while offset < len(log):
                record = log[offset]
                overlay.apply(shard, offset, partial(plan, shard, record.kind, record.value))
                offset += 1
                if random.random() < 0.1:
                    flushed = [(key, value) for _, key, value in overlay.flush()]
                    table.update(flushed[: int(random.integers(len(flushed) + 1))])
                    if random.random() < 0.5:  # killed in the middle of the flush
                        overlay = Overlay(plan, least_pending=4)
                        overlay.load(shard, table.items())
                        offset = overlay.start(shard)
            assert overlay.is_complete(shard)
            for name, pieces in shard_tables(plan, shard, overlay.states(shard), Any):  # type: ignore[arg-type]
                pieces = list(pieces) if not hasattr(pieces, "schema") else [pieces]
                hashed = table_hash(pieces[0].schema, pieces)
                sys.stdout.write(f"{seed}/{shard:02d}/{name} {hashed.rows} {hashed.hash}\n")
                if name == "totals":
                    break  # what follows comes from the corpus


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
