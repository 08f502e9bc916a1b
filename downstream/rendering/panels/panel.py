"""What a panel is: an attachment or table read for one feature, and the template that shows it."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from downstream.rendering.data import LoadedSnapshot
from streams.errors import SnapshotError
from streams.snapshots.attachments import AttachmentManifest
from streams.snapshots.table_entry import find_entry
from streams.snapshots.table_reading import read_table
from streams.snapshots.tables import TableForm

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Feature:
    """The feature that a page is about. number: as in the table of features."""

    number: int
    source: str
    index: int


@dataclass(frozen=True, slots=True)
class Subject:
    """What a page is about: a cluster, which may stand for a single feature."""

    cluster: int
    feature: Feature | None


class Panel(Protocol):
    """A panel. kind: of the attachments that it shows. template: shows what ``read`` returns."""

    @property
    def kind(self) -> str:
        """The kind of attachment."""

    @property
    def template(self) -> str:
        """The template, which finds what was read as ``panel.shown``."""

    def read(
        self, snapshot: LoadedSnapshot, attached: AttachmentManifest, subject: Subject
    ) -> Any | None:
        """Return what to show of a cluster or feature, a dataclass, or None for nothing.

        Raises SnapshotError if the attachment cannot be read or is of another form.
        """


@runtime_checkable
class StatisticPanel(Protocol):
    """A panel of what an optional statistic counted. table: the snapshot's, which it may lack."""

    @property
    def table(self) -> str:
        """The name of the table."""

    @property
    def template(self) -> str:
        """The template, which finds what was read as ``panel.shown``."""

    def read(self, snapshot: LoadedSnapshot, subject: Subject) -> Any | None:
        """Return what to show, as a ``Panel``; errors as there."""


@dataclass(frozen=True, slots=True)
class ShownPanel:
    """A panel of a page. kind: of the attachment, or the table. name: of the attachment, else "".

    problem: why there is nothing, else empty.
    """

    kind: str
    name: str
    template: str
    shown: Any | None
    problem: str = ""


def panels_of(
    panels: Sequence[Panel | StatisticPanel],
    snapshot: LoadedSnapshot,
    attachments: Sequence[AttachmentManifest],
    cluster: int,
) -> tuple[ShownPanel, ...]:
    """Return the panels of a cluster's page, those that have something."""
    subject = Subject(cluster, feature_of(snapshot, cluster))
    found = list[ShownPanel]()
    for panel in panels:
        if isinstance(panel, StatisticPanel):
            if snapshot.manifest.table(panel.table) is not None:
                read = partial(panel.read, snapshot, subject)
                found += _shown(panel.table, "", panel.template, read)
            continue
        for attached in attachments:
            if attached.kind == panel.kind:
                read = partial(panel.read, snapshot, attached, subject)
                found += _shown(panel.kind, attached.name, panel.template, read)
    return tuple(found)


def _shown(
    kind: str, name: str, template: str, read: Callable[[], Any | None]
) -> Iterator[ShownPanel]:
    """Yield a panel, if there is something to show or to say."""
    shown, problem = None, ""
    try:
        shown = read()
    except SnapshotError as error:
        # The page itself is well: only this panel says that it cannot be read.
        if name:
            _log.error("attachment cannot be read: %s/%s %s", kind, name, error)
        else:
            _log.error("table cannot be read: %s %s", kind, error)
        problem = f"This {'attachment' if name else 'table'} cannot be read."
    if shown is not None or problem:
        yield ShownPanel(kind, name, template, shown, problem)


def feature_of(snapshot: LoadedSnapshot, cluster: int) -> Feature | None:
    """Return the feature that a cluster of a built-in clustering stands for, else None."""
    clustering = snapshot.clustering_of(cluster)
    source = clustering.name.removeprefix("features/")
    before = 0
    for each in snapshot.about.get("sources", ()) if source != clustering.name else ():
        if each["name"] == source:
            index = cluster - clustering.first
            return Feature(before + index, source, index)
        components = each.get("components")
        before += components if type(components) is int else 0
    return None


def rows_of(attached: AttachmentManifest, form: TableForm, column: str, number: int) -> pa.Table:
    """Return the rows of an attachment's table in which a column is a number.

    Raises SnapshotError if it has none of that form.
    """
    entry = find_entry(attached.tables, form.name)
    if entry is None or not entry.schema.equals(form.schema):
        raise SnapshotError(f"it has no table {form.name!r} of the form that this program knows")
    return read_table(attached, form.name, filters=[(column, "==", number)])
