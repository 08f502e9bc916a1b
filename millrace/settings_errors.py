"""What is wrong with settings, in one line that names the key, its place and what is allowed."""

import dataclasses
import difflib
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from streams.bounds import shown
from streams.credentials import hidden, without_credentials
from streams.errors import SettingsError

_SHOWN = 200
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")  # of a model, of a dataclass
Layers = Sequence[tuple[str, Mapping[str, Any]]]
SECRETS = ("password", "key_password")
"""Keys whose values are shown nowhere; each may be given as a file, by ``<key>_file``."""


def explain(error: ValidationError, layers: Layers, settings: type[BaseModel]) -> str:
    """Return one line about the first error, a misspelt key before what is missing for it.

    layers: (where, values), the strongest last.
    """
    first = min(error.errors(), key=lambda one: one["type"] not in _UNKNOWN)
    path = [part for part in first["loc"] if isinstance(part, str | int)]
    if first["type"] in _UNKNOWN:
        known = _keys(path[:-1], settings)
        return (
            f"{where_of(path, layers)}: unknown key {name_of(path)!r}{_hint(str(path[-1]), known)}"
        )
    path = _known(path, settings)
    if first["type"] == "missing":
        return f"{where_of(path[:-1], layers)}: key {name_of(path)!r} is missing"
    if first["type"] == "value_error":
        return f"{where_of(path, layers)}: {name_of(path)}: {first['ctx']['error']}"
    same = [e for e in error.errors() if _known(list(e["loc"]), settings) == path]
    reason = ", or ".join(_reason(one["type"], one["msg"]) for one in same)
    value = shown_value(path, first["input"])
    return f"{where_of(path, layers)}: {name_of(path)} = {value}: {reason}"


def unknown_variables(
    environment: Iterable[str],
    prefix: str,
    settings: type[BaseModel],
    others: Sequence[str] = (),
) -> None:
    """Raise SettingsError for a variable that seems to mean a setting and names none.

    Variables with our prefix that are no settings are left alone: ``others``, and those without
    ``__`` that look like no setting.
    """
    known = list(settings.model_fields)
    for variable in sorted(environment):
        if not variable.upper().startswith(prefix):
            continue
        section, nested, _ = variable[len(prefix) :].lower().partition("__")
        if section in others and not nested:
            continue
        if section not in known and (nested or difflib.get_close_matches(section, known)):
            raise SettingsError(
                f"the environment: unknown variable {variable}{_hint(section, known)}"
            )


def shown_value(path: Sequence[str | int], value: Any, most: int = _SHOWN) -> str:
    """Return a value as it may be shown, cut at ``most`` characters.

    No secret, and no credentials of an address, is in it.
    """
    if path and (path[-1] in SECRETS or path == ["kafka"]):
        return "***"
    if type(value) is int:
        return shown(value)
    text = repr(hidden(value)) if isinstance(value, str) else without_credentials(repr(value))
    return text if len(text) <= most else f"{text[:most]}..."


def _reason(kind: str, message: str) -> str:
    if kind in ("model_type", "dict_type", "dataclass_type"):
        return "must be a table"
    if kind in ("tuple_type", "list_type"):
        return "must be a list"
    return message[:1].lower() + message[1:]


def _hint(key: str, known: Sequence[str]) -> str:
    like = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    meant = f", did you mean {like[0]!r}?" if like else ";"
    return f"{meant} known are {', '.join(known)}"


def name_of(path: Sequence[str | int]) -> str:
    """Return a path like ``dictionaries[0].path``."""
    name = ""
    for part in path:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
    return name


def where_of(path: Sequence[str | int], layers: Layers) -> str:
    """Return which layer holds a key, the strongest first; the file if none does."""
    for where, values in reversed(layers):
        if path and _holds(values, path):
            return where
    given = [where for where, values in layers if values]
    return given[0] if given else "settings"


def _holds(values: Any, path: Sequence[str | int]) -> bool:
    for part in path:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _known(path: Sequence[str | int], settings: type[BaseModel]) -> list[str | int]:
    """Return the part of an error's place that is a key; pydantic adds the branches of unions."""
    if free := _free_levels(typing.get_type_hints(settings).get(str(path[0])) if path else None):
        return list(path[: 1 + free])
    for stop in range(len(path), 0, -1):
        last = path[stop - 1]
        if isinstance(last, int) or last in _keys(path[: stop - 1], settings):
            return list(path[:stop])
    return list(path)


def _free_levels(annotation: Any) -> int:
    """Return how many levels of tables a field has whose keys may be any."""
    if typing.get_origin(annotation) is not Mapping:
        return 0
    return 1 + _free_levels(typing.get_args(annotation)[1])


def _keys(path: Sequence[str | int], settings: type[BaseModel]) -> list[str]:
    """Return the keys that a section may have."""
    section: type | None = settings
    for part in path:
        if isinstance(part, str) and section is not None:
            section = section_of(typing.get_type_hints(section).get(part))
    return keys_of(section) if section else []


def keys_of(section: type) -> list[str]:
    """Return the keys of a table of the settings, a model or a dataclass."""
    if dataclasses.is_dataclass(section):
        return [field.name for field in dataclasses.fields(section)]
    return list(section.model_fields) if issubclass(section, BaseModel) else []


def section_of(annotation: Any) -> type | None:
    """Return the section that a field holds one or many of."""
    inner = typing.get_args(annotation)
    if not inner:
        known = isinstance(annotation, type) and bool(keys_of(annotation))
        return annotation if known else None
    return next((one for one in map(section_of, inner) if one), None)
