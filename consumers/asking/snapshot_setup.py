"""What a model is asked with, from a snapshot alone: its manifest, and what its rows begin with."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from consumers.asking.setup import Setup
from streams.bounds import check_fields
from streams.errors import ShapeError, SnapshotError
from streams.records.runs import Model, Source
from streams.snapshots.manifests import RunManifest
from streams.snapshots.table_reading import read_pieces, read_table
from streams.snapshots.tables import FEATURES, SAMPLES, VOCABULARY
from streams.tokenizer.loading import load_tokenizer
from streams.tokenizer.tokenizer import Tokenizer

_ROWS = 1024
_SHOWN = 80


def setup_of_snapshot(manifest: RunManifest, tokenizer: str | None = None) -> Setup:
    """Return what a model is asked with to answer as the run of a snapshot does.

    A snapshot does not name its tokenizer or BOS: the tokenizer is the model's unless one is given,
    and its tokens have to be those of the snapshot; the BOS is what the stored rows begin with.
    ``assumed`` says so. Raises SnapshotError for a snapshot that does not say enough.
    """
    about = manifest.about
    dropped = _dropped(manifest)
    try:
        model = _model(about)
        sources = tuple(
            Source(**each, dropped=dropped.get(each["name"], ())) for each in about["sources"]
        )
        loaded = load_tokenizer(tokenizer or model.location)
        _expect_vocabulary(manifest, loaded)
        bos, how = _bos(manifest, loaded)
        found = Setup(
            model=model,
            sources=sources,
            context=about["context"],
            tokenizer=loaded.location,
            tokenizer_id=loaded.id,
            bos_id=bos,
            count_bos=bos in loaded.special,
            special=False,
            masked_ids=tuple(about["masked_ids"]),
            masked_positions=tuple(about["masked_positions"]),
            assumed=(f"tokenizer {loaded.location}: it has the snapshot's tokens", how),
        )
        check_fields(found)
    except (KeyError, TypeError, ShapeError) as error:
        raise SnapshotError(
            f"snapshot {manifest.snapshot} of run {manifest.run} does not say what its model is "
            f"asked with ({str(error)[:_SHOWN]}): ask by the settings of the run, or its broker"
        ) from error
    return found


def _model(about: Mapping[str, Any]) -> Model:
    return Model(
        location=about["model"],
        content=about["model_content"],
        vocabulary=about["vocabulary"],
        dtype=about["dtype"],
        micro_batch=about["micro_batch"],
        threads=0,
        forward=about["forward"],
        tf32=about.get("tf32", False),
    )


def _dropped(manifest: RunManifest) -> dict[str, tuple[int, ...]]:
    """Return the features of each source that the run's settings leave out."""
    features = read_table(manifest, FEATURES.name, columns=["source", "index", "dropped"])
    found: dict[str, list[int]] = {}
    for row in features.filter(features["dropped"]).to_pylist():
        found.setdefault(row["source"], []).append(row["index"])
    return {source: tuple(indices) for source, indices in found.items()}


def _expect_vocabulary(manifest: RunManifest, tokenizer: Tokenizer) -> None:
    stored = read_table(manifest, VOCABULARY.name, columns=["id", "token"]).sort_by("id")
    same = len(stored) == len(tokenizer.tokens) and pc.all(
        pc.equal(stored["token"], pa.chunked_array([pa.array(tokenizer.tokens, pa.binary())]))
    )
    if not (same is not False and same.as_py()):
        raise SnapshotError(
            f"tokenizer {tokenizer.location} is not the one of snapshot {manifest.snapshot} of run "
            f"{manifest.run}, whose tokens are others: name that one with --tokenizer"
        )


def _bos(manifest: RunManifest, tokenizer: Tokenizer) -> tuple[int | None, str]:
    """Return the BOS that every stored row begins with, None for none, and how that is known."""
    firsts = [
        ids[0] for piece in islice(_pieces(manifest), 1) for ids in piece["ids"].to_pylist() if ids
    ]
    possible = {*tokenizer.opening, *(tokenizer.names.get(name, -1) for name in ("bos",))}
    if not firsts:
        return tokenizer.bos_id("auto"), "BOS: the tokenizer's own, since no row is stored"
    if len(set(firsts)) == 1 and firsts[0] in possible:
        return int(firsts[0]), f"BOS {firsts[0]}: all of {len(firsts):,} stored rows begin with it"
    return None, f"no BOS: {len(firsts):,} stored rows do not all begin with one"


def _pieces(manifest: RunManifest) -> Any:
    for part in read_pieces(manifest, SAMPLES.name, columns=["ids"], size=_ROWS):
        yield from part
