"""Schemas of the messages on the snapshots topic, as docs/asyncapi.yaml has them.

``python -m tests.asyncapi_schemas`` puts them there, after a change of a manifest that was meant.
"""

from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter

from streams.snapshots.failed_manifest import FailedManifest
from streams.snapshots.manifests import RunManifest, ShardManifest

PAGE = Path(__file__).parents[1] / "docs" / "asyncapi.yaml"
MESSAGES = {"run": RunManifest, "failed": FailedManifest, "shard": ShardManifest}
_MARK = "  schemas:\n"


def schemas() -> dict[str, Any]:
    """Return the JSON schemas of all messages, and of what they are made of, by their names."""
    found: dict[str, Any] = {}
    for kind in MESSAGES.values():
        schema = TypeAdapter(kind).json_schema(ref_template="#/components/schemas/{model}")
        found |= {**schema.pop("$defs", {}), kind.__name__: schema}
    return {name: _plain(found[name]) for name in sorted(found)}


def _plain(schema: Any) -> Any:
    """Return a schema without titles, and of a description the first sentence."""
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: value for key, value in schema.items() if key != "title" or not isinstance(value, str)
    }
    if isinstance(kept.get("description"), str):
        kept["description"] = kept["description"].partition("\n")[0]
    return {key: _plain(value) for key, value in kept.items()}


def main() -> None:
    """Write the schemas into the page."""
    head, mark, _ = PAGE.read_text().partition(_MARK)
    text = yaml.safe_dump(schemas(), sort_keys=False, width=110, allow_unicode=True)
    lines = [f"    {line}" for line in text.splitlines()]
    PAGE.write_text(head + mark + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
