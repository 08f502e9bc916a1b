"""A feature found by its label ``source:index`` among the sources of a run."""

from collections.abc import Sequence

from streams.asking.question import split_label
from streams.errors import QuestionError
from streams.records.runs import Source


def find_feature(label: str, sources: Sequence[Source]) -> tuple[int, int]:
    """Return the number of a feature's source and its index there; QuestionError for no feature."""
    name, index = split_label(label)
    for number, source in enumerate(sources):
        if source.name == name:
            if index >= source.components:
                raise QuestionError(
                    f"there is no feature {label}: {name} has {source.components:,}, from 0 on"
                )
            return number, index
    known = ", ".join(source.name for source in sources)
    raise QuestionError(f"there is no feature {label}: the sources are {known}")
