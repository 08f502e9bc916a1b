"""Millrace's whole service on the embedded transport, as ``millrace run`` runs it.

Reads one job per line and measures each when asked, so that it can take its turn between peers
without loading its libraries again.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.machine import versions
from benchmarks.peers.job import Found, Job, Part, read_job, write_found
from benchmarks.peers.meter import Lap, Memory, Others, timed
from benchmarks.service import prepared, serve_whole
from benchmarks.shapes import TOKENIZER, Shape, publish
from consumers.runs.specs import DictionarySpec, ModelSpec, RunSpec
from streams.records.corpus import CorpusRecord
from streams.snapshots.manifests import RunManifest
from streams.transport.connect import connect

CORPUS = "text"
BATCH_ROWS = 64


def measure(job: Job, broker: str, start: int | None) -> tuple[Found, int | None]:
    """Produce the corpus, compute it and write the final snapshot; loading is not counted.

    job.amount: k, the contexts kept per feature. start: bytes resident before the first run, None
    if this is the first; returned with what was measured.
    """
    shape = Shape(**job.shape)
    client = connect(broker)
    model, dictionary = ModelSpec(job.model), DictionarySpec("sae", path=job.dictionary)
    spec = RunSpec(
        name="loaded", store=job.output, model=model, sources=(dictionary,), k=job.amount
    )
    engine = prepared(spec, _to_be(shape))
    memory, others = Memory(start), Others()
    producing, serving = Lap(), Lap()
    with timed(producing):
        publish(client, shape, job.rows, BATCH_ROWS, corpus=CORPUS, seed=job.seed)
    with timed(serving):
        served = serve_whole(engine, broker, "run", Path(job.output))
    over, disturbed = memory.over_start(), others.share()
    client.close()
    fired, highest = _read(served.manifest)
    around = served.whole - served.seconds
    measured = Found(
        parts=[
            Part("produce", producing.seconds, producing.cpu),
            Part("first record to final manifest", served.seconds, serving.cpu),
            Part("start and stop of the apps", around, 0.0, times=0),
        ],
        scaled="everything",
        memory=over,
        others=disturbed,
        versions=versions(),
        features=list(range(shape.features)),
        highest=highest,
        fired=fired,
    )
    return measured, memory.start


def _to_be(shape: Shape) -> CorpusRecord:
    """Return a corpus record that says what the run needs to know."""
    words = shape.vocabulary
    return CorpusRecord(
        CORPUS, 2, TOKENIZER, TOKENIZER, words, shape.context, BATCH_ROWS, False, None, 0, ()
    )


def _read(manifest: RunManifest) -> tuple[list[int], list[float]]:
    """Return firing tokens and largest activation of each feature."""
    place = Path(manifest.store) / manifest.run
    tables = [pq.read_table(place / f.path) for f in manifest.files if f.table == "clusters"]
    number = np.concatenate([table["cluster"].to_numpy() for table in tables])
    order = np.argsort(number)
    fired = np.concatenate([table["firing_tokens"].to_numpy() for table in tables])[order]
    highest = np.concatenate([table["max_activation"].to_numpy() for table in tables])[order]
    return fired.tolist(), highest.tolist()


def main() -> None:
    """Measure what comes in, line by line, and say when each is done."""
    start: int | None = None
    for turn, line in enumerate(sys.stdin):
        order = json.loads(line)
        job = read_job(json.dumps(order["job"]))
        found, start = measure(job, f"memory://peers-{turn}", start)
        write_found(found, Path(order["found"]))
        print("done", flush=True)


if __name__ == "__main__":
    main()
