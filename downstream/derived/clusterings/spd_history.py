"""SPD's merge history: a zip of which group each component is in at every iteration.

Read of it are ``labels.txt``, a component per line, ``merge.group_idxs.npy``, the group of each
component [iteration, component], and of ``metadata.json`` how many iterations were made
(``n_iters_current``); rows beyond them are not filled. SPD writes such files as ``history.zip`` or
``history.npz``. Arrays are read as plain numbers, never as pickled objects.
"""

import io
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from downstream.derived.clusterings.merge_history import ClusterMapping, check_labels
from streams.arrays import I64
from streams.bounds import MAX_CLUSTERS
from streams.errors import ModelError, SettingsError
from streams.strict_json import JsonError, parse_json

_MOST_BYTES = 2**30
_MOST_TEXT = 64 * 2**20


def is_zip(path: Path) -> bool:
    """Return whether a file is a zip archive, by its content."""
    return path.is_file() and zipfile.is_zipfile(path)


def read_spd_history(path: Path, iterations: Sequence[int]) -> list[ClusterMapping]:
    """Return the clusters at some iterations, by default at the last one.

    A cluster is labelled by the number of its group. Raises ModelError for what is no such archive,
    SettingsError for an iteration that was not made.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            labels = _member(archive, "labels.txt", _MOST_TEXT).decode().splitlines()
            if not 0 < len(labels) <= MAX_CLUSTERS:
                raise ValueError("has no labels")
            check_labels(labels)
            made = _made(archive)
            wanted = list(iterations) or [made - 1]
            if late := next((each for each in wanted if each >= made), None):
                raise SettingsError(f"{path} has iterations 0 to {made - 1:,}, and no {late:,}")
            groups = _groups(archive, made, len(labels), wanted)
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ModelError(f"{path} cannot be read as a zip archive: {error}") from error
    except (JsonError, ValueError) as error:
        raise ModelError(f"{path} {error}") from error
    return [
        ClusterMapping(path.stem, iteration, _clusters(labels, row))
        for iteration, row in zip(wanted, groups, strict=True)
    ]


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Return a file of the archive; raises ValueError if there is none, or a larger one."""
    try:
        size = archive.getinfo(name).file_size
    except KeyError:
        raise ValueError(f"has no {name}: it is no merge history of SPD") from None
    if size > most:
        raise ValueError(f"has a {name} of {size:,} bytes, more than the {most:,} read here")
    with archive.open(name) as opened:
        return opened.read(most)  # whatever the directory says of its size


def _made(archive: zipfile.ZipFile) -> int:
    """Return how many iterations were made, at least one."""
    found = parse_json(_member(archive, "metadata.json", _MOST_TEXT), _MOST_TEXT)
    made = found.get("n_iters_current") if isinstance(found, dict) else None
    if type(made) is not int or not 0 < made < 2**31:
        raise ValueError("says of no iteration in its metadata.json that it was made")
    return made


def _groups(
    archive: zipfile.ZipFile, made: int, components: int, wanted: Sequence[int]
) -> list[I64]:
    """Return the group of each component at the wanted iterations, [component] each."""
    name = "merge.group_idxs.npy"
    stored = io.BytesIO(_member(archive, name, _MOST_BYTES))
    version = np.lib.format.read_magic(stored)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"has a {name} of version {version}")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else None
    shape, fortran, dtype = (header or np.lib.format.read_array_header_2_0)(stored)
    if len(shape) != 2 or shape[1] != components or shape[0] < made or dtype.kind not in "iu":
        raise ValueError(
            f"has a {name} of {dtype} {list(shape)}, which is no group of {components:,} "
            f"components at {made:,} iterations"
        )
    if len(stored.getbuffer()) - stored.tell() != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"has a {name} that was cut off")
    flat = np.frombuffer(stored.getbuffer(), dtype, offset=stored.tell())
    whole = flat.reshape(shape, order="F" if fortran else "C")
    found = [whole[each].astype(np.int64) for each in wanted]
    if any((row < 0).any() for row in found):
        raise ValueError(f"has a {name} with components in no group")
    return found


def _clusters(labels: Sequence[str], group: I64) -> dict[str, list[str]]:
    """Return the components of each group, in the order of the labels."""
    found: dict[str, list[str]] = {}
    for label, number in zip(labels, group.tolist(), strict=True):
        found.setdefault(str(number), []).append(label)
    return found
