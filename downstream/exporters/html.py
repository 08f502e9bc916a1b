"""Self-contained HTML: a page per feature or cluster that opens without a server or a network.

Nothing in a page runs, and its own policy forbids it to load anything. Of several features or
clusters there is a page each and an ``index.html`` that links them.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import pairwise
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from downstream.exporters import choices as shared
from downstream.exporters.cluster_ranges import SINGLES, features_of
from downstream.exporters.exporter import Choices, Option
from downstream.exporters.histograms import bars, quantiles
from downstream.exporters.logit_lens import CONVENTION, Lens, LensRow, find_lens
from downstream.exporters.naming import sign_notes
from downstream.exporters.staging import Staging
from downstream.exporters.token_strings import TokenStrings
from downstream.reading.cluster import Cluster
from downstream.reading.examples import Example
from downstream.reading.snapshot import Snapshot
from downstream.reading.token_text import readable
from streams.errors import ExportError, SnapshotError

LEVELS = 16
_WIDTH, _HEIGHT = 480.0, 90.0
_MOST = 10_000
_NEIGHBOURS = 10
_SHARES = (0.5, 0.99)

_CLUSTERS = Option("cluster", "Label of a cluster to write; may be repeated.", many=True)
_CLUSTERING = Option("clustering", "Clustering of these clusters.", shown="the only one")
_ITERATION = Option("iteration", "Iteration of the clustering.", default=0)
_FEATURES = Option("features", "Features by their index: 88, or 0-99,512; @FILE has one a line.")


class Html:
    """Writes one file for one feature or cluster, a folder for several."""

    name = "html"
    summary = "Self-contained HTML: a file for one feature or cluster, a folder for several."
    options = (
        _FEATURES,
        shared.SOURCE,
        _CLUSTERS,
        _CLUSTERING,
        _ITERATION,
        shared.RANKING,
        shared.EXAMPLES,
        CONVENTION,
    )

    def export(self, snapshot: Snapshot, choices: Choices, out: Staging) -> Sequence[str]:
        """Write the pages, and the index of several last."""
        ranking, most = shared.ranking(snapshot, choices), shared.positive(choices, "examples")
        chosen = list(_chosen(snapshot, choices))
        pages = _Pages(snapshot, ranking, most, choices["convention"])
        if len(chosen) == 1:
            out.write(out.alone, pages.page(chosen[0]))
            return pages.notes()
        listed = []
        for cluster in chosen:
            name = f"{cluster.number}-{_file_name(cluster.label)}.html"
            if not out.has(name):
                out.write(name, pages.page(cluster, "index.html"))
            listed.append((name, cluster))
        out.write("index.html", pages.index(listed))
        return pages.notes()


@dataclass(frozen=True, slots=True)
class ShadedToken:
    """A token as it is shown. level: its activation in 16 steps of the largest, 0 for none."""

    text: str
    level: int
    title: str
    peak: bool


def _chosen(snapshot: Snapshot, choices: Choices) -> Iterator[Cluster]:
    """Yield what is to be written; raises ExportError for nothing, or too much."""
    if choices["features"] is None and not choices["cluster"]:
        raise ExportError("say which --features or --cluster")
    if choices["features"] is not None:
        features = features_of(snapshot, choices["source"])
        found = shared.indices(choices["features"], len(features)) or set()
        if len(found) > _MOST:
            raise ExportError(
                f"--features: {len(found):,} pages are more than the {_MOST:,} allowed"
            )
        source = features.clustering.partition("/")[2]
        for index in sorted(found):
            yield snapshot.feature(f"{source}:{index}")
    for label in dict.fromkeys(choices["cluster"]):
        try:
            yield snapshot.cluster(label, choices["clustering"], choices["iteration"])
        except SnapshotError as error:
            raise ExportError(str(error)) from error


@dataclass(frozen=True)
class _Pages:
    """Makes the pages of a snapshot."""

    snapshot: Snapshot
    ranking: str
    most: int
    convention: str
    lenses: dict[str, tuple[int, Lens | None]] = field(default_factory=dict)

    def page(self, cluster: Cluster, back: str = "") -> bytes:
        """Return the page of a cluster; back: the address of the index."""
        examples = cluster.examples(self.ranking, self.most)
        return self._rendered(
            "cluster.html",
            title=f"{cluster.clustering} {cluster.label}",
            cluster=cluster,
            numbers=_numbers(cluster, self.snapshot),
            bars=_drawing(cluster, self.snapshot),
            size=(_WIDTH, _HEIGHT),
            examples=[(example, _shaded(example)) for example in examples],
            neighbours=_neighbours(cluster, self.snapshot.tables),
            lens=self._lens(cluster),
            annotations=self.snapshot.annotations.of(
                cluster.clustering, cluster.iteration, cluster.label
            ),
            back=back,
        )

    def index(self, listed: Sequence[tuple[str, Cluster]]) -> bytes:
        """Return the list of the pages."""
        return self._rendered("index.html", title=f"{self.snapshot.run}", listed=listed)

    def notes(self) -> list[str]:
        """Return how the pages were made."""
        return [
            "the histogram's bars and the quantiles are made from the run's bins",
            *sign_notes(self.snapshot),
        ]

    def _lens(self, cluster: Cluster) -> LensRow | None:
        """Return the logit lens of a single feature, if one is attached."""
        if not cluster.clustering.startswith(SINGLES):
            return None
        source, index = cluster.clustering.removeprefix(SINGLES), int(cluster.label)
        last, lens = self.lenses.get(source, (index + 1, None))
        if last > index:  # they are read in the order of the features
            lens = find_lens(self.snapshot, source, self.strings, self.convention)
        self.lenses[source] = (index, lens)
        return lens.of(index) if lens else None

    @cached_property
    def strings(self) -> TokenStrings:
        """The tokens as strings."""
        return TokenStrings(self.snapshot)

    def _rendered(self, template: str, **values: Any) -> bytes:
        about = self.snapshot.about
        return (
            _template(template)
            .render(
                snapshot=self.snapshot,
                model=str(about.get("model", "")),
                corpus=str(about.get("corpus", "")),
                ranking=self.ranking,
                **values,
            )
            .encode()
        )


@cache
def _template(name: str) -> Template:
    environment = Environment(
        loader=PackageLoader("downstream.exporters"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def _file_name(label: str) -> str:
    """Return a label as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", label)[:60].strip("-") or "unnamed"


def _numbers(cluster: Cluster, snapshot: Snapshot) -> list[tuple[str, str]]:
    row = cluster.numbers
    found = [
        ("activation density", f"{row['activation_density']:.4%}"),
        ("active tokens", f"{row['firing_tokens']:,}"),
        ("active rows", f"{row['firing_rows']:,}"),
        ("largest activation", f"{row['max_activation']:.5g}"),
        ("mean where active", f"{row['mean_activation']:.5g}"),
        ("smallest where active", f"{row['min_activation']:.5g}"),
    ]
    shares = quantiles(row, snapshot.about["edges"], _SHARES)
    named = zip(("median, about", "99th percentile, about"), shares, strict=False)
    return found + [(name, f"{value:.3g}") for name, value in named]


def _drawing(cluster: Cluster, snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return the bars of the histogram as rectangles with a title."""
    found = bars(cluster.numbers, snapshot.about["edges"])
    top = max(found.counts, default=0)
    step = _WIDTH / max(len(found.counts), 1)
    return [
        {
            "x": round(number * step, 2),
            "width": round(max(step - 1, 1), 2),
            "y": round(_HEIGHT - max(1.0, _HEIGHT * count / top), 2),
            "height": round(max(1.0, _HEIGHT * count / top), 2),
            "title": f"{low:.4g} to {high:.4g}: {count:,} tokens",
        }
        for number, (count, (low, high)) in enumerate(
            zip(found.counts, pairwise(found.edges), strict=True)
        )
        if count
    ]


def _shaded(example: Example) -> list[ShadedToken]:
    """Return the tokens of an example with their shades."""
    found = []
    for at, pieces in enumerate(readable(example.tokens)):
        value = example.activations[at]
        share = min(1.0, value / example.scale) if example.scale > 0 else 0.0
        level = max(1, round(LEVELS * share)) if value > 0 else 0
        title = f"{value:.4g} at position {at}, token {example.token_ids[at]}"
        text = "".join(piece.text for piece in pieces)
        found.append(ShadedToken(text, level, title, at == example.peak))
    return found


def _neighbours(cluster: Cluster, tables: Collection[str]) -> list[dict[str, Any]]:
    if not cluster.numbers.get("coactivation_counted") or "coactivation" not in tables:
        return []
    return cluster.coactivation(_NEIGHBOURS).to_pylist()
