"""Directions of dictionaries of any format: by numpy where SAELens saved them, else by torch."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from downstream.derived.dictionaries import (
    Dictionary,
    is_saelens_folder,
    read_dictionary,
)
from streams.errors import ModelError


def loader(
    places: Mapping[str, str], *, verify: bool = False
) -> Callable[[Mapping[str, Any]], Dictionary]:
    """Return what loads a source of a run.

    places: folders or files by the source's name, instead of those that the run names. verify:
    compare every dictionary's weights with the run's, which needs torch and SAELens. What SAELens
    did not save is loaded by its own reader, and compared in any case. The loader raises ModelError
    for what cannot be read, or is not what the run computed with.
    """

    def load(source: Mapping[str, Any]) -> Dictionary:
        name = str(source["name"])
        place = str(places.get(name, source["location"]))
        if "#" not in place and not Path(place).expanduser().exists():
            raise ModelError(f"there is nothing at {place}: say --dictionary {name}=FOLDER")
        moved = {**source, "location": place}
        plain = moved.get("kind") == "weights" or is_saelens_folder(place)
        return read_dictionary(moved) if plain and not verify else _loaded(moved)

    return load


def other_dictionary(name: str, location: str) -> Dictionary:
    """Return a dictionary that is none of the run's."""
    return loader({})({"name": name, "kind": "dictionary", "location": location})


def _loaded(source: Mapping[str, Any]) -> Dictionary:
    """Return a source as the run loads it, compared with what the run loaded."""
    from consumers.sources.directions import load_directions

    name, location, hook = (str(source.get(key, "")) for key in ("name", "location", "hook"))
    kind, content = str(source.get("kind", "dictionary")), source.get("content")
    found = load_directions(name, kind, str(Path(location).expanduser()), hook)
    if content is not None and found.content != content:
        raise ModelError(
            f"{kind} {name!r} in {location} is not what the run computed with: its weights or "
            "settings have changed"
        )
    return Dictionary(
        name,
        location,
        found.reads,
        found.writes,
        read_encoder=lambda: found.encoder,
        read_decoder=lambda: found.decoder,
        checked=content is not None,
    )
