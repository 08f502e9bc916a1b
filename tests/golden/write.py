"""Write the golden bytes of the current schema version: ``python -m tests.golden.write``.

Files of a version that exists are never written again: what they hold is what was released.
"""

import sys
from pathlib import Path

from streams import codec, snapshot
from streams.dump import write_dump
from tests.golden import version_1

HERE = Path(__file__).parent
VERSIONS = {1: version_1}


def write(folder: Path) -> list[Path]:
    """Write what is missing of the current version under ``folder``; return the files written."""
    values = VERSIONS[codec.VERSION]
    target = folder / f"v{codec.VERSION}"
    target.mkdir(exist_ok=True)
    written = []
    bodies = {f"{name}.bin": codec.encode(value) for name, value in values.records().items()}
    bodies |= {f"{n}.json": snapshot.to_json(value) for n, value in values.manifests().items()}
    for name, body in bodies.items():
        if not (target / name).exists():
            (target / name).write_bytes(body)
            written.append(target / name)
    if not (target / "dump").exists():
        write_dump(target / "dump", values.dump())
        written.append(target / "dump")
    return written


if __name__ == "__main__":
    for path in write(HERE):
        sys.stdout.write(f"wrote {path.relative_to(HERE)}\n")
