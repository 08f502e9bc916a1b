"""Features as SAEDashboard and Neuronpedia know them: the fields that both formats share."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from downstream.exporters import bands
from downstream.exporters.clusters import ClusterRow, ExampleRow, float32
from downstream.exporters.histograms import bars
from downstream.exporters.logit_lens import Lens
from downstream.exporters.naming import sign_notes
from downstream.reading.snapshot import Snapshot

TOP = -1.0
"""What ``bin_min`` and ``bin_contains`` are of the group of the largest activations."""


@dataclass(slots=True)
class Rounding:
    """How numbers are written: to so many decimals, or as the shortest that reads as the float32.

    lost: activations so far that became 0.
    """

    decimals: int | None = None
    lost: int = 0

    @property
    def each(self) -> Callable[[float], float] | None:
        """What rounds an activation, None if nothing is rounded."""
        return None if self.decimals is None else self

    def __call__(self, value: float) -> float:
        """Return an activation as it is written."""
        if self.decimals is None:
            return float32(value)
        found = round(value, self.decimals)
        self.lost += found == 0 != value
        return found

    def all(self, values: Sequence[float]) -> list[float]:
        """Return numbers as they are written."""
        if self.decimals is None:
            return [float32(value) for value in values]
        return [float(value) for value in np.round(values, self.decimals)]


@dataclass(frozen=True)
class DashboardFeatures:
    """Makes the shared fields of a feature; what a snapshot cannot tell is an empty list."""

    snapshot: Snapshot
    lens: Lens | None
    rounding: Rounding

    def fields(self, row: ClusterRow) -> dict[str, Any]:
        """Return the fields that describe a feature, in SAEDashboard's order and by its names."""
        histogram = bars(row.numbers, self.snapshot.about["edges"])
        lens = self.lens.of(row.index) if self.lens else None
        show = self.rounding.all
        return {
            "neuron_alignment_indices": [],
            "neuron_alignment_values": [],
            "neuron_alignment_l1": [],
            "correlated_neurons_indices": [],
            "correlated_neurons_l1": [],
            "correlated_neurons_pearson": [],
            "correlated_features_indices": [],
            "correlated_features_l1": [],
            "correlated_features_pearson": [],
            "neg_str": lens.bottom_tokens if lens else [],
            "neg_values": show(lens.bottom_values) if lens else [],
            "pos_str": lens.top_tokens if lens else [],
            "pos_values": show(lens.top_values) if lens else [],
            "frac_nonzero": row.numbers["activation_density"],
            "freq_hist_data_bar_values": show(histogram.middles),
            "freq_hist_data_bar_heights": list(map(float, histogram.counts)),
            "logits_hist_data_bar_heights": list(map(float, lens.bar_counts)) if lens else [],
            "logits_hist_data_bar_values": show(lens.bar_middles) if lens else [],
        }

    def groups(self, row: ClusterRow) -> Iterator[tuple[ExampleRow, float, float, float]]:
        """Yield the examples of a feature with bin_min, bin_max and bin_contains of their group.

        That is the group of the best, and bands where there are any, the highest first.
        """
        largest = row.numbers["max_activation"]
        for example in row.examples:
            yield example, TOP, self.rounding(largest), TOP
        if row.bands:
            cuts = self.rounding.all(bands.borders(largest))
            parts = bands.shares(row.numbers, self.snapshot.about["edges"])
        for band, examples in row.bands.items():
            for example in examples:
                yield example, cuts[band], cuts[band + 1], parts[band]


def dataset_of(snapshot: Snapshot) -> dict[str, Any]:
    """Return the fields that say what text a feature was seen on."""
    (totals,) = snapshot.table("totals").to_pylist()
    return {
        "n_prompts_total": totals["rows"],
        "n_tokens_in_prompt": int(snapshot.about["context"]),
        "dataset": str(snapshot.about.get("corpus", "")),
    }


def notes(features: DashboardFeatures, source: str) -> list[str]:
    """Return what the files of a source do not hold, and what was rounded away."""
    found = [
        *sign_notes(features.snapshot, source),
        "empty, since a snapshot does not have them: neuron alignment, correlated neurons and "
        "features, decoder weight distribution, vector",
        "activation histograms are made from the run's bins: totals are exact, borders are not",
    ]
    if bands.RANKING not in features.snapshot.rankings:
        found.append("no examples by interval: the run has no ranking intervals")
    if features.lens is None:
        found.append("empty, since no logit lens is attached: top and bottom tokens, logits")
    if features.rounding.lost:
        found.append(
            f"{features.rounding.lost:,} activations became 0 when they were rounded: "
            "--decimals keeps more"
        )
    return found
