"""Paths in settings: made absolute, so that workers and other folders mean the same files."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_KAFKA = ("ca", "certificate", "key", "password_file", "key_password_file")
_TABLES = {"model": ("path",), "corpus": ("tokenizer", "text", "chat_template"), "kafka": _KAFKA}
_LISTS = dict.fromkeys(("dictionaries", "weights", "decomposed", "clusterings"), ("path",))
# What cannot also be a name: these are paths even when nothing is there.
_ALWAYS = {
    *((table, "path") for table in _LISTS),
    *(("kafka", key) for key in _KAFKA),
}
_MARKS = ("/", "./", "../", "~")


def with_absolute_paths(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return settings, nested like the file, with paths relative to ``folder`` made absolute.

    Names of models and data sets stay: only what is there, looks like a path or cannot be anything
    else is changed. Values of wrong types are left to the validation.
    """
    made = dict(values)
    if isinstance(store := made.get("store"), str) and "://" not in store:
        made["store"] = _absolute(store, folder)
    for table, keys in _TABLES.items():
        if isinstance(found := made.get(table), Mapping):
            made[table] = _section(found, table, keys, folder)
    for table, keys in _LISTS.items():
        if isinstance(entries := made.get(table), list | tuple):
            made[table] = [
                _section(entry, table, keys, folder) if isinstance(entry, Mapping) else entry
                for entry in entries
            ]
    return made


def _section(
    found: Mapping[str, Any], table: str, keys: tuple[str, ...], folder: Path
) -> dict[str, Any]:
    made = dict(found)
    for key in keys:
        always = (table, key) in _ALWAYS
        value = made.get(key)
        if isinstance(value, str):
            made[key] = _path(value, folder, always)
        elif isinstance(value, list | tuple):
            made[key] = [
                _path(one, folder, always) if isinstance(one, str) else one for one in value
            ]
    return made


def _path(value: str, folder: Path, always: bool) -> str:
    if "://" in value or value in ("", "-"):
        return value
    looks = always or value.startswith(_MARKS) or value in (".", "..")
    return _absolute(value, folder) if looks or _exists(folder / value) else value


def _exists(path: Path) -> bool:
    try:
        return path.exists() or (_pattern(path.name) and any(path.parent.glob(path.name)))
    except (OSError, ValueError):
        return False


def _pattern(name: str) -> bool:
    return any(mark in name for mark in "*?[")


def _absolute(value: str, folder: Path) -> str:
    return os.path.normpath((folder / Path(value).expanduser()).absolute())
