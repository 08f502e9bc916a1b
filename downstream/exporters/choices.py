"""Options that several exporters share, and what they choose from a snapshot."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from downstream.exporters import bands
from downstream.exporters.cluster_ranges import ClusterRange, features_of
from downstream.exporters.clusters import ClusterStream
from downstream.exporters.exporter import Choices, Option
from downstream.exporters.samples import sample_ids
from downstream.exporters.token_strings import TokenStrings
from downstream.reading.snapshot import Snapshot
from streams.errors import ExportError

SOURCE = Option(
    "source", "Dictionary or other source whose features are written.", shown="the only one"
)
EXAMPLES = Option("examples", "Examples per feature and ranking, at most.", default=20)
RANKING = Option("ranking", "Ranking that the best examples are taken from.", shown="the first")
FEATURES = Option(
    "features", "Features by their index: 0-99,512; @FILE has one a line.", shown="all"
)
INTERVALS = Option(
    "interval-examples",
    "Examples per fifth of the largest activation, where the run ranks by intervals.",
    default=5,
)
BATCH = Option("batch", "Features per file.", default=128)

_MOST_EXAMPLES = 2**17
_LONGEST_LIST = 2**24


def positive(choices: Choices, name: str, most: int = _MOST_EXAMPLES) -> int:
    """Return a number that was chosen; raises ExportError unless it lies between 1 and ``most``."""
    found: int = choices[name]
    if not 1 <= found <= most:
        raise ExportError(f"--{name} {found} is not between 1 and {most:,}")
    return found


def ranking(snapshot: Snapshot, choices: Choices) -> str:
    """Return the ranking of the best examples; raises ExportError, naming those there are."""
    wanted: str | None = choices["ranking"]
    known = snapshot.rankings
    if wanted is None:
        return known[0]
    if wanted not in known:
        raise ExportError(f"there is no ranking {wanted!r} (there are: {', '.join(known)})")
    return wanted


def indices(text: str | None, most: int) -> set[int] | None:
    """Return the indices that a list names, None for all; each is less than ``most``.

    text: numbers and ranges such as ``0-99,512``, or ``@FILE`` with one of these per line. Raises
    ExportError for anything else.
    """
    if text is None:
        return None
    if text.startswith("@"):
        text = ",".join(_lines(Path(text[1:])))
    found: set[int] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        first, dash, last = part.partition("-")
        ends = (first, last) if dash else (first, first)
        if not all(end.isascii() and end.isdecimal() and len(end) < 10 for end in ends):
            raise ExportError(f"--features: {part[:40]!r} is no index or range such as 0-99")
        begin, stop = int(ends[0]), int(ends[1]) + 1
        if stop <= begin or stop > most:
            raise ExportError(f"--features: {part[:40]!r} is not among the {most:,} there are")
        found.update(range(begin, stop))
    if not found:
        raise ExportError("--features names none")
    return found


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST_LIST + 1)
    except OSError as error:
        raise ExportError(f"--features: cannot read {path}: {error.strerror or error}") from error
    if len(data) > _LONGEST_LIST:
        raise ExportError(f"--features: {path} is too long")
    return data.decode(errors="replace").splitlines()


@contextmanager
def feature_stream(
    snapshot: Snapshot, choices: Choices, folder: Path, range_: ClusterRange | None = None
) -> Iterator[ClusterStream]:
    """Yield the features that were chosen; ``folder`` is where a file may grow meanwhile.

    range_: by default that of the chosen source. The batch's size is 128 where none is chosen.
    """
    chosen = features_of(snapshot, choices["source"]) if range_ is None else range_
    size = positive(choices, "batch") if "batch" in choices else 128
    most = positive(choices, "examples")
    wanted = indices(choices.get("features"), len(chosen))
    best, per_band = ranking(snapshot, choices), choices.get(INTERVALS.name, 0)
    if not 0 <= per_band <= _MOST_EXAMPLES:
        raise ExportError(f"--{INTERVALS.name} {per_band} is not between 0 and {_MOST_EXAMPLES:,}")
    if bands.RANKING not in snapshot.rankings or best == bands.RANKING:
        per_band = 0
    with sample_ids(snapshot, folder) as samples:
        strings = TokenStrings(snapshot)
        yield ClusterStream(snapshot, chosen, samples, strings, best, most, per_band, wanted, size)
