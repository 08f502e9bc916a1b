"""Secrets that lie in files, as Docker and Kubernetes mount them: a setting may name its file."""

import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from millrace.settings_errors import keys_of
from streams.errors import SettingsError

_MOST_BYTES = 64 * 1024
_SUFFIX = "_FILE"


def with_secret_files(
    environment: Mapping[str, str], prefix: str, settings: type[BaseModel]
) -> dict[str, str]:
    """Return an environment in which the contents stand of the files that variables name.

    ``MILLRACE_KAFKA__PASSWORD_FILE=/run/secrets/kafka`` stands for ``MILLRACE_KAFKA__PASSWORD``;
    so for every setting. Raises SettingsError, which names variable and file, if both are given or
    the file cannot be read.
    """
    made = dict(environment)
    for variable, path in environment.items():
        plain = variable[: -len(_SUFFIX)]
        if variable.upper() != plain.upper() + _SUFFIX or not _is_setting(plain, prefix, settings):
            continue
        del made[variable]
        if not path:
            continue
        if environment.get(plain):
            raise SettingsError(f"the environment: {plain} and {variable} exclude each other")
        made[plain] = read_secret(Path(path), f"the environment: {variable}")
    return made


def with_secrets(section: Mapping[str, Any], keys: Sequence[str], where: str) -> dict[str, Any]:
    """Return a section with ``password`` as the file of its ``password_file`` holds it."""
    made = dict(section)
    for key in keys:
        named = f"{key}_file"
        if not isinstance(path := made.get(named), str):
            continue
        del made[named]
        if key in made:
            raise SettingsError(f"{where}{key} and {where}{named} exclude each other")
        made[key] = read_secret(Path(path), where + named)
    return made


def read_secret(path: Path, where: str) -> str:
    """Return the text of a file without the end of its last line; SettingsError if there is none.

    where: what names the file, for the message.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SettingsError(f"{where}: {path} is not a file")
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{where}: {path}: {error.strerror or error}") from None
    if len(data) > _MOST_BYTES:
        raise SettingsError(f"{where}: {path} is larger than any secret ({_MOST_BYTES} bytes)")
    try:
        text = data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise SettingsError(f"{where}: {path} is not UTF-8") from None
    if not text:
        raise SettingsError(f"{where}: {path} is empty")
    return text


def _is_setting(variable: str, prefix: str, settings: type[BaseModel]) -> bool:
    """Return whether a variable without its suffix means a setting that is one value."""
    if not variable.upper().startswith(prefix):
        return False
    section, nested, key = variable[len(prefix) :].lower().partition("__")
    field = settings.model_fields.get(section)
    if field is None:
        return False
    inner = field.annotation
    known = keys_of(inner) if isinstance(inner, type) else []
    return bool(nested) and key in known if known else not nested
