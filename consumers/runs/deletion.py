"""What deleting a run or a corpus removes, and who still needs it: said before anything is done."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from consumers.plan import make_plan
from consumers.snapshots.snapshots import final_manifest, published
from streams import topics
from streams.catalog.corpora import find_corpus, get_corpus
from streams.catalog.runs import delete_groups, delete_run, groups_of, list_runs, topics_of
from streams.errors import SnapshotError, SnapshotFailedError
from streams.records.run_identity import run_id
from streams.records.runs import RunRecord
from streams.snapshots.kept_files import FOLDER as KEPT
from streams.snapshots.manifests import run_manifest, shard_manifest
from streams.snapshots.run_files import RunFiles, find_run_files, remove_run_files
from streams.snapshots.store import open_store
from streams.transport.client import Client


@dataclass(frozen=True, slots=True)
class RunRemoval:
    """What goes with a run. files: None if they are to stay.

    finished: it has its final snapshot, or has failed and will never have one. topics: those that
    exist, with their records. snapshots: names of the published ones.
    """

    run: RunRecord
    finished: bool
    topics: tuple[tuple[str, int], ...]
    groups: tuple[str, ...]
    snapshots: tuple[str, ...]
    files: RunFiles | None

    def lines(self) -> Iterator[str]:
        """Yield what is going to be removed and what stays, for people."""
        name = self.run.name
        yield f"deleting run {name} (id {run_id(self.run)}) removes"
        yield from (f"  topic {topic} with {n:,} records" for topic, n in self.topics)
        yield from (f"  consumer group {group}" for group in self.groups)
        if self.snapshots:
            yield f"  the published manifests of snapshots: {', '.join(self.snapshots)}"
        yield f"  the record of run {name}"
        yield from self._file_lines()
        if not self.finished:
            yield f"run {name} has no final snapshot yet: what it has computed so far is lost"
        yield f"corpus {self.run.corpus} stays"

    def _file_lines(self) -> Iterator[str]:
        if self.files is None:
            yield f"the files of its snapshots stay in {self.run.store}/{self.run.name}"
            return
        files = self.files
        kept = sum(path.startswith(f"{KEPT}/") for path in files.owned)
        of = "its snapshots" + (f", {kept:,} of them kept activations," if kept else "")
        yield f"  {len(files.owned):,} files of {of} ({files.bytes:,} bytes) in {files.folder}"
        if files.others:
            shown = ", ".join(files.others[:5]) + (", ..." if len(files.others) > 5 else "")
            yield f"{len(files.others):,} other files in {files.folder} stay: {shown}"


def plan_run_removal(client: Client, run: RunRecord, *, keep_files: bool) -> RunRemoval:
    """Return what deleting a run removes; nothing is removed yet.

    Raises SnapshotError if its files cannot be listed.
    """
    manifests = published(client, run.name)
    files = None
    if not keep_files:
        files = find_run_files(
            open_store(run.store), run.name, run_id(run), _listed_parts(manifests, run)
        )
    return RunRemoval(
        run,
        is_finished(client, run),
        topics_with_records(client, run.name),
        groups_of(run.name),
        tuple(sorted(manifests)),
        files,
    )


def remove_run(client: Client, removal: RunRemoval) -> None:
    """Delete a run as planned.

    Its groups go first, which a broker refuses while workers are members: then nothing is gone. Its
    record goes last, so that a deletion that broke off can be repeated.
    """
    delete_groups(client, removal.run.name)
    if removal.files is not None:
        remove_run_files(open_store(removal.run.store), removal.files)
    delete_run(client, removal.run.name)


@dataclass(frozen=True, slots=True)
class CorpusRemoval:
    """What goes with a corpus. records: of its topic, None if that is gone already.

    unfinished: runs that need the corpus for their final snapshot. finished: those that do not.
    """

    corpus: str
    sealed: bool
    records: int | None
    unfinished: tuple[str, ...]
    finished: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """Yield what is going to be removed and who needs it, for people."""
        yield f"deleting corpus {self.corpus} removes"
        if self.records is not None:
            yield f"  topic {topics.tokens(self.corpus, 1).name} with {self.records:,} records"
        yield f"  the record and the vocabulary of corpus {self.corpus}"
        if not self.sealed:
            yield f"corpus {self.corpus} is not complete: a producer may be writing it"
        if self.unfinished:
            yield (
                f"unfinished runs need it and can never be finished then: "
                f"{', '.join(self.unfinished)}"
            )
        if self.finished:
            yield f"finished runs keep their snapshots: {', '.join(self.finished)}"


def plan_corpus_removal(client: Client, name: str) -> CorpusRemoval:
    """Return what deleting a corpus removes; raise CorpusError if nothing of it is there."""
    topic = topics.tokens(name, 1).name
    there = topic in client.topics()
    # A deletion that broke off may have left the topic alone.
    record = find_corpus(client, name) if there else get_corpus(client, name)
    runs = [run for run in list_runs(client) if run.corpus == name]
    done = {run.name for run in runs if is_finished(client, run)}
    return CorpusRemoval(
        name,
        record is not None and record.sealed,
        _records(client, topic) if there else None,
        tuple(run.name for run in runs if run.name not in done),
        tuple(sorted(done)),
    )


def is_finished(client: Client, run: RunRecord) -> bool:
    """Return whether a run has its final snapshot, or has failed and will never have one."""
    try:
        return final_manifest(client, make_plan(run)) is not None
    except SnapshotFailedError:
        return True


def _listed_parts(manifests: dict[str, dict[str, bytes]], run: RunRecord) -> Iterator[str]:
    """Yield the paths of parts that published manifests of this very run name."""
    for entries in manifests.values():
        for shard, value in entries.items():
            with suppress(SnapshotError, SnapshotFailedError):
                manifest = shard_manifest(value) if shard else run_manifest(value)
                if manifest.run_id == run_id(run):
                    yield from (part.path for part in manifest.files)


def topics_with_records(client: Client, run: str) -> tuple[tuple[str, int], ...]:
    """Return the topics of a run that exist, and how many records each holds."""
    there = client.topics()
    return tuple((name, _records(client, name)) for name in topics_of(run) if name in there)


def _records(client: Client, topic: str) -> int:
    starts = client.starts(topic)
    return sum(end - starts[p] for p, end in client.ends(topic).items())
