"""The other tools: where they run, which of their options, how much of the work, which goals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SMALL, GPT2 = "small", "gpt2"
RUNS = {SMALL: 2, GPT2: 1}
"""Runs of Millrace before and after each tool: its short ones vary more."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A tool with some of its options.

    options: in words, as the tool's script knows them. more: what it makes that a snapshot does
    not hold. without: what a snapshot holds that it does not make. amount: how much of the work at
    each shape, in the tool's own unit; 0 all of it. points: shape and samples at which it runs.
    """

    tool: str
    options: str
    more: str
    without: str
    amount: dict[str, int]
    points: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Peer:
    """A tool. module: what runs it. k: contexts per feature that Millrace keeps beside it."""

    name: str
    module: str
    k: int
    variants: Sequence[Variant]


@dataclass(frozen=True, slots=True)
class Goal:
    """At least ``ratio`` times Millrace's time.

    options: "" for all that were measured, which do the same in the stages meant; the median
    counts. part: of the tool's stages, those whose names begin so.
    """

    tool: str
    options: str
    shape: str
    samples: int
    ratio: float
    part: str = ""


_ALL = ((SMALL, 128), (SMALL, 512), (SMALL, 2048), (GPT2, 128), (GPT2, 512))

SAEDASHBOARD = Peer(
    "saedashboard",
    "benchmarks.peers.run_saedashboard",
    20,
    (
        Variant(
            "saedashboard",
            "defaults",
            "logit tables and histograms, correlations with neurons and within 128 features, "
            "quantiles, 5 examples of each of 5 intervals",
            "statistics of all features in one table, clusters",
            {SMALL: 6, GPT2: 4},
            _ALL,
        ),
        Variant(
            "saedashboard",
            "top contexts only",
            "logit tables and histograms, correlations, quantiles",
            "as above",
            {SMALL: 6, GPT2: 4},
            ((SMALL, 512), (GPT2, 128)),
        ),
    ),
)

SAE_VIS = Peer(
    "sae_vis",
    "benchmarks.peers.run_sae_vis",
    20,
    (
        Variant(
            "sae_vis",
            "defaults",
            "logit tables and histograms, correlations with all features, quantiles, 5 examples of "
            "each of 10 intervals, effect on the loss of every context",
            "activations of a context beyond 5 tokens on either side",
            {SMALL: 16, GPT2: 6},
            ((SMALL, 128), (SMALL, 512), (GPT2, 128)),
        ),
        Variant(
            "sae_vis",
            "top contexts and histogram",
            "correlations, quantiles, effect on the loss at the peak of every context "
            "(cannot be switched off)",
            "activations of a context but for the peak's",
            {SMALL: 16, GPT2: 6},
            ((SMALL, 128),),
        ),
    ),
)

DELPHI = Peer(
    "delphi",
    "benchmarks.peers.run_delphi",
    100,
    (
        Variant(
            "delphi",
            "min_examples 20",
            "all activations kept on disk, contexts where a latent is silent",
            "histogram, sums, extremes; latents with fewer than 20 windows",
            {SMALL: 256, GPT2: 256},
            _ALL,
        ),
        Variant(
            "delphi",
            "min_examples 200",
            "as above",
            "as above, with 200 windows",
            {SMALL: 256, GPT2: 256},
            ((SMALL, 512), (GPT2, 128)),
        ),
    ),
)

PEERS = (SAEDASHBOARD, SAE_VIS, DELPHI)

GOALS = (
    Goal("saedashboard", "defaults", GPT2, 128, 5),
    Goal("saedashboard", "defaults", SMALL, 512, 10),
    Goal("sae_vis", "defaults", SMALL, 128, 100),
    Goal("sae_vis", "defaults", GPT2, 128, 100),
    Goal("delphi", "min_examples 20", SMALL, 512, 6),
    Goal("delphi", "min_examples 20", GPT2, 128, 6),
    Goal("delphi", "", SMALL, 512, 1.6, part="cache"),
    Goal("delphi", "", GPT2, 128, 1.6, part="cache"),
)


def due(peer: Peer, shape: str, samples: int) -> Iterator[Variant]:
    """Yield the variants of a tool that run at a point."""
    for variant in peer.variants:
        if (shape, samples) in variant.points:
            yield variant
