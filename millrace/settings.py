"""Settings of a whole run: a TOML file, the environment, options of the command line, rising.

``MILLRACE_RUN__K=20`` in the environment overrides ``k`` in ``[run]``; lists are JSON there. Every
variable may also name a file that holds its value: ``MILLRACE_KAFKA__PASSWORD_FILE``.
Unknown keys are errors everywhere. Importing this module imports pydantic: do it inside a command.
"""

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings.exceptions import SettingsError as VariableError

from consumers.health.limits import Limits
from consumers.runs import specs
from consumers.runs.decomposed_spec import DecomposedSpec
from consumers.runs.own_spec import OwnSpec
from millrace.secret_files import with_secret_files, with_secrets
from millrace.sections import (
    CorpusSection,
    KafkaSettings,
    LimitsSettings,
    Number,
    RunSettings,
)
from millrace.settings_errors import (
    SECRETS,
    explain,
    name_of,
    shown_value,
    unknown_variables,
    where_of,
)
from millrace.settings_paths import with_absolute_paths
from streams.credentials import expect_no_credentials
from streams.errors import SettingsError
from streams.regular_files import read_bounded
from streams.snapshots.store import IN_THE_ENVIRONMENT
from streams.timeouts import usual_session
from streams.transport.access import BrokerAccess

PREFIX = "MILLRACE_"
USUAL_RUN = "run"
_MOST_BYTES = 16 * 2**20  # of a settings file
# Variables of ours that are no settings: of the command line, of the broker's cache.
OTHERS = ("settings", "cache", "wait", "until_done", "metrics_port", "metrics_host", "log_format")
_LONGEST_SHOWN = 4096  # the longest path
Layers = list[tuple[str, dict[str, Any]]]


class Settings(BaseSettings):
    """Everything; made by ``load_settings``."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    broker: str = "memory://local"
    store: str = ".millrace/snapshots"
    model_service: str = ""
    kafka: KafkaSettings = KafkaSettings()
    corpus: CorpusSection = CorpusSection()
    run: RunSettings = RunSettings()
    model: specs.ModelSpec = specs.ModelSpec()
    dictionaries: tuple[specs.DictionarySpec, ...] = ()
    neurons: tuple[specs.NeuronsSpec, ...] = ()
    weights: tuple[specs.WeightsSpec, ...] = ()
    decomposed: tuple[DecomposedSpec, ...] = ()
    own_sources: tuple[OwnSpec, ...] = ()
    clusterings: tuple[specs.ClusteringSpec, ...] = ()
    statistics: Mapping[str, Mapping[str, Number]] = {}
    limits: LimitsSettings = LimitsSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return only the ready-made values: ``load_settings`` has merged them."""
        return (init_settings,)

    @cached_property
    def access(self) -> BrokerAccess:
        """The broker and how to reach it, for every client; SettingsError for a wrong address."""
        return BrokerAccess(self.broker, self.kafka.prefix, self.kafka.security())

    @property
    def run_name(self) -> str:
        """The name of the run, the usual one if nobody chose one."""
        return USUAL_RUN if self.run.name is None else self.run.name

    def run_spec(self) -> specs.RunSpec:
        """Return the run that these settings ask for; SettingsError without a model."""
        if not self.model.path:
            raise SettingsError("model.path is missing: name a model or its folder")
        return specs.RunSpec(
            name=self.run_name,
            store=self.store,
            model=self.model,
            sources=tuple(self.sources()),
            clusterings=self.clusterings,
            parameters=self.statistics,
            **self.run.options(),
        )

    def has_auto(self) -> bool:
        """Return whether something about the model is chosen when the run is created."""
        return "auto" in (self.model.micro_batch, self.model.dtype)

    def worker_limits(self) -> Limits:
        """Return when workers give up."""
        return Limits(**self.limits.model_dump(exclude={"session"}))

    def session(self) -> float:
        """Return the seconds of silence after which others take over a worker's partitions."""
        given = self.limits.session
        return usual_session(self.limits.stall) if given is None else given

    def sources(self) -> list[specs.SourceSpec]:
        """Return where components come from."""
        return [
            *self.dictionaries, *self.neurons, *self.weights, *self.decomposed, *self.own_sources
        ]  # fmt: skip

    def trusted_sources(self) -> frozenset[str]:
        """Return the locations of sources whose code this process may import."""
        return frozenset(source.location for source in self.own_sources)


def load_settings(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Settings:
    """Return the settings of a TOML file, overridden by the environment and then by ``options``.

    environment: None for ``os.environ``. options: nested like the file, without those not given.
    Paths of the file are relative to its folder, others to the working directory. Raises
    SettingsError that names the key and where it stands.
    """
    layers = _layers(file, environment, options)
    merged = _merged(layers)
    try:
        made = Settings(**merged)
    except ValidationError as error:
        raise SettingsError(explain(error, layers, Settings)) from error
    expect_no_credentials(made.store, "store", IN_THE_ENVIRONMENT)
    settled = made.model_copy(update=with_absolute_paths({"store": made.store}, Path()))
    _ = settled.access  # whether the address will do is said now, wherever it is used
    return settled


def origins(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
) -> list[str]:
    """Return a line for each key that is set: its value, and whether file, environment or option.

    Takes what ``load_settings`` takes; keys that are not listed have their defaults.
    """
    layers = _layers(file, environment, options)
    return [
        f"{name_of(path)} = {shown_value(path, value, _LONGEST_SHOWN)} ({where_of(path, layers)})"
        for path, value in _leaves(_merged(layers), ())
    ]


def _layers(
    file: Path | None,
    environment: Mapping[str, str] | None,
    options: Mapping[str, Any] | None,
) -> Layers:
    """Return what each place says, the strongest last."""
    given = with_secret_files(os.environ if environment is None else environment, PREFIX, Settings)
    unknown_variables(given, PREFIX, Settings, OTHERS)
    return [
        (str(file), _with_files(_read(file), file.parent, str(file)) if file else {}),
        ("the environment", with_absolute_paths(_variables(given), Path())),
        ("the options", with_absolute_paths(options or {}, Path())),
    ]


def _with_files(values: Mapping[str, Any], folder: Path, where: str) -> dict[str, Any]:
    """Return a file's settings with absolute paths, and secrets from the files that it names."""
    made = with_absolute_paths(values, folder)
    if isinstance(kafka := made.get("kafka"), Mapping):
        made["kafka"] = with_secrets(kafka, SECRETS, f"{where}: kafka.")
    return made


def _merged(layers: Layers) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for _, layer in layers:
        merged = _over(merged, layer)
    return merged


def _leaves(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield (path, value) of everything in tables and lists of tables."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, list | tuple) and any(isinstance(one, Mapping) for one in value):
        for number, inner in enumerate(value):
            yield from _leaves(inner, (*path, number))
    else:
        yield path, value


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_bounded(file, _MOST_BYTES).decode("utf-8"))
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise SettingsError(f"settings file {file}: {reason}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"settings file {file} is not UTF-8 (byte {error.start})") from error
    except (ValueError, RecursionError) as error:  # a ValueError also for endless numbers
        raise SettingsError(f"settings file {file} is no TOML: {error}") from error


def _variables(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what the environment says, nested, through pydantic-settings."""
    source = EnvSettingsSource(Settings)
    source.env_vars = {key.lower(): value for key, value in environment.items()}
    try:
        found = dict(source())
    except (VariableError, RecursionError) as error:
        raise SettingsError(
            f"environment: {error}: lists and tables are written as JSON"
        ) from error
    return {key: _with_lists(value) for key, value in found.items()}


def _with_lists(section: Any) -> Any:
    """Return a section with its lists read, which pydantic-settings does in models alone.

    What is no JSON stays as it is, and is refused where it is not to be a text.
    """
    if not isinstance(section, Mapping):
        return section
    return {key: _list_in(value) for key, value in section.items()}


def _list_in(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith("["):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _over(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(lower)
    for key, value in upper.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = _over(below, value)
        else:
            merged[key] = value
    return merged
