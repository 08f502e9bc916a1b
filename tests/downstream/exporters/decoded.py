"""What is in an exported file or folder, whatever it is packed in.

``python -m tests.downstream.exporters.decoded`` writes the golden exports anew, after a change of
a format that was meant.
"""

import gzip
import io
import json
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from safetensors.numpy import load

GOLDEN = Path(__file__).parents[2] / "golden" / "exports"


def decoded(place: Path) -> dict[str, Any]:
    """Return the contents of the files of an export by name; those of a single file under "."."""
    if place.is_file():
        return {".": _content(place.name, place.read_bytes())}
    files = sorted(path for path in place.rglob("*") if path.is_file())
    return {
        str(path.relative_to(place)): _content(path.name, path.read_bytes())
        for path in files
        if path.name != "millrace-export.json"  # it names the version of Millrace
    }


def _content(name: str, data: bytes) -> Any:
    if name.endswith(".gz"):
        return _content(name.removesuffix(".gz"), gzip.decompress(data))
    if name.endswith(".json"):
        return json.loads(data)
    if name.endswith(".jsonl"):
        return [json.loads(line) for line in data.splitlines()]
    if name.endswith(".parquet"):
        table = pq.read_table(io.BytesIO(data))
        return {"schema": str(table.schema), "rows": table.to_pylist()}
    if name.endswith(".npy"):
        return np.load(io.BytesIO(data)).tolist()
    if name.endswith(".bin"):
        return _records(data)
    if name.endswith(".safetensors"):
        tensors = load(data).items()
        return {name: [str(t.dtype), t.tolist()] for name, t in sorted(tensors)}
    if name.endswith(".zanj"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {one: _content(one, archive.read(one)) for one in archive.namelist()}
    return data.decode().splitlines()


def _records(data: bytes) -> list[Any]:
    found = []
    while data:
        stop = 4 + int.from_bytes(data[:4], "little")
        found.append(json.loads(zlib.decompress(data[4:stop])))
        data = data[stop:]
    return found


def write_golden() -> None:
    """Write the golden exports."""
    import millrace
    from downstream.exporters.exporting import export
    from downstream.exporters.registry import EXPORTERS
    from tests.downstream.dashboard.snapshot_files import small, write_snapshot
    from tests.downstream.exporters.attached import attach
    from tests.downstream.exporters.conftest import CHOICES

    with tempfile.TemporaryDirectory() as folder:
        attach(write_snapshot(folder, small(), run="attached"))
        snapshot = millrace.open(folder)
        GOLDEN.mkdir(parents=True, exist_ok=True)
        for one in (each for each in EXPORTERS if each.name != "html"):
            out = Path(folder) / one.name
            export(one, snapshot, out, CHOICES.get(one.name, {}))
            text = json.dumps(decoded(out), ensure_ascii=False, indent=0)
            (GOLDEN / f"{one.name}.json").write_text(f"{text}\n")
            sys.stdout.write(f"{one.name}: {len(text):,} characters\n")


if __name__ == "__main__":
    write_golden()
