"""What the dictionaries of a run's settings say about their training, before any is loaded."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from consumers.runs.specs import DictionarySpec, SourceSpec
from consumers.sources.formats import SAELENS_WEIGHTS
from consumers.sources.training import Training, training_of

Released = Callable[[str, str], Mapping[str, Any]]


def trainings(sources: Iterable[SourceSpec], released: Released) -> dict[str, Training]:
    """Return what the dictionaries among the sources say, by name, from their configuration alone.

    released: metadata for (release, id) of a dictionary that is no folder. What cannot be read says
    nothing here, and is refused when it is loaded.
    """
    found = {}
    for source in sources:
        if not isinstance(source, DictionarySpec):
            continue
        if source.path:
            found[source.name] = training_of(_metadata(Path(source.path)))
        elif source.release and source.id:
            found[source.name] = training_of(released(source.release, source.id))
    return found


def agreed_bos(found: Mapping[str, Training]) -> bool | None:
    """Return whether rows begin with a BOS as all say that say something; None otherwise."""
    said = {one.prepend_bos for one in found.values()} - {None}
    return next(iter(said)) if len(said) == 1 else None


def agreed_context(found: Mapping[str, Training]) -> int | None:
    """Return the shortest rows that any of them was trained on; None if none says it."""
    return min((one.context for one in found.values() if one.context), default=None)


def _metadata(folder: Path) -> Mapping[str, Any]:
    """Return the metadata of a dictionary, SAELens' or in another format.

    Before version 6 SAELens had it beside everything else, and meant a BOS where nothing was said.
    """
    if not (folder / SAELENS_WEIGHTS).is_file():
        # Imports torch, which takes seconds and which making a corpus does not need.
        from consumers.sources.formats.registry import foreign_metadata

        if (foreign := foreign_metadata(folder)) is not None:
            return foreign
    try:
        found = json.loads((folder / "cfg.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    inner = found.get("metadata")
    if isinstance(inner, dict):
        return inner
    return {"prepend_bos": True, **found} if "sae_lens_version" not in found else found
