"""Where the dashboard finds manifests: on the snapshots topic, or at one path on disk."""

import logging
from collections.abc import Callable, Iterable

from downstream.reading.locating import locate
from streams.catalog.followed_topic import FollowedTopic
from streams.errors import SnapshotError, StreamError
from streams.snapshots.failed_manifest import FailedManifest, find_failed
from streams.snapshots.manifests import RunManifest, run_manifest
from streams.topics import SNAPSHOTS
from streams.transport.client import Client

_log = logging.getLogger(__name__)

Manifest = RunManifest | FailedManifest
Source = Callable[[], Iterable[Manifest]]


class TopicSource:
    """The manifests on the snapshots topic; each call reads what is new."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._followed = FollowedTopic(SNAPSHOTS.name, _is_of_snapshot)
        self._manifests: dict[bytes, tuple[bytes, Manifest | None]] = {}

    def __call__(self) -> list[Manifest]:
        """Return all run manifests and failed ones that were not deleted. Raises BrokerError."""
        values = self._followed.look(self._client)
        before = self._manifests
        self._manifests = {
            key: before[key] if before.get(key, (b"",))[0] == value else (value, _read(key, value))
            for key, value in values.items()
        }
        return [manifest for _, manifest in self._manifests.values() if manifest is not None]


def _is_of_snapshot(key: bytes) -> bool:
    """Return whether a key is a snapshot's, RUN/SNAPSHOT, and not one of its shards'."""
    return key.count(b"/") == 1


def _read(key: bytes, value: bytes) -> Manifest | None:
    """Return a manifest; one that cannot be read is logged, and None."""
    try:
        manifest = find_failed(value) or run_manifest(value)
        if manifest.run.encode() != key.partition(b"/")[0]:
            raise SnapshotError("it is the manifest of another run")
    except StreamError as error:
        _log.error("manifest skipped: key=%.200r %s", key.decode(errors="replace"), error)
        return None
    return manifest


class PathSource:
    """The manifest at one path. The snapshot may have been moved with the folders around it."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __call__(self) -> list[RunManifest]:
        """Return the manifest. Raises SnapshotError if there is none."""
        return [locate(self._path)]
