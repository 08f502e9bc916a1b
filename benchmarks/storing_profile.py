"""Where the storing step spends its time and memory: cProfile's functions, tracemalloc's peak."""

import cProfile
import pstats
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Ways = Mapping[str, Callable[[], object]]
_Function = tuple[str, int, str]  # file, line, name
_MEBIBYTE = 2**20


def profile(shape: str, ways: Ways, most: int = 4) -> list[dict[str, Any]]:
    """Return, per way, the functions with the most time of their own, as cProfile measures it.

    The profiler makes calls slower than they are, so shares say where to look and not how long.
    """
    rows = []
    for way, store in ways.items():
        profiler = cProfile.Profile()
        profiler.runcall(store)
        stats: dict[_Function, tuple[Any, ...]] = vars(pstats.Stats(profiler))["stats"]
        own = {function: (calls, seconds) for function, (_, calls, seconds, *_) in stats.items()}
        whole = sum(seconds for _, seconds in own.values())
        slowest = sorted(own.items(), key=lambda item: -item[1][1])[:most]
        rows += [
            {
                "shape": shape,
                "way": way,
                "function": name if file == "~" else f"{Path(file).stem}.{name}",
                "calls": calls,
                "own ms": 1e3 * seconds,
                "share": seconds / whole,
            }
            for (file, _, name), (calls, seconds) in slowest
        ]
    return rows


def peaks(shape: str, ways: Ways) -> list[dict[str, Any]]:
    """Return the most memory in MiB that each way took from Python and NumPy at a time.

    What the batch itself takes is not in it, nor what a way had before.
    """
    rows = []
    for way, store in ways.items():
        tracemalloc.start()
        try:
            result = store()
            rows.append(
                {"shape": shape, "way": way, "MiB": tracemalloc.get_traced_memory()[1] / _MEBIBYTE}
            )
            del result
        finally:
            tracemalloc.stop()
    return rows
