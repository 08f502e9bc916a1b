"""Write the golden bytes: ``python -m tests.golden.write``.

Files that exist are never written again: what they hold is what was released.
"""

import sys
from pathlib import Path

from streams.dump import write_dump
from streams.snapshots import manifests
from streams.wire import codec
from tests.golden import version_2, version_2_packed
from tests.golden.snapshot_2 import write_golden_snapshot

HERE = Path(__file__).parent


def write(folder: Path) -> list[Path]:
    """Write what is missing in ``folder``; return the files written."""
    folder.mkdir(exist_ok=True)
    bodies = {f"{n}.bin": codec.encode(value) for n, value in version_2.records().items()}
    packed = version_2_packed.records().items()
    bodies |= {f"{name}.bin": codec.encode_packed(value) for name, value in packed}
    bodies |= {f"{n}.json": manifests.to_json(v) for n, v in version_2.manifests().items()}
    written = []
    for name, body in bodies.items():
        if not (folder / name).exists():
            (folder / name).write_bytes(body)
            written.append(folder / name)
    if not (folder / "dump").exists():
        write_dump(folder / "dump", version_2.dump())
        written.append(folder / "dump")
    if not (folder / "store").exists():
        manifest = write_golden_snapshot(folder / "store")
        written += [folder / "store" / "prose" / part.path for part in manifest.files]
        written.append(folder / "store" / "prose" / "final" / "manifest.json")
    return written


if __name__ == "__main__":
    for path in write(HERE / "v2"):
        sys.stdout.write(f"wrote {path.relative_to(HERE)}\n")
