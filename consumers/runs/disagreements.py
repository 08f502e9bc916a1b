"""Where a run does otherwise than its dictionaries were trained, in one line each."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from consumers.sources.training import Training
from streams.records.corpus import CorpusRecord

_SHOWN = 5
_LISTED = 32


def disagreements(
    trained: Mapping[str, Training],
    corpus: CorpusRecord,
    model: str,
    masked_ids: Collection[int],
    masked_positions: Collection[int],
    separators: Callable[[str], int | str | None] = str,
) -> tuple[str, ...]:
    """Return what the corpus or the run does otherwise than the dictionaries were trained.

    trained: by the dictionary's name. model: where the run's model is from. separators: the id
    that a setting of ``corpus.separator`` means, None for none, the setting itself if that cannot
    be told.
    """
    found = [*_different_bos(trained)]
    for name, training in trained.items():
        what = f"dictionary {name!r} was trained"
        found += [f"{what} {line}" for line in _bos(training, corpus)]
        found += [f"{what} {line}" for line in _rows(training, corpus)]
        found += [f"{what} {line}" for line in _separator(training, corpus, separators)]
        found += [f"{what} {line}" for line in _unseen(training, corpus, masked_ids)]
        found += [f"{what} {line}" for line in _positions(training, corpus, masked_positions)]
        found += [f"{what} {line}" for line in _model(training, model)]
    return tuple(found)


def _different_bos(trained: Mapping[str, Training]) -> Iterator[str]:
    by_bos = {one.prepend_bos: name for name, one in reversed(list(trained.items()))}
    if True in by_bos and False in by_bos:
        yield (
            f"dictionary {by_bos[True]!r} was trained on rows that begin with a BOS, "
            f"{by_bos[False]!r} on rows without: set corpus.bos, or put them into two runs"
        )


def _bos(training: Training, corpus: CorpusRecord) -> Iterator[str]:
    if training.prepend_bos is True and corpus.bos_id is None:
        yield (
            f"on rows that begin with a BOS (prepend_bos), rows of corpus {corpus.name} have none: "
            "produce it with --bos under another name"
        )
    if training.prepend_bos is False and corpus.bos_id is not None:
        yield (
            f"on rows without a BOS (prepend_bos), rows of corpus {corpus.name} begin with id "
            f"{corpus.bos_id}: produce it with --no-bos under another name"
        )


def _rows(training: Training, corpus: CorpusRecord) -> Iterator[str]:
    if training.context and corpus.context > training.context:
        yield (
            f"at {training.context} tokens of context, corpus {corpus.name} has rows of "
            f"{corpus.context}"
        )
    if training.separate and corpus.pack:
        yield (
            f"on rows of one document each (disable_concat_sequences), corpus {corpus.name} packs "
            "several into a row"
        )


def _separator(
    training: Training, corpus: CorpusRecord, ids: Callable[[str], int | str | None]
) -> Iterator[str]:
    wanted = training.separator
    if wanted is None or training.separate or not corpus.pack:
        return
    chosen = next((one.value for one in corpus.choices if one.name == "separator"), "eos")
    if wanted == chosen or (wanted if type(wanted) is int else ids(str(wanted))) == ids(chosen):
        return
    named = f"id {wanted}" if type(wanted) is int else f"{wanted!r}"
    setting = "the spelling of that token" if type(wanted) is int or wanted == "sep" else named
    yield (
        f"with {named} between documents that share a row (sequence_separator_token), corpus "
        f"{corpus.name} has {chosen!r} there: produce it with corpus.separator = {setting} under "
        "another name"
    )


def _unseen(training: Training, corpus: CorpusRecord, masked: Collection[int]) -> Iterator[str]:
    excluded: Sequence[int]
    excluded = corpus.special_ids if training.excluded is True else training.excluded or ()
    if counted := sorted(set(excluded) - set(masked)):
        special = set(corpus.special_ids)
        advice = []
        if special & set(counted):
            advice.append("set run.mask_special = true")
        if others := [i for i in counted if i not in special]:
            advice.append(_advice("run.mask_ids", others, set(masked) - special))
        yield (
            f"without some tokens (exclude_special_tokens) that the run counts, ids "
            f"{_some(counted)}: {' and '.join(advice)}"
        )


def _positions(training: Training, corpus: CorpusRecord, masked: Collection[int]) -> Iterator[str]:
    if not training.positions:
        return
    # What a slice takes depends on the length of the rows that it was applied to.
    length = max(training.context or corpus.context, corpus.context)
    seen = range(length)[slice(*training.positions)]
    if counted := sorted(set(range(corpus.context)) - set(seen) - set(masked)):
        taken = ", ".join(map(str, training.positions))
        yield (
            f"on some positions of a row alone (seqpos_slice {taken}), and the run counts others, "
            f"{_some(counted)}: {_advice('run.mask_positions', counted, masked)}"
        )


def _model(training: Training, location: str) -> Iterator[str]:
    """Compare names; a folder may be called anything, and says nothing by its name."""
    if training.model and "/" not in location[:1] and not location.startswith((".", "~")):
        one, other = (name.rpartition("/")[2].lower() for name in (training.model, location))
        if one != other and not {one, other} <= {"gpt2", "gpt2-small"}:
            yield f"on model {training.model}, the run reads {location}"


def _advice(setting: str, numbers: Sequence[int], there: Collection[int]) -> str:
    """Return what to do that a setting holds these ascending numbers beside those there."""
    if len(numbers) > _LISTED:
        return f"add the numbers {_ranges(numbers)} to {setting}"
    listed = f"[{', '.join(map(str, numbers))}]"
    return f"add {listed} to {setting}" if there else f"set {setting} = {listed}"


def _ranges(numbers: Sequence[int]) -> str:
    """Return ascending numbers by their first and last runs: "5", "3 to 9", "3 to 9, 64 to 127"."""
    runs = [
        [number for _, number in run]
        for _, run in groupby(enumerate(numbers), lambda place: place[1] - place[0])
    ]
    named = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    return _some(named)


def _some(numbers: Iterable[object]) -> str:
    listed = list(numbers)
    shown = ", ".join(map(str, listed[:_SHOWN]))
    return f"{shown}, ..." if len(listed) > _SHOWN else shown
