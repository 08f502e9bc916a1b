"""Follows snapshots: from the topic, or from one manifest on disk; the newest of each run is open.

A snapshot is read and checked in the background and then takes the old one's place at once. One
that is damaged is reported, and the old one stays. One that turns out damaged while it is shown
gives way to the best other one that opens; where there is none it stays, for what is in memory.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from downstream.dashboard.labels import LabelLog
from downstream.dashboard.manifest_sources import Manifest, Source
from downstream.dashboard.problems import said, without_paths
from downstream.rendering.attached import attachments_of
from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.opening import open_snapshot
from streams.errors import SnapshotError, StreamError
from streams.snapshots.annotations import Annotations
from streams.snapshots.failed_manifest import FailedManifest
from streams.snapshots.manifests import FINAL, RunManifest

_log = logging.getLogger(__name__)

_RETRY_AFTER = 20
_OTHERS = 2
"""Snapshots that stay open beside the one shown of each run."""
_LIST_EVERY = 5
"""Looks between two listings of attachments, each of which is some requests to an object store."""


def open_searchable(manifest: RunManifest) -> LoadedSnapshot:
    """Open a snapshot, and begin to index the text of its contexts in the background."""
    found = open_snapshot(manifest)
    _ = found.text_index
    return found


@dataclass(frozen=True, slots=True)
class Shelf:
    """What is open now. problems: per run (or for the source, "") what went wrong last.

    damaged: the runs of whose open snapshot a file could not be read. listed: every snapshot that
    is known of each run, the best first; opener: opens one of them. annotations: what people wrote.
    """

    snapshots: Mapping[str, LoadedSnapshot] = field(default_factory=lambda: MappingProxyType({}))
    problems: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    damaged: frozenset[str] = frozenset()
    looked: bool = False
    listed: Mapping[str, tuple[RunManifest, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    opener: Callable[[RunManifest], LoadedSnapshot] = open_searchable
    annotations: Mapping[str, Annotations] = field(default_factory=lambda: MappingProxyType({}))

    def written(self, key: str) -> Annotations:
        """Return what people wrote about a run, given as ``run`` or ``run@snapshot``."""
        return self.annotations.get(key.partition("@")[0]) or Annotations()

    def find(self, key: str) -> LoadedSnapshot | None:
        """Return the snapshot of ``run``, or of ``run@snapshot``; raises SnapshotError."""
        run, _, name = key.partition("@")
        current = self.snapshots.get(run)
        if not name or (current and current.name == name):
            return current
        named = (manifest for manifest in self.listed.get(run, ()) if manifest.snapshot == name)
        manifest = next(named, None)
        return None if manifest is None else self.opener(manifest)

    @property
    def health(self) -> str:
        """Whether pages can be served: "starting" and "failing" are no, the others yes."""
        if self.snapshots.keys() - self.damaged:
            return "degraded" if self.problems else "ok"
        if not self.looked:
            return "starting"
        return "failing" if self.problems else "waiting"


class SnapshotWatch:
    """Looks at a source every ``interval`` seconds and keeps the shelf."""

    def __init__(self, source: Source, interval: float = 3.0) -> None:
        self._source = source
        self._interval = interval
        self._shelf = Shelf()
        self._refused: dict[tuple[str, ...], int] = {}
        self._damaged: dict[tuple[str, ...], str] = {}
        self._looks = 0
        self._looking = threading.Lock()
        self._logs: dict[tuple[str, str], LabelLog] = {}
        self._others: dict[tuple[str, ...], LoadedSnapshot] = {}
        self._opening = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="snapshots", daemon=True)

    @property
    def shelf(self) -> Shelf:
        """What is open now: one value, swapped whole."""
        return self._shelf

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; waits for the last look."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                self.look()
            except Exception:
                _log.exception("looking for snapshots failed")
                self._complain("", "looking for snapshots failed; the cause is in the log")
            self._stop.wait(self._interval)

    def read_labels(self, run: str) -> None:
        """Look at what people wrote about a run."""
        with self._looking:
            shelf = self._shelf
            if run in shelf.snapshots:
                now = {**shelf.annotations, run: self._written(shelf.snapshots[run].manifest)}
                self._shelf = replace(shelf, annotations=MappingProxyType(now))

    def _written(self, manifest: RunManifest) -> Annotations:
        key = manifest.store, manifest.run
        try:
            if key not in self._logs:
                self._logs[key] = LabelLog(*key)
            return self._logs[key].now()
        except SnapshotError as error:
            _log.error("labels cannot be read: run=%s %s", manifest.run, error)
            return self._shelf.annotations.get(manifest.run) or Annotations()

    def open_other(self, manifest: RunManifest) -> LoadedSnapshot:
        """Return a snapshot that is not the one shown of its run; the last few stay open."""
        with self._opening:
            key = _key(manifest)
            found = self._others.pop(key, None) or open_searchable(manifest)
            self._others[key] = found
            while len(self._others) > _OTHERS:
                del self._others[next(iter(self._others))]
            return found

    def replaced(self, snapshot: LoadedSnapshot, error: SnapshotError) -> LoadedSnapshot | None:
        """Return what takes the place of an open snapshot that could not be read, if anything."""
        key, run = _key(snapshot.manifest), snapshot.manifest.run
        with self._looking:
            if key not in self._damaged or key not in self._refused:
                self._damaged[key] = said(error, snapshot.manifest.store)
                self._refused[key] = _RETRY_AFTER
                self._look()
        found = self._shelf.snapshots.get(run)
        return None if found is snapshot else found

    def look(self) -> None:
        """Look once."""
        with self._looking:
            self._look()

    def _look(self) -> None:
        try:
            manifests = list(self._source())
        except StreamError as error:
            problem = without_paths(str(error))
            if self._shelf.problems.get("") != problem:
                _log.error("snapshots cannot be followed: %s", error)
            self._complain("", problem)
            return
        opened: dict[str, LoadedSnapshot] = {}
        problems: dict[str, str] = {}
        listed_by_run: dict[str, tuple[RunManifest, ...]] = {}
        for run in sorted({manifest.run for manifest in manifests}):
            ours = [manifest for manifest in manifests if manifest.run == run]
            candidates = [manifest for manifest in ours if isinstance(manifest, RunManifest)]
            listed_by_run[run] = tuple(sorted(candidates, key=preference, reverse=True))
            snapshot, problem = self._best(run, candidates)
            problem = problem or failure(ours)
            if snapshot:
                opened[run] = snapshot
            if problem:
                problems[run] = problem
        for snapshot in opened.values() if self._looks % _LIST_EVERY == 0 else ():
            attachments_of(snapshot).list_again()
        self._looks += 1
        self._refused = {key: looks - 1 for key, looks in self._refused.items() if looks > 1}
        listed = {_key(manifest) for manifest in manifests if isinstance(manifest, RunManifest)}
        self._damaged = {key: why for key, why in self._damaged.items() if key in listed}
        damaged = (run for run, one in opened.items() if _key(one.manifest) in self._damaged)
        self._shelf = Shelf(
            MappingProxyType(opened),
            MappingProxyType(problems),
            frozenset(damaged),
            looked=True,
            listed=MappingProxyType(listed_by_run),
            opener=self.open_other,
            annotations=MappingProxyType(
                {run: self._written(one.manifest) for run, one in opened.items()}
            ),
        )

    def _best(self, run: str, candidates: list[RunManifest]) -> tuple[LoadedSnapshot | None, str]:
        """Return the first snapshot that opens, the best before the rest, and what was wrong."""
        current, problem = self._shelf.snapshots.get(run), ""
        for manifest in sorted(candidates, key=preference, reverse=True):
            key = _key(manifest)
            is_current = current is not None and _key(current.manifest) == key
            if key in self._refused:
                why = self._damaged.get(key)
                before = self._shelf.problems.get(run, "")
                problem = problem or (_unreadable(manifest, why) if why else before)
                continue
            if is_current and key not in self._damaged:
                return current, problem
            try:
                snapshot = open_searchable(manifest)
            except StreamError as error:
                self._refused[key] = _RETRY_AFTER
                why = said(error, manifest.store)
                if key in self._damaged:
                    self._damaged[key] = why
                    problem = problem or _unreadable(manifest, why)
                problem = problem or f"snapshot {manifest.snapshot} is not shown: {why}"
                _log.error("snapshot refused: run=%s %s", run, error)
                continue
            self._damaged.pop(key, None)
            return snapshot, problem
        return current, problem

    def _complain(self, run: str, problem: str) -> None:
        problems = {**self._shelf.problems, run: problem}
        self._shelf = replace(self._shelf, problems=MappingProxyType(problems), looked=True)


def failure(manifests: Iterable[Manifest]) -> str:
    """Return what failed of a run's snapshots and was not made up for since, "" for nothing."""
    newest = max(manifests, key=lambda manifest: (manifest.snapshot == FINAL, manifest.created))
    if isinstance(newest, FailedManifest):
        return str(newest.error)
    return newest.excess_refusals


def preference(manifest: RunManifest) -> tuple[bool, str, str]:
    """Rank the snapshots of a run: a final one before any other, then the newest."""
    return manifest.final, manifest.created, manifest.snapshot


def _unreadable(manifest: RunManifest, why: str) -> str:
    return f"snapshot {manifest.snapshot} cannot be read: {why}"


def _key(manifest: RunManifest) -> tuple[str, ...]:
    return manifest.run_id, manifest.snapshot, manifest.content, manifest.created
