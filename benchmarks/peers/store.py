"""Measurements kept in a file, so that the points can be measured one at a time."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.peers.comparing import Compared
from benchmarks.peers.job import Found, found_of


def keep(path: Path, one: Compared) -> None:
    """Add a measurement; it takes the place of an older one of the same kind."""
    kept = [old for old in kept_in(path) if _kind(old) != _kind(one)]
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps([asdict(each) for each in (*kept, one)]))
    draft.rename(path)


def kept_in(path: Path) -> list[Compared]:
    """Return what was kept, in the order of tool, shape, samples and options."""
    if not path.exists():
        return []
    found = [_compared(values) for values in json.loads(path.read_text())]
    return sorted(found, key=_kind)


def _compared(values: dict[str, Any]) -> Compared:
    both: list[Found] = [found_of(value) for value in (values["found"], *values["millrace"])]
    return Compared(**{**values, "found": both[0], "millrace": tuple(both[1:])})


def _kind(one: Compared) -> tuple[str, str, int, str]:
    return one.tool, one.shape, one.samples, one.options
