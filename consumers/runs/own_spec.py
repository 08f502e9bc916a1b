"""What the settings say of a source that is a Python class of the user's."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from consumers.runs.specs import OF_SETTINGS, Coactivation, Dropped, Threshold
from streams.records.runs import Sign


@dataclass(frozen=True, slots=True)
class OwnSpec:
    """Components that a class of the user's computes: the one place that lets it be imported.

    python: ``package.module:Class``. options: further arguments for it, as JSON can hold them.
    sign: None for what the class says.
    """

    name: str
    python: str
    hook: str
    options: dict[str, Any] | None = None
    sign: Sign | None = None
    threshold: Threshold = 0.0
    dropped: Dropped = ()
    clusters_of_one: bool = True
    coactivation: Coactivation = "auto"
    kind: ClassVar[str] = "own"
    __pydantic_config__: ClassVar[Mapping[str, Any]] = OF_SETTINGS

    def __post_init__(self) -> None:
        try:
            _ = self.location
        except (TypeError, ValueError) as error:
            raise ValueError(f"options hold what JSON does not: {error}") from error

    @property
    def location(self) -> str:
        """The class and its options, as records say them."""
        if not self.options:
            return self.python
        return f"{self.python}?{json.dumps(self.options, sort_keys=True, allow_nan=False)}"
