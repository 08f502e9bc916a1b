"""Tuning for the model and sources of some settings, with a bar per dtype."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rich.progress import Progress as Bars
from rich.progress import TaskID

from consumers.tuning.tuning import THOROUGH
from millrace.auto_settings import first_batch
from millrace.prepared_run import corpus_and_text
from millrace.progress_bars import bars
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
    """Return the advice for the model, sources and context of some settings, with bars meanwhile.

    dtypes: empty for those worth measuring on the device. Raises what creating the run would, and
    ModelError if nothing could be measured.
    """
    spec, client = settings.run_spec(), connect(settings.access)
    corpus, text = corpus_and_text(client, settings)
    sample = first_batch(client, corpus, text)
    with bars() as shown:
        loading = shown.add_task("loading", total=None)
        shown.start()
        from consumers.models.devices import pick_device
        from consumers.models.dtypes import measured_dtypes
        from consumers.tuning.tuning_run import compare_dtypes, random_sample

        wanted = tuple(dict.fromkeys(dtypes)) or measured_dtypes(pick_device(spec.model.device))
        found = compare_dtypes(
            _engines(spec, corpus, wanted),
            sample or random_sample(corpus, corpus.batch_rows),
            corpus.batch_rows,
            replace(THOROUGH, seconds=seconds),
            lambda dtype: _bar(shown, loading, dtype),
        )
        advice = tuple(found)
        for task in shown.tasks:
            shown.update(task.id, completed=task.total)
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


def _bar(shown: Bars, loading: TaskID, dtype: str) -> Callable[[int, int, int], None]:
    """Return what moves the bar of a dtype; ``loading`` goes away when the first one moves."""
    task = shown.add_task(dtype, total=None, unit="figures")
    shown.update(loading, visible=False)

    def seen(done: int, total: int, size: int) -> None:
        shown.update(task, completed=done, total=total, description=f"{dtype} x {size}")

    return seen
