"""What one process is asked to do, and what it says when it is done; JSON both ways."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Job:
    """One measurement of one tool.

    model: Hugging Face folder of a GPT-2. dictionary: SAELens folder. tokens: .npy file, int64
    [row, position]. output: an empty folder for what the tool writes. variant: of the tool's
    options. amount: how much of the work to do, in the tool's own unit, 0 for all of it.
    """

    model: str
    dictionary: str
    tokens: str
    output: str
    shape: Mapping[str, Any]
    rows: int
    variant: str
    amount: int = 0
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Part:
    """A stage that was measured once and that all features need ``times`` of.

    seconds and cpu: wall and processor time of one. ours: whether Millrace makes it, too.
    """

    name: str
    seconds: float
    cpu: float
    times: float = 1.0
    ours: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """What a process measured.

    scaled: how the work done stands for all features, in words. memory: most bytes resident over
    those at the start of the work, None where the system does not say. versions: of the tool and of
    what it computes with. features, highest, fired: of some features their largest activation
    (``resolution`` is how finely it is given) and the tokens they fire at, to see that all tools
    did the same work; fired is empty where the tool does not say. others: share of the machine that
    other processes took meanwhile, None where the system does not say.
    """

    parts: Sequence[Part]
    scaled: str
    memory: int | None
    versions: Mapping[str, str]
    features: Sequence[int] = ()
    highest: Sequence[float] = ()
    resolution: float = 0.0
    fired: Sequence[int] = ()
    others: float | None = None


def read_job(text: str) -> Job:
    """Return a job from its JSON."""
    return Job(**json.loads(text))


def write_found(found: Found, path: Path) -> None:
    """Write what was measured to a file, whole or not at all."""
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(asdict(found)))
    draft.rename(path)


def read_found(path: Path) -> Found:
    """Return what was measured from its file."""
    return found_of(json.loads(path.read_text()))


def found_of(values: Mapping[str, Any]) -> Found:
    """Return what was measured from the values of its JSON."""
    return Found(**{**values, "parts": tuple(Part(**part) for part in values["parts"])})
