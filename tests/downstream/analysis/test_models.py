"""Two models over one text, each with its tokenizer, against counting byte by byte."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from consumers.oracle.oracle import Oracle
from consumers.plan import make_plan
from consumers.snapshots.snapshots import write_plain
from downstream.analysis.models import compare_models
from downstream.analysis.text_rows import WINDOW, TextRows, segments_of
from downstream.reading.snapshot import Snapshot
from streams.errors import SnapshotError
from tests import factories

LETTERS = "abcdef"
CONTEXT = 14
Cut = Callable[[str], list[str]]


def pairs(text: str) -> list[str]:
    return [text[at : at + 2] for at in range(0, len(text), 2)]


def triples(text: str) -> list[str]:
    """Return three letters of abc at once where they stand together, else one."""
    found, at = [], 0
    while at < len(text):
        size = 3 if len(text) - at >= 3 and set(text[at : at + 3]) <= set("abc") else 1
        found.append(text[at : at + size])
        at += size
    return found


VOCABULARIES: dict[Cut, list[str]] = {
    pairs: ["<bos>", *LETTERS, *(x + y for x in LETTERS for y in LETTERS)],
    triples: ["<bos>", *LETTERS, *(x + y + z for x in "abc" for y in "abc" for z in "abc")],
}


@dataclass
class Row:
    """A row: its document, where it stands there, and where components are active in it."""

    document: str
    start: int
    text: str
    active: np.ndarray  # [component, byte of the text]


class Model:
    """A run of documents with a tokenizer; rows by sample key, the first of equal ones."""

    def __init__(
        self, store: Path, cut: Cut, documents: dict[str, str], components: int, k: int, seed: int
    ) -> None:
        run = factories.run_record(
            sources=(factories.source(f"sae{seed}", components=components),),
            clusterings=(),
            context=CONTEXT,
            rankings=("maximum", f"shared={k}"),
            partitions=1,
            bucket_bytes=10**6,
            store=str(store),
        )
        plan = make_plan(run)
        engine = factories.DenseEngine(plan, seed, density=0.25)
        oracle = Oracle(plan, engine)
        self.k, self.components, self.rows = k, components, dict[bytes, Row]()
        known = {token: number for number, token in enumerate(VOCABULARIES[cut])}
        for sequence, (name, text) in enumerate(documents.items()):
            tokens = cut(text)
            parts = [tokens[at : at + CONTEXT - 1] for at in range(0, len(tokens), CONTEXT - 1)]
            ids = np.zeros((len(parts), CONTEXT), int)
            for row, part in enumerate(parts):
                ids[row, 1 : 1 + len(part)] = [known[token] for token in part]
            made = factories.batch(ids, [len(part) + 1 for part in parts], 0, sequence)
            batch = replace(made, documents=(name,) * len(parts))
            oracle.add(batch)
            dense, start = engine.dense(batch) > 0, 0
            for row, part in enumerate(parts):
                sizes = [len(token) for token in part]
                active = np.repeat(dense[row, 1 : 1 + len(part)].T, sizes, axis=1)
                found = Row(name, start, "".join(part), active)
                self.rows.setdefault(batch.keys[row].tobytes(), found)
                start += sum(sizes)
        vocabulary = [token.encode() for token in VOCABULARIES[cut]]
        self.snapshot = Snapshot(write_plain(plan, oracle.tables(vocabulary), "final", str(store)))

    def known(self) -> tuple[dict[bytes, Row], list[set[bytes]]]:
        """Return the stored rows, and those in which the firings of each component are known."""
        stored: dict[bytes, Row] = {}
        ends = []
        for component in range(self.components):
            keys = sorted(key for key, row in self.rows.items() if row.active[component].any())
            stored |= {key: self.rows[key] for key in keys[: self.k]}
            ends.append(keys[self.k - 1] if len(keys) >= self.k else b"\xff" * 17)
        return stored, [{key for key in stored if key <= end} for end in ends]


def documents(seed: int, count: int = 8) -> dict[str, str]:
    chance = np.random.default_rng(seed)
    return {
        f"doc-{n}": "".join(chance.choice(list(LETTERS), int(chance.integers(20, 150))))
        for n in range(count)
    }


def shared_part(one: Row, other: Row) -> tuple[int, int] | None:
    """Return where in the document two rows have text in common that can be found."""
    if one.document != other.document:
        return None
    first = max(one.start, other.start)
    stop = min(one.start + len(one.text), other.start + len(other.text))
    enough = stop - first >= WINDOW or (one.start == other.start and one.text == other.text)
    return (first, stop) if enough and stop > first else None


@pytest.mark.parametrize("k", [3, 1000])
def test_features_match_where_bytes_say_so(tmp_path: Path, k: int) -> None:
    text = documents(1)
    a = Model(tmp_path / "a", pairs, text, 6, k, seed=3)
    b = Model(tmp_path / "b", triples, text, 5, k, seed=4)
    found = compare_models([a.snapshot, b.snapshot])
    (stored_a, known_a), (stored_b, known_b) = a.known(), b.known()
    both = np.zeros((6, 5), int)
    of_a, of_b = both.copy(), both.copy()
    parts = []
    for key_a, one in stored_a.items():
        for key_b, other in stored_b.items():
            part = shared_part(one, other)
            if part is None:
                continue
            parts.append((key_a, key_b, part[1] - part[0]))
            ours = one.active[:, part[0] - one.start : part[1] - one.start].astype(int)
            theirs = other.active[:, part[0] - other.start : part[1] - other.start].astype(int)
            knows_a = np.array([key_a in keys for keys in known_a])
            knows_b = np.array([key_b in keys for keys in known_b])
            counts = np.outer(knows_a, knows_b)
            both += counts * (ours @ theirs.T)
            of_a += counts * ours.sum(axis=1)[:, None]
            of_b += counts * theirs.sum(axis=1)[None]
    (said,) = found.shared.to_pylist()
    assert said["bytes"] == sum(size for *_, size in parts) > 0
    assert (said["rows_a"], said["rows_b"]) == tuple(len({p[n] for p in parts}) for n in (0, 1))
    assert (said["of_rows_a"], said["of_rows_b"]) == (len(stored_a), len(stored_b))
    assert said["documents"] == len({stored_a[key].document for key, *_ in parts})
    scores = both / np.maximum(of_a + of_b - both, 1)
    matches = {(row["a"], row["cluster_a"]): row for row in found.matches.to_pylist()}
    for (run, other_run), table, sizes in (
        ((0, 1), both, (of_a, of_b)),
        ((1, 0), both.T, (of_b.T, of_a.T)),
    ):
        score = scores if run == 0 else scores.T
        for cluster in range(len(table)):
            if not table[cluster].any():
                assert (run, cluster) not in matches
                continue
            row = matches[run, cluster]
            at = row["cluster_b"]
            assert (row["b"], row["label_a"], row["label_b"]) == (
                other_run, str(cluster), str(at)
            )  # fmt: skip
            assert score[cluster, at] == pytest.approx(score[cluster][table[cluster] > 0].max())
            assert row["jaccard"] == pytest.approx(score[cluster, at])
            numbers = (row["both"], row["of_a"], row["of_b"])
            assert numbers == (table[cluster, at], sizes[0][cluster, at], sizes[1][cluster, at])
            assert row["mutual"] == (matches[other_run, at]["cluster_b"] == cluster)
    assert found.notes == ()


def test_one_run_matches_itself(tmp_path: Path) -> None:
    run = Model(tmp_path, pairs, documents(2), 6, 1000, seed=3).snapshot
    rows = compare_models([run, run]).matches.to_pylist()
    assert {row["jaccard"] for row in rows} == {1.0}
    assert len([row for row in rows if row["cluster_a"] == row["cluster_b"]]) == 12


def test_runs_of_other_documents_share_nothing_and_say_so(tmp_path: Path) -> None:
    one = Model(tmp_path / "a", pairs, documents(1), 6, 9, seed=3)
    same_names = Model(tmp_path / "b", triples, documents(9), 5, 9, seed=3)
    others = {f"{name}x": text for name, text in documents(1).items()}
    other_names = Model(tmp_path / "c", triples, others, 5, 9, seed=3)
    found = compare_models([m.snapshot for m in (one, same_names, other_names)])
    assert [row["bytes"] for row in found.shared.to_pylist()] == [0, 0, 0]
    assert len(found.matches) == 0
    assert "hold other parts" in found.notes[0]
    assert "same document ids" in found.notes[1]


def test_a_run_without_shared_rows_is_refused(tmp_path: Path) -> None:
    one = Model(tmp_path / "a", pairs, documents(1), 6, 9, seed=3).snapshot
    ranked = {"maximum@1": {"k": 3}}
    without = Snapshot(replace(one.manifest, about={**one.about, "rankings": ranked}))
    with pytest.raises(SnapshotError, match="need the ranking 'shared'"):
        compare_models([one, without])


def test_text_that_stands_twice_is_no_place() -> None:
    again = b"the same words again and again, "

    def rows(*texts: bytes) -> TextRows:
        none = np.zeros(1, np.int64)
        return TextRows(("d",) * len(texts), texts, (none,) * len(texts))

    assert len(segments_of(rows(again + again), rows(again)).a) == 0
    found = segments_of(rows(b"0123456789" + again), rows(again + b"and more"))
    assert [int(column[0]) for column in (found.a, found.b, found.start_a, found.start_b)] == [
        0, 0, 10, 0
    ]  # fmt: skip
    assert found.length.tolist() == [len(again)]
