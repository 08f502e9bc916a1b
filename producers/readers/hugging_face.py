"""Hugging Face datasets, streamed: ``hf:NAME[:CONFIG][#SPLIT]``, a hub name or a local folder."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from producers.documents import Document, RefusedDocuments
from producers.fields import Fields, document_of
from producers.readers.splits import Slice, choose, parse_split
from streams.errors import CorpusError
from streams.hub_errors import out_of_reach

PREFIX = "hf:"
_PLACE = re.compile(r"hf:(?P<name>[^:#]+)(?::(?P<config>[^:#]+))?(?:#(?P<split>.+))?")


@dataclass(frozen=True, slots=True)
class DatasetPlace:
    """Where a dataset is; config and split None take the only one, or the split ``train``."""

    name: str
    config: str | None = None
    split: str | None = None

    def slices(self) -> tuple[Slice, ...]:
        """Return what of it is meant; raise CorpusError if the split's form is unknown."""
        return parse_split(self.split, self.name) if self.split else (Slice(""),)


def parse_place(place: str) -> DatasetPlace:
    """Return what an ``hf:`` address names; raise CorpusError if it is none."""
    found = _PLACE.fullmatch(place)
    if found is None:
        raise CorpusError(
            f"{place!r} is no dataset: write hf:NAME, hf:NAME:CONFIG or hf:NAME#SPLIT"
        )
    parsed = DatasetPlace(found["name"], found["config"], found["split"])
    parsed.slices()
    return parsed


def read_dataset(place: str, fields: Fields, bad: RefusedDocuments) -> Iterator[Document]:
    """Yield a document per row of a split, in its order; ids are ``NAME:row``, counted from 1.

    Rows are counted within what is read, so that a slice's first is 1. Raises CorpusError if the
    dataset cannot be loaded, has no such split, or lacks a field that is asked for. No code of the
    dataset is run.
    """
    where = parse_place(place)
    rows = enumerate(_rows(where, fields), start=1)
    while True:
        try:
            number, row = next(rows)
        except StopIteration:
            return
        except CorpusError:
            raise
        except Exception as error:  # the library and its file systems raise all sorts
            raise CorpusError(f"cannot read the dataset {place}: {_reason(error)}") from error
        try:
            document = document_of(row, fields, f"{where.name}:{number}")
        except ValueError as error:
            bad.add(f"{place} row {number}", str(error), repr(row).encode(errors="replace"))
            continue
        yield document


def tokenizer_of(place: str) -> str | None:
    """Return the tokenizer that SAELens says it made a local dataset's ids with, None if unsaid."""
    name = parse_place(place).name if place.startswith(PREFIX) else place
    try:
        found = json.loads((Path(name) / "sae_lens.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    made_with = found.get("tokenizer_name") if isinstance(found, dict) else None
    return made_with if isinstance(made_with, str) else None


def is_saved(name: str) -> bool:
    """Return whether a name is a folder that ``save_to_disk`` wrote."""
    return any((Path(name) / file).exists() for file in ("state.json", "dataset_dict.json"))


def _rows(place: DatasetPlace, fields: Fields) -> Iterator[Any]:
    import datasets

    datasets.disable_progress_bars()
    if is_saved(place.name):
        loaded: Any = datasets.load_from_disk(place.name)
    else:
        loaded = datasets.load_dataset(place.name, place.config, streaming=True)
    splits = loaded if isinstance(loaded, Mapping) else {_only_split(loaded): loaded}
    known = {str(name): split for name, split in splits.items()}
    for one in place.slices():
        split = known[choose(one.name, known, place.name)]
        _check_fields(place, split, fields)
        yield from _slice_of(split, one)


def _only_split(dataset: Any) -> str:
    """Return the name of a single dataset's split; without one it is ``train``, as when loaded."""
    return str(dataset.split or "train")


def _slice_of(split: Any, one: Slice) -> Iterator[Any]:
    start, stop = one.rows(lambda: _length(split))
    if hasattr(split, "select"):  # a dataset on disk, whose rows can be had by number
        stop = len(split) if stop is None else min(stop, len(split))
        yield from split.select(range(min(start, stop), stop))
    else:
        rows = split.skip(start) if start else split
        yield from islice(rows, None if stop is None else max(stop - start, 0))


def _length(split: Any) -> int:
    """Return how many rows a split has; where nothing says it, they are counted."""
    if hasattr(split, "__len__"):
        return len(split)
    known = (split.info.splits or {}).get(str(split.split))
    if known is not None and known.num_examples:
        return int(known.num_examples)
    return sum(1 for _ in split)


def _check_fields(place: DatasetPlace, split: Any, fields: Fields) -> None:
    names = split.column_names
    missing = fields.missing(names) if names else None
    if missing is not None:
        raise CorpusError(
            f"dataset {place.name} has no column {missing!r}: name one of {', '.join(names)} as "
            "the field"
        )


def _reason(error: Exception) -> str:
    said = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return out_of_reach(error) or said
