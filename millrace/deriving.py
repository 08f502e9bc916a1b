"""Attachments made at the command line: which kinds, from which weights, and what is said."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from downstream.derived.attach import attach
from downstream.derived.derivation import Given, Options
from downstream.derived.registry import DERIVATIONS, find_derivation
from downstream.reading.snapshot import open_snapshot
from millrace.dictionary_loading import loader, other_dictionary
from streams.errors import ModelError, SettingsError, SnapshotError
from streams.names import check_name

_ALL = "all"


def derive_attachments(
    kind: str,
    address: str,
    run: str | None,
    *,
    name: str,
    model: str | None,
    dictionaries: Mapping[str, str],
    others: Mapping[str, str],
    options: Options,
    verify: bool,
) -> Iterator[str]:
    """Attach a kind, or "all", to a finished snapshot; yield a line for each, as it is written.

    Raises UserError in one line; of "all" a kind that cannot be made is said and passed over, and
    it is an error if none could be.
    """
    kinds = DERIVATIONS if kind == _ALL else (find_derivation(kind),)
    snapshot = open_snapshot(address, run)
    if not snapshot.manifest.final:
        raise SnapshotError(f"snapshot {snapshot.name!r} is not final: attach to a final one")
    sources = [str(source["name"]) for source in snapshot.about["sources"]]
    if unknown := next((source for source in dictionaries if source not in sources), None):
        raise SettingsError(f"the run has no source {unknown!r}, only {', '.join(sources)}")
    if taken := next((other for other in others if other in sources), None):
        raise SettingsError(f"--other {taken}: a source of the run has that name")
    given = Given(
        snapshot,
        loader(dictionaries, verify=verify),
        model,
        [other_dictionary(*other) for other in others.items()],
    )
    made = 0
    for each in kinds:
        created = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            manifest, derived = attach(each, given, options, created=created, name=name)
        except (ModelError, SnapshotError) as error:
            if kind != _ALL:
                raise
            yield f"{each.kind}: not made: {error}"
            continue
        made += 1
        rows = sum(entry.rows for entry in manifest.tables)
        yield f"{each.kind}/{name}: {rows:,} rows"
        yield from (f"  left out: {line}" for line in derived.left_out)
    if not made:
        raise ModelError("nothing could be attached")


def places(given: Sequence[str], option: str) -> dict[str, str]:
    """Return names and places of ``NAME=PLACE`` options; raises SettingsError."""
    found: dict[str, str] = {}
    for each in given:
        name, equals, place = each.partition("=")
        if not equals or not place:
            raise SettingsError(f"{option} {each}: write NAME=FOLDER")
        if check_name(name, "source") in found:
            raise SettingsError(f"{option} names {name} twice")
        found[name] = place
    return found
