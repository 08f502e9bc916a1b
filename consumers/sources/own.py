"""A Python class of the user's as a source, named by import path in settings that are trusted.

What it has to be is a protocol, ``OwnComponents``; ``docs/own-source.md`` describes it.
"""

import hashlib
import importlib
import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, get_args

import torch
from torch import Tensor

from consumers.models.language_model import content_of, one_line
from consumers.sources.source import LoadedSource, OpenedSource, WantedSource
from streams.bounds import MAX_CLUSTERS
from streams.errors import ModelError
from streams.records.runs import Sign

_PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_LONGEST_VERSION = 200
_ROWS, _POSITIONS, _FEWER = 4, 6, 3
# How far a value may be from that of other tokens beside it, relative to the largest value: sums
# of other sizes are added in another order.
_CLOSE = 1e-4


class OwnComponents(Protocol):
    """What the class makes: ``Class(width=..., device=..., **options)``.

    Beside these it may have ``sign`` (as in settings, "value" without), ``version`` (a text that
    is part of its identity) and ``whole_rows`` (True: ``encode`` takes and gives [row, position,
    ...], since a component depends on earlier positions).
    """

    components: int

    def encode(self, values: Tensor) -> Tensor:
        """Return components [token, component] of hook values [token, width]; pure."""


class Own:
    """The kind of source for such a class; its location is ``module:Class`` and its options.

    Nothing is imported unless ``WantedSource.trusted`` says that the settings of this very process
    name the same location.
    """

    name = "own"

    def open(self, wanted: WantedSource, device: torch.device) -> OpenedSource:
        """Return the components; raises ModelError for a class that may not be used or is wrong."""
        if not wanted.trusted:
            raise ModelError(
                f"source {wanted.name!r} is computed by {wanted.location}, which the settings here "
                "do not name, and a run record alone has nothing imported: if you trust it, put "
                "its [[own_sources]] into this worker's settings"
            )
        path, _, options = wanted.location.partition("?")
        what = f"source {wanted.name!r}: {path}"
        make = _class_of(path, what)
        hook = str(wanted.hook)

        def of_width(width: int) -> LoadedSource:
            made = _made(make, what, width, device, json.loads(options or "{}"))
            content = _identity(make, made, what)
            whole_rows = getattr(made, "whole_rows", False) is True
            encode = _encoder(made, what, whole_rows)
            _try(encode, what, width, device, whole_rows)
            return LoadedSource(
                wanted.name,
                self.name,
                wanted.location,
                content,
                hook,
                width,
                made.components,
                encode=encode,
                sign=getattr(made, "sign", "value"),
                whole_rows=whole_rows,
            )

        return OpenedSource(hook, of_width)


def _class_of(path: str, what: str) -> Callable[..., Any]:
    """Return what an import path names."""
    if _PATH.fullmatch(path) is None:
        raise ModelError(f"{what} does not read package.module:Class")
    module, _, name = path.partition(":")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except AttributeError as error:
        raise ModelError(f"{what} cannot be imported: {one_line(error)}") from error
    except Exception as error:  # whatever its code raises, the person gets one line
        raise ModelError(
            f"{what} cannot be imported: {one_line(error)}; it has to be installed here, or its "
            "folder named in PYTHONPATH"
        ) from error
    return found


def _made(
    make: Callable[..., Any], what: str, width: int, device: torch.device, options: dict[str, Any]
) -> OwnComponents:
    """Return what the class makes for a hook; raises ModelError unless it follows the protocol."""
    try:
        made: OwnComponents = make(width=width, device=device, **options)
    except Exception as error:
        raise ModelError(
            f"{what} cannot be made: {type(error).__name__}: {one_line(error)}"
        ) from error
    components = getattr(made, "components", None)
    if type(components) is not int or not 1 <= components <= MAX_CLUSTERS:
        raise ModelError(
            f"{what} has components = {components!r}, no whole number from 1 to {MAX_CLUSTERS:,}"
        )
    sign = getattr(made, "sign", "value")
    if sign not in get_args(Sign):
        raise ModelError(f"{what} has the sign {sign!r}: it is one of {', '.join(get_args(Sign))}")
    return made


def _encoder(made: OwnComponents, what: str, whole_rows: bool) -> Callable[[Tensor], Tensor]:
    """Return its ``encode`` in float32, which raises ModelError for what is no such tensor."""

    def encode(values: Tensor) -> Tensor:
        found = made.encode(values)
        wanted = (*values.shape[:-1], made.components)
        if not isinstance(found, Tensor) or tuple(found.shape) != wanted:
            got = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
            axes = "row, position" if whole_rows else "token"
            raise ModelError(
                f"{what} gives {got} for values {list(values.shape)}: it has to be "
                f"[{axes}, component], {list(wanted)}"
            )
        if not found.is_floating_point() or found.device != values.device:
            raise ModelError(
                f"{what} gives {found.dtype} on {found.device}: it has to be floating point on "
                f"{values.device}"
            )
        return found.float()

    return encode


def _try(
    encode: Callable[[Tensor], Tensor], what: str, width: int, device: torch.device, rows: bool
) -> None:
    """Raise ModelError unless components are finite, repeatable and those of their tokens alone."""
    random = torch.Generator().manual_seed(0)
    shape = (_ROWS, _POSITIONS, width) if rows else (_ROWS * _POSITIONS, width)
    values = torch.randn(shape, generator=random).to(device)
    given, unit = values.clone(), "row" if rows else "token"
    try:
        with torch.inference_mode():
            first, fewer, again = (encode(part) for part in (values, values[:_FEWER], values))
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"{what} cannot encode: {type(error).__name__}: {one_line(error)}"
        ) from error
    if not torch.equal(values, given):
        raise ModelError(
            f"{what} changes the values that it is given: other sources read them, too"
        )
    if not first.isfinite().all():
        raise ModelError(f"{what} gives NaN or infinity for random values")
    if not torch.equal(first, again):
        raise ModelError(
            f"{what} gives other components when it is called again with the same values: a batch "
            "that is computed twice has to give the same bits"
        )
    apart = float((first[:_FEWER] - fewer).abs().max())
    if apart > _CLOSE * float(first.abs().max()):
        raise ModelError(
            f"{what} gives a {unit} other components (by {apart:.3g}) when other {unit}s are "
            "beside it: which ones are, is a matter of batches"
        )


def _identity(make: Callable[..., Any], made: OwnComponents, what: str) -> str:
    """Return a hash of its source file, the version that it declares and the tensors that it holds.

    Code that it imports is not part of it: that is what a version is for.
    """
    version = getattr(made, "version", "")
    if not isinstance(version, str) or len(version) > _LONGEST_VERSION:
        raise ModelError(
            f"{what} has a version that is no text of up to {_LONGEST_VERSION} letters"
        )
    source = ""
    try:
        file = inspect.getsourcefile(make)
        if file is not None:
            source = hashlib.blake2b(Path(file).read_bytes(), digest_size=16).hexdigest()
    except (OSError, TypeError):
        pass
    if not source and not version:
        raise ModelError(f"{what} has no source file: let it declare a version")
    digest = content_of(_tensors(made), f"{source}\0{version}")
    return f"{version} {digest}" if version else digest


def _tensors(made: object) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors that an object holds: a module's state, or its attributes."""
    if isinstance(made, torch.nn.Module):
        yield from made.state_dict().items()
    for name, value in getattr(made, "__dict__", {}).items():
        if isinstance(value, Tensor):
            yield name, value
