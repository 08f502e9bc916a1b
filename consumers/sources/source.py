"""What a source is: a supplier of components at a hook, loaded; and what a kind of source does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from consumers.encoders.forms import DenseForm, Form
from consumers.sources.training import Training
from streams.errors import ModelError
from streams.records.runs import Sign


@dataclass(frozen=True, slots=True, eq=False)
class LoadedSource:
    """A source on its device.

    encode: values [token, width] -> components [token, component]; with whole_rows instead
    [row, position, width] -> [row, position, component], for dictionaries that look back.
    form: the same as arithmetic that can be computed some components at a time, None if there is
    none. rebuild: what the hook that it is for (``training.writes``, else the one that it reads)
    should hold [token, width], of values read and their components; None where it cannot tell.
    training: how it was trained. warnings: what else has to be said of it, a line each.
    """

    name: str
    kind: str
    location: str
    content: str
    hook: str
    width: int
    components: int
    encode: Callable[[Tensor], Tensor]
    sign: Sign = "value"
    whole_rows: bool = False
    form: Form | None = None
    rebuild: Callable[[Tensor, Tensor], Tensor] | None = None
    training: Training = Training()
    warnings: tuple[str, ...] = ()

    @property
    def dense(self) -> DenseForm:
        """``encode`` as a form, all components at once."""
        return DenseForm(self.encode, self.whole_rows)

    def read_at(self, hook: str, width: int, location: str) -> "LoadedSource":
        """Return the source for the hook of a model that its own hook's name means.

        Raises ModelError if that has another width.
        """
        said = f"hook {self.hook!r} of {self.kind} {self.name!r} is read as {hook}"
        more = (said,) if hook != self.hook else ()
        if self.width != width:
            raise ModelError(
                f"{self.kind} {self.name!r} reads {self.width} values, hook {hook} of {location} "
                f"has {width}"
            )
        return replace(self, hook=hook, warnings=(*self.warnings, *more))


@dataclass(frozen=True, slots=True)
class WantedSource:
    """What it takes to load a source, from the settings or from a run record.

    location: what its kind understands. hook: None for the one that the source itself names.
    trusted: whether this process' own settings name the location, so that code there may be run.
    """

    name: str
    kind: str
    location: str
    hook: str | None
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class OpenedSource:
    """A source of which all is read that does not depend on the model.

    hook: as it or the settings name it. of_width: how wide that hook is -> the source. wishes: what
    it says about loading the model; None where that is none of its business.
    """

    hook: str
    of_width: Callable[[int], LoadedSource]
    wishes: Mapping[str, Any] | None = None


class SourceKind(Protocol):
    """A kind of source: how its settings and records are turned into components."""

    name: str

    def open(self, wanted: WantedSource, device: torch.device) -> OpenedSource:
        """Return a source, read from where it lies; raises ModelError in one line."""
