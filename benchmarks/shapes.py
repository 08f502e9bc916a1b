"""What the benchmarks run on: models, dictionaries and text of stated sizes, made from a seed."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.random_text import random_rows
from producers.batches import Layout
from producers.batches import batches as laid_out
from producers.progress import Silent
from producers.publish import CorpusDraft
from producers.publish import publish as send
from producers.rows import Rows
from producers.tally import CorpusTally
from streams.arrays import I32
from streams.records.corpus import CorpusRecord, TokenBatch, Vocabulary
from streams.transport.client import Client

FOLDER = Path(__file__).parents[1] / ".millrace" / "benchmarks"
"""Where benchmarks keep what they build; git ignores it."""

TOKENIZER = "benchmark"
_READY = "ready.json"
_VERSION = 2  # of the builder: what an older one left is built anew
_CHUNK = 1024


@dataclass(frozen=True)
class Shape:
    """The sizes of a model and its dictionary.

    hook_layer: the dictionary reads what goes into this block. features: of the dictionary.
    context: tokens per row.
    """

    name: str
    layers: int
    width: int
    heads: int
    vocabulary: int
    hook_layer: int
    features: int
    context: int = 128

    @property
    def hook(self) -> str:
        """The hook's name in transformer-lens."""
        return f"blocks.{self.hook_layer}.hook_resid_pre"


SMALL = Shape("small", 4, 256, 4, 8192, 3, 4096)
GPT2 = Shape("gpt2", 12, 768, 12, 50257, 8, 16384)


@dataclass(frozen=True)
class Built:
    """A shape on disk. model: a Hugging Face folder. dictionary: a SAELens folder."""

    shape: Shape
    model: Path
    dictionary: Path


def build(shape: Shape, folder: Path = FOLDER, seed: int = 0, l0: float = 56.5) -> Built:
    """Return a shape as folders under ``folder``; one that is there already is used as it is.

    The model is a GPT-2 of random weights. The dictionary is a SAELens ``standard`` one of random
    directions, whose features fire at log-normal densities; its biases are calibrated on the
    model's own values at the hook, so that ``l0`` features fire per token on average and a firing
    one has about the value 1. Decoder rows are 10 long, so that logits have a spread.
    """
    place = folder / f"{shape.name}-{shape.width}x{shape.layers}-{shape.features}-{seed}"
    built = Built(shape, place / "model", place / "dictionary")
    wanted = {**asdict(shape), "seed": seed, "l0": l0, "version": _VERSION}
    mark = place / _READY
    if mark.exists() and json.loads(mark.read_text()) == wanted:
        return built
    from benchmarks.random_parts import save_dictionary, save_model

    folder.mkdir(parents=True, exist_ok=True)
    # Two benchmarks may build at once: each does so aside, and the last one's is what stays.
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        made = Path(aside) / "made"
        save_model(shape, made / "model", seed)
        save_dictionary(shape, made / "model", made / "dictionary", seed, l0)
        (made / _READY).write_text(json.dumps(wanted))
        if place.exists():
            place.rename(Path(aside) / "old")
        made.rename(place)
    return built


def token_rows(shape: Shape, rows: int, seed: int) -> I32:
    """Return text as token ids int32 [rows, context]: Zipf-distributed, a part of it n-grams that
    come again and again. The first rows of more rows are the same rows."""
    chunks = [_chunk(shape, rows, seed, first) for first in range(0, rows, _CHUNK)]
    return np.concatenate(chunks) if chunks else np.zeros((0, shape.context), np.int32)


def batches(
    shape: Shape,
    rows: int,
    batch_rows: int = 64,
    *,
    corpus: str = "text",
    partitions: int = 2,
    seed: int = 1,
) -> Iterator[TokenBatch]:
    """Yield the batches of a corpus of ``token_rows``, one chunk of rows in memory at a time.

    They go to the partitions in turn, as the producers place them; every token is valid.
    """
    layout = Layout(corpus, partitions, batch_rows, TOKENIZER)
    yield from laid_out(layout, _row_chunks(shape, rows, seed))


def drawn_corpus(shape: Shape) -> CorpusRecord:
    """Return the record of a corpus of a shape's rows, for engines that get their batches here."""
    return CorpusRecord(
        name="text",
        partitions=2,
        tokenizer=TOKENIZER,
        tokenizer_id=TOKENIZER,
        vocabulary=shape.vocabulary,
        context=shape.context,
        batch_rows=64,
        pack=False,
        bos_id=None,
        pad_id=0,
        special_ids=(),
    )


def publish(
    client: Client,
    shape: Shape,
    rows: int,
    batch_rows: int = 64,
    *,
    corpus: str = "text",
    partitions: int = 2,
    seed: int = 1,
) -> CorpusRecord:
    """Send these batches with the producers' own code and return the sealed corpus's record.

    A corpus that is there already stays. Delete it with ``producers.corpora.delete_corpus``.
    """
    record = CorpusRecord(
        name=corpus,
        partitions=partitions,
        tokenizer=TOKENIZER,
        tokenizer_id=TOKENIZER,
        vocabulary=shape.vocabulary,
        context=shape.context,
        batch_rows=batch_rows,
        pack=False,
        bos_id=None,
        pad_id=0,
        special_ids=(),
        fingerprint=f"{shape.name}-{rows}-{seed}",
    )
    made = batches(shape, rows, batch_rows, corpus=corpus, partitions=partitions, seed=seed)
    words = tuple(f"w{number} ".encode() for number in range(shape.vocabulary))
    draft = CorpusDraft(record, Vocabulary(corpus, words), made, CorpusTally())
    return send(client, draft, Silent())


def _row_chunks(shape: Shape, rows: int, seed: int) -> Iterator[Rows]:
    for first in range(0, rows, _CHUNK):
        ids = _chunk(shape, rows, seed, first)
        count = len(ids)
        names = tuple(f"row {first + row}" for row in range(count))
        yield Rows(
            ids.astype(np.uint32),
            np.ones(ids.shape, np.bool_),
            names,
            ("",) * count,
            np.ones(count, np.int64),
        )


def _chunk(shape: Shape, rows: int, seed: int, first: int) -> I32:
    """Return the rows of the chunk that begins at ``first``; a full chunk is drawn and cut."""
    drawn = random_rows(shape.vocabulary, shape.context, _CHUNK, (seed, first))
    return drawn[: rows - first]
