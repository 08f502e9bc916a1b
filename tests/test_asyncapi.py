"""docs/asyncapi.yaml describes the snapshots topic as the topic table and manifests have it."""

import json
import re
from functools import cache
from typing import Any

import jsonschema
import pytest
import yaml

from streams import topics
from streams.snapshots.failed_manifest import failed_manifest
from streams.snapshots.manifests import VERSION, ShardManifest, to_json
from tests import factories
from tests.asyncapi_schemas import MESSAGES, PAGE, schemas


@cache
def page() -> Any:
    """Return the document."""
    return yaml.safe_load(PAGE.read_text())


def test_the_channel_is_that_of_the_topic_table() -> None:
    (channel,) = page()["channels"].values()
    assert channel["address"].format(prefix="") == topics.SNAPSHOTS.name
    assert set(re.findall(r"{(\w+)}", channel["address"])) == set(channel["parameters"])
    kafka = channel["bindings"]["kafka"]
    assert kafka["partitions"] == topics.SNAPSHOTS.partitions
    policy = kafka["topicConfiguration"]["cleanup.policy"]
    assert (policy == ["compact"]) == topics.SNAPSHOTS.compacted
    assert page()["info"]["version"] == str(VERSION)


def test_schemas_are_those_of_the_manifests() -> None:
    assert page()["components"]["schemas"] == json.loads(json.dumps(schemas()))


def test_every_reference_leads_somewhere() -> None:
    found = re.findall(r"\$ref: ['\"](#/[^'\"]+)['\"]", PAGE.read_text())
    assert found
    for reference in found:
        at = page()
        for part in reference.removeprefix("#/").split("/"):
            at = at[part]


def shard_manifest() -> ShardManifest:
    """Return the manifest of a shard."""
    return ShardManifest(VERSION, "r", "ab", "final", 0, True, (3, -1), 5, 2, 0, ())


@pytest.mark.parametrize(
    ("message", "manifest", "key"),
    [
        ("run", factories.run_manifest(), "prose/final"),
        ("failed", failed_manifest("prose", "ab", "final", "why", "2026-01-02"), "prose/final"),
        ("shard", shard_manifest(), "prose/final/3"),
    ],
)
def test_messages_are_as_described(message: str, manifest: Any, key: str) -> None:
    described = page()["components"]["messages"][message]
    name = described["payload"]["$ref"].rpartition("/")[2]
    assert name == MESSAGES[message].__name__ == type(manifest).__name__
    whole = {"$ref": f"#/components/schemas/{name}", "components": page()["components"]}
    jsonschema.validate(json.loads(to_json(manifest)), whole)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"version": 2}, whole)
    pattern = described["bindings"]["kafka"]["key"]["pattern"]
    assert re.fullmatch(pattern, key)
    assert not re.fullmatch(pattern, f"{key}/withdrawn")
