"""delphi's latent cache and neighbours, from the examples that a snapshot keeps.

``latents/{hookpoint}/{first}_{last}.safetensors`` holds, of a range of latents, where they are
active and how much, and all rows of tokens; ``config.json`` beside it what the rows are.
``neighbours/{hookpoint}-{kind}.json`` lists, per latent, [score, latent], the nearest first: delphi
writes these pairs the other way round and reads them like this.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import BinaryIO

import numpy as np
import pyarrow.compute as pc

from downstream.exporters import choices as shared
from downstream.exporters import naming
from downstream.exporters.cluster_ranges import ClusterRange
from downstream.exporters.clusters import ClusterBatch
from downstream.exporters.exporter import Choices, Option
from downstream.exporters.json_text import json_bytes
from downstream.exporters.neighbours import (
    DIRECTIONS,
    Near,
    by_coactivation,
    by_direction,
    find_neighbours,
)
from downstream.exporters.samples import SampleIds
from downstream.exporters.staging import Staging
from downstream.reading.snapshot import Snapshot
from streams.arrays import AnyArray
from streams.errors import ExportError
from streams.names import is_inner_path

NEIGHBOURS = 250
_FEWEST_SPLITS, _LATENTS_PER_SPLIT = 5, 8192
_LARGEST_HALF = float(np.finfo(np.float16).max)
_SMALL = 2**16
_ACTIVE = np.dtype(
    [("latent", np.int64), ("row", np.int64), ("position", np.int64), ("activation", np.float32)]
)

_HOOKPOINT = Option("hookpoint", "The hook point's name at delphi.", shown="the run's")
_SPLITS = Option("splits", "Files that the latents are spread over.", default=0)


class Delphi:
    """Writes the cache of one hook point."""

    name = "delphi"
    summary = "delphi's latent cache (safetensors) and neighbours."
    options = (
        shared.SOURCE,
        shared.RANKING,
        Option("examples", "Rows kept per latent, at most.", default=100),
        _HOOKPOINT,
        _SPLITS,
        Option("pad-id", "Token id that fills rows up to equal length.", default=0),
    )

    def export(self, snapshot: Snapshot, choices: Choices, out: Staging) -> Sequence[str]:
        """Write the splits, their configuration, and neighbours where they were counted."""
        large = small = 0
        with shared.feature_stream(snapshot, choices, out.folder) as stream:
            hook = _hookpoint(snapshot, choices, stream.source)
            samples, context = stream.samples, stream.samples.longest
            splits = _splits(choices["splits"], len(stream.range))
            chunks = map(_active, stream.batches())
            for first, last, active in _by_split(chunks, splits):
                name = f"latents/{hook}/{first}_{last}.safetensors"
                if not out.has(name):
                    with out.open(name) as file:
                        lost = _write(file, samples, context, choices["pad-id"], first, active)
                    large, small = large + lost[0], small + lost[1]
            config = {
                "dataset_repo": str(snapshot.about.get("corpus", "")),
                "dataset_split": "",
                "dataset_name": "",
                "dataset_column": "text",
                "batch_size": 1,
                "cache_ctx_len": context,
                "n_tokens": len(samples) * context,
                "n_splits": len(splits),
                "model_name": str(snapshot.about.get("model", "")),
            }
            out.write(f"latents/{hook}/config.json", json_bytes(config))
            found = _write_neighbours(
                snapshot, stream.range, stream.source, f"neighbours/{hook}", out
            )
        if large:
            found.append(f"{large:,} activations beyond float16 became {_LARGEST_HALF:g}")
        if small:
            found.append(f"{small:,} activations became 0 in float16")
        return [
            f"the cache holds at most {choices['examples']} rows of a latent, its best: "
            "frequencies that delphi counts from it are too low",
            *naming.sign_notes(snapshot, stream.source),
            *found,
        ]


def _hookpoint(snapshot: Snapshot, choices: Choices, source: str) -> str:
    about = naming.source_about(snapshot, source)
    found = str(choices["hookpoint"] or about.get("hook") or source)
    if not is_inner_path(found) or "/" in found:
        raise ExportError(f"--hookpoint {found[:100]!r} cannot be the name of a folder")
    return found


def _splits(wanted: int, width: int) -> list[tuple[int, int]]:
    """Return the first and last latent of each file."""
    number = wanted or max(_FEWEST_SPLITS, -(-width // _LATENTS_PER_SPLIT))
    if not number > 0:
        raise ExportError(f"--splits {wanted} is no number of files")
    cuts = np.linspace(0, width, min(number, width) + 1).astype(np.int64).tolist()
    return [(first, stop - 1) for first, stop in pairwise(cuts)]


def _by_split(
    chunks: Iterator[AnyArray], splits: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int, AnyArray]]:
    """Yield the first and last latent of each split, and its activations."""
    left: AnyArray | None = None
    for first, last in splits:
        found = [np.zeros(0, _ACTIVE)]
        while (chunk := next(chunks, None) if left is None else left) is not None:
            cut = int(np.searchsorted(chunk["latent"], last + 1))
            found.append(chunk[:cut])
            left = chunk[cut:] if cut < len(chunk) else None
            if left is not None:
                break
        yield first, last, np.concatenate(found)


def _active(batch: ClusterBatch) -> AnyArray:
    """Return where the latents of a batch are active, by latent."""
    hits = batch.hits
    lengths = pc.list_value_length(hits["positions"]).to_numpy()
    found = np.empty(int(lengths.sum()), _ACTIVE)
    found["latent"] = np.repeat(hits["cluster"].to_numpy() - batch.first, lengths)
    found["row"] = np.repeat(batch.samples.numbers(hits), lengths)
    found["position"] = pc.list_flatten(hits["positions"]).to_numpy()
    found["activation"] = pc.list_flatten(hits["activations"]).to_numpy()
    return found


def _write(
    file: BinaryIO, samples: SampleIds, context: int, pad: int, first: int, active: AnyArray
) -> tuple[int, int]:
    """Write a split as safetensors, its rows of tokens one at a time; return what float16 lost.

    That is how many activations were too large, and how many became 0.
    """
    active = active[np.lexsort((active["latent"], active["position"], active["row"]))]
    latents = active["latent"] - first
    places = np.stack([active["row"], active["position"], latents], axis=1)
    small = not len(places) or places[:, [0, 2]].max() < _SMALL
    locations = places.astype(np.uint16 if small else np.uint32)
    values = active["activation"]
    halves = np.clip(values, -_LARGEST_HALF, _LARGEST_HALF).astype(np.float16)
    shape = [len(samples), context]
    header, at = {}, 0
    for name, dtype, size, dims in (
        ("tokens", "I64", 8 * shape[0] * shape[1], shape),
        ("locations", "U16" if small else "U32", locations.nbytes, list(locations.shape)),
        ("activations", "F16", halves.nbytes, [len(halves)]),
    ):
        header[name] = {"dtype": dtype, "shape": dims, "data_offsets": [at, at + size]}
        at += size
    head = json_bytes(header)
    head += b" " * (-len(head) % 8)
    file.write(struct.pack("<Q", len(head)) + head)
    for number in range(len(samples)):
        row = np.full(context, pad, np.int64)
        ids = samples.ids(number)
        row[: len(ids)] = ids
        file.write(row.tobytes())
    file.write(locations.tobytes())
    file.write(halves.tobytes())
    too_large = int(np.count_nonzero(np.abs(values) > _LARGEST_HALF))
    return too_large, int(np.count_nonzero((halves == 0) & (values != 0)))


def _write_neighbours(
    snapshot: Snapshot, chosen: ClusterRange, source: str, stem: str, out: Staging
) -> list[str]:
    """Write the neighbours that there are; return which there are not."""
    kinds: dict[str, Iterator[tuple[int, list[Near]]] | None] = {
        "co-occurrence": by_coactivation(snapshot, chosen, NEIGHBOURS)
    }
    for direction in DIRECTIONS:
        rows = find_neighbours(snapshot, source, direction)
        kinds[f"{direction}_similarity"] = by_direction(rows, len(chosen)) if rows else None
    missing = []
    for kind, blocks in kinds.items():
        if blocks is None:
            missing.append(kind)
        else:
            pieces = _object_pieces(blocks, len(chosen))
            out.write_pieces(f"{stem}-{kind}.json", pieces, lambda piece: piece())
    return [f"neighbours that the snapshot does not have: {', '.join(missing)}"] if missing else []


def _object_pieces(
    blocks: Iterator[tuple[int, list[Near]]], latents: int
) -> Iterator[Callable[[], bytes]]:
    """Yield functions that make a JSON object of neighbours by latent, piece after piece."""
    for first, lists in blocks:
        yield partial(_object_piece, first, lists, ends=first + len(lists) == latents)


def _object_piece(first: int, lists: Sequence[Near], *, ends: bool) -> bytes:
    lines = [json_bytes(str(first + n)) + b":" + json_bytes(near) for n, near in enumerate(lists)]
    return (b"{" if first == 0 else b",") + b",\n".join(lines) + (b"}" if ends else b"\n")
