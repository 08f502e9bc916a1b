"""Hugging Face datasets, streamed: ``hf:NAME[:CONFIG][#SPLIT]``, a hub name or a local folder."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from producers.documents import Document, Fields, Refusals, document_of
from streams.errors import CorpusError
from streams.hub import out_of_reach

PREFIX = "hf:"
_PLACE = re.compile(r"hf:(?P<name>[^:#]+)(?::(?P<config>[^:#]+))?(?:#(?P<split>.+))?")


@dataclass(frozen=True, slots=True)
class DatasetPlace:
    """Where a dataset is; config and split None take the only one, or the split ``train``."""

    name: str
    config: str | None = None
    split: str | None = None


def parse_place(place: str) -> DatasetPlace:
    """Return what an ``hf:`` address names; raise CorpusError if it is none."""
    found = _PLACE.fullmatch(place)
    if found is None:
        raise CorpusError(
            f"{place!r} is no dataset: write hf:NAME, hf:NAME:CONFIG or hf:NAME#SPLIT"
        )
    return DatasetPlace(found["name"], found["config"], found["split"])


def read_dataset(place: str, fields: Fields, bad: Refusals) -> Iterator[Document]:
    """Yield a document per row of a split, in its order; ids are ``NAME:row``, counted from 1.

    Raises CorpusError if it cannot be loaded. No code of the dataset is run.
    """
    where = parse_place(place)
    rows = enumerate(_rows(where), start=1)
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
            bad.add(f"{place} row {number}", str(error), repr(row).encode())
            continue
        yield document


def _rows(place: DatasetPlace) -> Iterator[Any]:
    import datasets

    datasets.disable_progress_bars()
    if (Path(place.name) / "state.json").exists() or (
        Path(place.name) / "dataset_dict.json"
    ).exists():
        loaded: Any = datasets.load_from_disk(place.name)
    else:
        loaded = datasets.load_dataset(place.name, place.config, streaming=True)
    yield from _choose_split(place, loaded) if isinstance(loaded, Mapping) else loaded


def _choose_split(place: DatasetPlace, splits: Mapping[Any, Any]) -> Any:
    names = [str(name) for name in splits]
    wanted = place.split or ("train" if "train" in names or len(names) != 1 else names[0])
    if wanted not in names:
        raise CorpusError(
            f"dataset {place.name} has no split {wanted!r}: add # and one of {', '.join(names)}"
        )
    return splits[wanted]


def _reason(error: Exception) -> str:
    said = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return out_of_reach(error) or said
