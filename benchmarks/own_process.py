"""A measurement in a process of its own, so that neither memory nor caches are those of another."""

import multiprocessing
from collections.abc import Callable
from typing import Any


def in_own_process(measure: Callable[..., None], *given: Any) -> dict[str, Any]:
    """Return what ``measure(*given, answer)`` sends to ``answer``, the end of a pipe."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=measure, args=(*given, theirs))
    process.start()
    theirs.close()
    found: dict[str, Any] = ours.recv()
    process.join()
    return found
