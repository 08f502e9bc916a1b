"""Write the golden bytes of every schema version: ``python -m tests.golden.write``.

Files of a version that exists are never written again: what they hold is what was released.
"""

import sys
from pathlib import Path

from streams import codec, snapshot
from streams.dump import write_dump
from tests.golden import version_1, version_2

HERE = Path(__file__).parent


def write(folder: Path) -> list[Path]:
    """Write what is missing under ``folder``; return the files written."""
    plain, packed = version_1.records(), version_2.records()
    bodies = {f"v1/{name}.bin": codec.encode(value) for name, value in plain.items()}
    bodies |= {f"v2/{name}.bin": codec.encode_packed(value) for name, value in packed.items()}
    bodies |= {f"v1/{n}.json": snapshot.to_json(v) for n, v in version_1.manifests().items()}
    for version in ("v1", "v2"):
        (folder / version).mkdir(exist_ok=True)
    written = []
    for name, body in bodies.items():
        if not (folder / name).exists():
            (folder / name).write_bytes(body)
            written.append(folder / name)
    if not (folder / "v1" / "dump").exists():
        write_dump(folder / "v1" / "dump", version_1.dump())
        written.append(folder / "v1" / "dump")
    return written


if __name__ == "__main__":
    for path in write(HERE):
        sys.stdout.write(f"wrote {path.relative_to(HERE)}\n")
