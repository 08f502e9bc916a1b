"""Names that other tools give a model and a dictionary, from a snapshot or as chosen."""

import re
from dataclasses import dataclass
from typing import Any

from downstream.exporters.exporter import Choices, Option
from downstream.reading.snapshot import Snapshot
from streams.errors import ExportError

MODEL_ID = Option("model-id", "The model's name at the other tool.", shown="from the run")
LAYER = Option("layer", "The layer's number.", shown="from the hook point")
SET = Option("set", "The name of the set of dictionaries.", shown="the source's name")
SUFFIX = Option("suffix", "What tells dictionaries of one set and layer apart.")
NAMES = (MODEL_ID, LAYER, SET, SUFFIX)

_BLOCK = re.compile(r"blocks\.(\d+)\.")
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=-]{0,99}")


@dataclass(frozen=True, slots=True)
class DictionaryNames:
    """What a dictionary is called. hook: the hook point. location: where its weights are."""

    model: str
    layer: int
    set: str
    suffix: str | None
    hook: str
    location: str

    @property
    def source(self) -> str:
        """The source id, ``{layer}-{set}`` or ``{layer}-{set}__{suffix}``."""
        return f"{self.layer}-{self.set}{f'__{self.suffix}' if self.suffix else ''}"


def dictionary_names(snapshot: Snapshot, source: str, choices: Choices) -> DictionaryNames:
    """Return the names of a source; raises ExportError for one that can be no name of a file."""
    about = source_about(snapshot, source)
    hook = str(about.get("hook", ""))
    return DictionaryNames(
        model=_plain("model-id", choices["model-id"] or _model(snapshot)),
        layer=chosen_layer(snapshot, source, choices),
        set=_plain("set", choices["set"] or source),
        suffix=_plain("suffix", choices["suffix"]) if choices["suffix"] else None,
        hook=hook,
        location=str(about.get("location", "")),
    )


def source_about(snapshot: Snapshot, source: str) -> dict[str, Any]:
    """Return what the run says of a source, nothing if it does not."""
    for one in snapshot.about.get("sources", ()):
        if one["name"] == source:
            return dict(one)
    return {}


def sign_notes(snapshot: Snapshot, *sources: str) -> list[str]:
    """Return how the activations of sources, all of them by default, differ from their values."""
    found = []
    for one in snapshot.about.get("sources", ()):
        name, sign, threshold = one["name"], one.get("sign", "value"), one.get("threshold", 0)
        if sources and name not in sources:
            continue
        meant = {"absolute": "values without their sign", "negative": "values times -1"}.get(sign)
        if meant or threshold:
            found.append(
                f"activations of {name} are its {meant or 'values'}, 0 where that is not above "
                f"{threshold:g}"
            )
    return found


def chosen_layer(snapshot: Snapshot, source: str, choices: Choices) -> int:
    """Return the layer that was chosen, or that of the source's hook point."""
    if choices["layer"] is not None:
        return _number(choices["layer"])
    return layer_of(str(source_about(snapshot, source).get("hook", "")), source)


def layer_of(hook: str, source: str) -> int:
    """Return the number of the block that a hook point lies in; raises ExportError for none."""
    found = _BLOCK.search(hook)
    if found is None:
        raise ExportError(
            f"the hook point {hook!r} of {source} names no layer: say it with --layer"
        )
    return int(found[1])


def _model(snapshot: Snapshot) -> str:
    """Return the last part of the model's location, made a plain name."""
    last = str(snapshot.about.get("model", "")).rstrip("/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", last).strip("-.") or "model"


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 7):
        raise ExportError(f"--layer {text[:40]!r} is no number")
    return int(text)


def _plain(option: str, text: str) -> str:
    if not _PLAIN.fullmatch(text) or text.endswith("."):
        raise ExportError(
            f"--{option} {text[:100]!r} cannot be a name: take letters, digits, '-', '_', '.', '='"
        )
    return text
