"""A snapshot of all that readers of exports stumble over, and the same without optional tables."""

from dataclasses import replace

import numpy as np

from streams.snapshots.manifests import RunManifest
from streams.snapshots.store import open_store, write_manifest
from tests.downstream.dashboard.snapshot_files import Document, Given, write_snapshot

TOKENS = (
    b"<bos>",
    b"a\0b",
    rb"\u0000",
    "x\u2028y".encode(),
    "z\u0085".encode(),
    "\u202eabc".encode(),
    b'"q"',
    b"\\",
    b"</script><script>",
    b"\xed\xa0\x80",  # a lone surrogate, as if it were a character
    b"\xf0\x9f",
    b"\x98\x80",
    b"\r\n",
    b"NaN",
    b"\xff",
    b"",
    b"\t",
    b"{{7*7}}",
    b"=cmd()",
    b"Infinity",
)
FEATURES = 5
"""Of each of the two sources."""
CLUSTERING = "a/b:c|d.e-f"
RUNS = ("hostile", "silent", "few")
LABELS = ("x/y", "../..", "\"'<b>", "9" * 20, "\u202e\u2028", "NaN", "")


def hostile() -> Given:
    """Return two sources of five components over texts of such tokens.

    Of ``sae`` the last two are active nowhere; ``mlp`` has negative values and a dropped component.
    """
    documents = [
        Document('d\u2028"1\\', ""),
        Document("../../etc/passwd", "", "<b>\n"),
        Document("\u202e\u0085", ""),
    ]
    texts = [list(range(12)), list(range(8, 20)), [9, 9, 9, 10, 10, 15, 15, 15, 10, 1, 2, 3]]
    values = np.zeros((2 * FEATURES, 3, 12), np.float32)
    values[0] = 0.1 + np.arange(36).reshape(3, 12) / 7
    values[1, :, 3] = 1e-30, 3e6, 70_000.0
    values[2, 2, 0] = 1.0
    values[5] = -values[0]
    values[6, 2] = [1, -1] * 6
    values[7, 0, 0] = -3.0
    values[8, 0, 0] = 1.0
    members = ([0, 1, 5], [3, 4], [6], [8], [0], [2, 5, 6, 7], [7])
    clusters = [(f"features/{s}", str(n), [at * 5 + n])
                for at, s in enumerate(("sae", "mlp")) for n in range(FEATURES)]  # fmt: skip
    clusters += [(CLUSTERING, label, each) for label, each in zip(LABELS, members, strict=True)]
    rows = list(zip(documents, texts, strict=True))
    hooks = {"sae": "blocks.2.hook_resid_post", "mlp": "blocks.1.mlp.hook_post"}
    return Given(rows, list(TOKENS), values, clusters, dropped={8}, hooks=hooks)


def write_hostile(folder: str) -> None:
    """Write the runs ``hostile``, ``silent``, in which nothing is active, and ``few``.

    The last one has no optional table and says nevertheless that co-activation was counted.
    """
    given = hostile()
    _with_signs(write_snapshot(folder, given, run="hostile"))
    write_snapshot(folder, replace(given, values=np.zeros_like(given.values)), run="silent")
    written = write_snapshot(folder, given, run="few", shards=1)
    optional = ("coactivation", "member_coactivation")
    few = replace(
        written,
        tables=tuple(table for table in written.tables if table.name not in optional),
        files=tuple(file for file in written.files if file.table not in optional),
    )
    write_manifest(open_store(folder), few)


def _with_signs(written: RunManifest) -> None:
    """Say of the source ``mlp`` that its values were taken without their sign."""
    sae, mlp = written.about["sources"]
    sources = [sae, {**mlp, "kind": "neurons", "sign": "absolute", "threshold": 0.5}]
    about = {**written.about, "sources": sources}
    write_manifest(open_store(written.store), replace(written, about=about))
