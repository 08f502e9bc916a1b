"""A run to be made from what a broker and a store hold: its form, its settings, its commands."""

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from streams.names import is_name
from streams.snapshots.manifests import RunManifest

MICRO_BATCHES = ("auto", "1", "32", "64", "128", "256")
_K = re.compile(r"[1-9][0-9]{0,5}")
_LONGEST = 500


class StartError(ValueError):
    """The form asks for something that cannot be run."""


@dataclass(frozen=True, slots=True)
class Offered:
    """What a run can be made of. dictionaries: the location of each by the name it had."""

    corpora: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    dictionaries: tuple[tuple[str, str], ...] = ()
    rankings: tuple[str, ...] = ("maximum",)
    statistics: tuple[str, ...] = ()

    def joined(self, manifests: Iterable[RunManifest]) -> "Offered":
        """Return the same with what the runs of some snapshots were made of."""
        models, dictionaries = list(self.models), list(self.dictionaries)
        for manifest in manifests:
            models.append(str(manifest.about.get("model", "")))
            for source in manifest.about.get("sources", ()):
                if source.get("kind") == "dictionary" and source.get("location"):
                    dictionaries.append((str(source["name"]), str(source["location"])))
        return Offered(
            self.corpora,
            tuple(filter(None, dict.fromkeys(models))),
            tuple(dict.fromkeys(dictionaries)),
            self.rankings,
            self.statistics,
        )


@dataclass(frozen=True, slots=True)
class WantedRun:
    """A run as the form asks for it. micro_batch: "auto" or a number."""

    name: str
    corpus: str
    model: str
    dictionaries: tuple[tuple[str, str], ...]
    k: int
    rankings: tuple[str, ...]
    micro_batch: str
    statistics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """A run that was asked for here.

    state: "running" while it is created, "done" once workers can serve it, "serving" while workers
    of this server do, "finished" when they have, "failed". said: a line. workers: the commands that
    serve it.
    """

    name: str
    state: str
    said: str = ""
    workers: tuple[str, ...] = ()


class Starter(Protocol):
    """Makes runs on a broker."""

    def offered(self) -> Offered:
        """Return what the broker holds; raises BrokerError."""

    def start(self, wanted: WantedRun) -> None:
        """Begin to make a run; raises StartError if one is just being made."""

    @property
    def jobs(self) -> Sequence[Job]:
        """The runs that were made here, the newest first."""


def wanted_of(form: Mapping[str, Any], offered: Offered) -> WantedRun:
    """Return the run that a form asks for; raises StartError for what is not offered."""
    name = str(form.get("name", "")).strip()
    if not is_name(name):
        raise StartError("a run needs a name of letters, digits, dots, dashes and underscores")
    if not _K.fullmatch(str(form.get("k", ""))):
        raise StartError("k is how many examples are kept of each feature: a number from 1 on")
    chosen = _all(form, "dictionary")
    known = {f"{one}={location}": (one, location) for one, location in offered.dictionaries}
    dictionaries = tuple(known[each] for each in chosen if each in known)
    if not dictionaries or len(dictionaries) < len(chosen):
        raise StartError("choose at least one of the dictionaries that are offered")
    if len({one for one, _ in dictionaries}) < len(dictionaries):
        raise StartError("two dictionaries of one name cannot be in one run")
    return WantedRun(
        name=name,
        corpus=_one_of(form, "corpus", offered.corpora),
        model=_one_of(form, "model", offered.models),
        dictionaries=dictionaries,
        k=int(form["k"]),
        rankings=_some_of(form, "ranking", offered.rankings) or ("maximum",),
        micro_batch=_one_of(form, "micro_batch", MICRO_BATCHES),
        statistics=_some_of(form, "statistic", offered.statistics),
    )


def settings_text(wanted: WantedRun) -> str:
    """Return the settings file of a run, as TOML."""
    size = wanted.micro_batch
    lines = [
        "[corpus]",
        f"name = {_toml(wanted.corpus)}",
        "",
        "[run]",
        f"name = {_toml(wanted.name)}",
        f"k = {wanted.k}",
        f"rankings = {_toml(list(wanted.rankings))}",
        f"statistics = {_toml(list(wanted.statistics))}",
        "",
        "[model]",
        f"path = {_toml(wanted.model)}",
        f"micro_batch = {_toml(size) if size == 'auto' else size}",
    ]
    for name, location in wanted.dictionaries:
        lines += ["", "[[dictionaries]]", f"name = {_toml(name)}"]
        lines += [f"{key} = {_toml(value)}" for key, value in place_of(location).items()]
    return "\n".join(lines) + "\n"


def place_of(location: str) -> dict[str, str]:
    """Return where a dictionary lies as settings say it: a path, or a release and its id."""
    release, _, number = location.partition("#")
    return {"release": release, "id": number} if number else {"path": location}


def commands(wanted: WantedRun) -> tuple[str, ...]:
    """Return what makes and serves a run by hand, with its settings in run.toml."""
    made = worker_commands(wanted.name, "--settings run.toml ")
    return ("millrace runs create --settings run.toml", *made)


def worker_commands(run: str, settings: str = "") -> tuple[str, ...]:
    """Return what serves a run: model, dictionaries and all else stand in its record."""
    name = shlex.quote(run)
    return tuple(
        f"millrace {side} {settings}--run {name} --until-done"
        for side in ("aggregates", "activations")
    )


def _toml(value: str | list[str]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _all(form: Mapping[str, Any], key: str) -> list[str]:
    """Return all values of a key; no more than a form of ours sends."""
    found: list[str] = form.getall(key, []) if hasattr(form, "getall") else [form.get(key, "")]
    return [each for each in dict.fromkeys(map(str, found)) if each][:_LONGEST]


def _one_of(form: Mapping[str, Any], key: str, offered: Sequence[str]) -> str:
    value = str(form.get(key, ""))
    if value not in offered:
        raise StartError(f"choose one of what is offered as {key.replace('_', '-')}")
    return value


def _some_of(form: Mapping[str, Any], key: str, offered: Sequence[str]) -> tuple[str, ...]:
    chosen = _all(form, key)
    if not set(chosen) <= set(offered):
        raise StartError(f"choose among what is offered as {key}")
    return tuple(chosen)
