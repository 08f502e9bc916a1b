"""The ways to run the service that ``efficiency`` compares with the floor."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.machine import cores
from benchmarks.shapes import Built
from consumers.runs.specs import DictionarySpec, Dtype, ModelSpec, RunSpec
from streams.records.runs import Forward

MICRO_BATCH = 8
K = 100
GOAL_TOKENS = 262_144


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to run the service.

    forward and dtype: as in the settings. kafka: on Apache Kafka on the same cores, instead of the
    embedded transport. goals: the efficiency to be reached from ``GOAL_TOKENS`` on, by shape.
    """

    name: str
    forward: Forward | Literal["auto"] = "auto"
    dtype: Dtype = "float32"
    kafka: bool = False
    goals: Mapping[str, float] = field(default_factory=dict)

    def spec(self, built: Built, store: Path) -> RunSpec:
        """Return the run: every feature a cluster of one, k = 100, the maximum, no pairs."""
        model = ModelSpec(
            str(built.model),
            device="cpu",
            dtype=self.dtype,
            micro_batch=MICRO_BATCH,
            threads=cores(),
            forward=self.forward,
        )
        dictionary = DictionarySpec("sae", path=str(built.dictionary), coactivation=False)
        return RunSpec(name="loaded", store=str(store), model=model, sources=(dictionary,), k=K)


OWN = Candidate("transformer-lens' forward", "transformer-lens", goals={"gpt2": 0.97, "small": 0.9})
DEFAULT = Candidate("default forward", goals={"gpt2": 1.25, "small": 1.15})
BFLOAT16 = Candidate("bfloat16", dtype="bfloat16", goals={"gpt2": 3.0, "small": 2.0})
KAFKA = Candidate("default forward, Kafka", kafka=True)
EMBEDDED = (OWN, DEFAULT, BFLOAT16)
EVERY = (*EMBEDDED, KAFKA)
KAFKA_GOAL = 0.85
"""What the figure on Kafka is to reach of that on the embedded transport."""
