"""Tuning for the model and sources of some settings: each dtype that is asked for, in turn."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from consumers.tuning.tuning import THOROUGH
from millrace.auto_settings import first_batch
from millrace.prepared_run import corpus_and_text
from millrace.progress_bars import spinner
from streams.errors import ModelError
from streams.transport.connect import connect

if TYPE_CHECKING:
    from consumers.activations.torch_engine import TorchEngine
    from consumers.runs.specs import RunSpec
    from consumers.tuning.tuning_run import Advice
    from millrace.settings import Settings
    from streams.records.corpus import CorpusRecord


@dataclass(frozen=True, slots=True)
class Tuned:
    """What was measured on what. rows: of a batch, each of ``context`` tokens."""

    model: str
    sample: str
    rows: int
    context: int
    advice: tuple["Advice", ...]


def tuned(settings: "Settings", dtypes: Sequence[str], seconds: float) -> Tuned:
    """Return the advice for the model, sources and context of some settings.

    dtypes: empty for those worth measuring on the device. Raises what creating the run would, and
    ModelError if nothing could be measured.
    """
    spec, client = settings.run_spec(), connect(settings.access)
    corpus, text = corpus_and_text(client, settings)
    sample = first_batch(client, corpus, text)
    with spinner("measuring micro-batches"):
        from consumers.models.devices import pick_device
        from consumers.models.dtypes import measured_dtypes
        from consumers.tuning.tuning_run import compare_dtypes, random_sample

        wanted = tuple(dict.fromkeys(dtypes)) or measured_dtypes(pick_device(spec.model.device))
        rows = corpus.batch_rows
        effort = replace(THOROUGH, seconds=seconds)
        engines = _engines(spec, corpus, wanted)
        advice = tuple(compare_dtypes(engines, sample or random_sample(corpus, rows), rows, effort))
    if all(one.best is None for one in advice):
        refused = next((one.refused for one in advice if one.refused), "")
        raise ModelError(f"nothing could be measured: {refused or 'not one row fits the memory'}")
    kind = "random token ids" if sample is None else "text"
    return Tuned(spec.model.path, kind, corpus.batch_rows, corpus.context, advice)


def _engines(
    spec: "RunSpec", corpus: "CorpusRecord", dtypes: Sequence[Any]
) -> Iterator["TorchEngine"]:
    from consumers.runs.creation import prepare_run

    for dtype in dtypes:
        model = replace(spec.model, dtype=dtype, micro_batch=1)
        yield prepare_run(replace(spec, model=model), corpus)
