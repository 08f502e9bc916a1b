"""Compared dictionaries, against counting row by row, plain cosines and sets of samples."""

from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from downstream.analysis.dictionaries import (
    Choices,
    DictionaryComparison,
    compare_dictionaries,
)
from downstream.derived.dictionaries import read_dictionary
from downstream.reading.shared_firings import LEAST
from downstream.reading.snapshot import Snapshot
from streams.errors import SnapshotError
from tests.downstream.analysis.domain_runs import SOURCES, Run
from tests.downstream.derived.conftest import write_dictionary

CHOICES = Choices(
    top=4, least=3, share=0.3, ratio=1.05, decoder=0.2, coactivation=0.25, contexts=0.5
)
FIRST = {"sae": 0, "other": 6}
SIZES = {source.name: source.components for source in SOURCES}


class Compared:
    """A run whose dictionaries lie on disk, compared."""

    def __init__(self, folder: Path) -> None:
        self.run = Run(folder / "store", rankings=("maximum", "shared=1000"), k=5)
        self.weights = {
            name: write_dictionary(folder / name, seed, size)
            for seed, (name, size) in enumerate(SIZES.items())
        }
        listed = [
            {**each, "location": str(folder / each["name"])}
            for each in self.run.manifest.about["sources"]
        ]
        about = {**self.run.manifest.about, "sources": listed}
        self.snapshot = Snapshot(replace(self.run.manifest, about=about))
        self.found: DictionaryComparison = compare_dictionaries(
            self.snapshot, read_dictionary, CHOICES
        )

    def rows(self, table: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.found.tables[table].to_pylist()
        return found

    def by_domain(self) -> tuple[dict[str, int], dict[str, np.ndarray]]:
        """Return the tokens of each domain, and those at which components are active."""
        tokens: dict[str, int] = {}
        firing: dict[str, np.ndarray] = {}
        for domain, valid, values in self.run.active():
            if domain:
                tokens[domain] = tokens.get(domain, 0) + int(valid.sum())
                firing[domain] = firing.get(domain, 0) + (values > 0).sum(axis=0)
        return tokens, firing


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    return Compared(tmp_path_factory.mktemp("compared"))


def test_leaders_are_those_of_all_values(compared: Compared) -> None:
    values = np.concatenate([values for _, _, values in compared.run.active()])
    tokens, firing = compared.by_domain()
    every = np.sum(list(firing.values()), axis=0)
    share = {d: own / np.maximum(every, 1) for d, own in firing.items()}
    ratio = {d: share[d] * sum(tokens.values()) / tokens[d] for d in tokens}
    best = np.max(list(ratio.values()), axis=0) * (every >= CHOICES.least)
    count = (values > 0).sum(axis=0)
    measures = {"strongest": values.max(axis=0), "frequent": count, "selective": best}
    listed = compared.rows("leaders")
    for name, size in SIZES.items():
        own = slice(FIRST[name], FIRST[name] + size)
        for by, measure in measures.items():
            rows = [row for row in listed if (row["source"], row["by"]) == (name, by)]
            order = sorted(
                (at for at in range(size) if measure[own][at] > 0),
                key=lambda at: (-round(measure[own][at], 9), -count[own][at], at),
            )
            assert [row["index"] for row in rows] == order[: CHOICES.top]
            for row in rows:
                at = FIRST[name] + row["index"]
                assert row["max_activation"] == values[:, at].max()
                assert row["firing_tokens"] == count[at]
                if best[at] > 0:
                    assert row["selectivity"] == pytest.approx(best[at])
                    assert row["selectivity"] == pytest.approx(ratio[row["domain"]][at])
                    assert row["share"] == pytest.approx(share[row["domain"]][at])
                else:
                    assert row["domain"] is None


def test_specialists_are_those_of_all_values(compared: Compared) -> None:
    tokens, firing = compared.by_domain()
    every, total = np.sum(list(firing.values()), axis=0), sum(tokens.values())
    listed, some = compared.rows("specialists"), 0
    for name, size in SIZES.items():
        for domain, own in firing.items():
            base, expected = tokens[domain] / total, []
            for at in range(size):
                n = every[FIRST[name] + at]
                share = own[FIRST[name] + at] / max(n, 1)
                if n >= CHOICES.least and share >= CHOICES.share and share >= CHOICES.ratio * base:
                    expected.append((-share, -n, at))
            rows = [row for row in listed if (row["source"], row["domain"]) == (name, domain)]
            best = [int(at) for *_, at in sorted(expected)][: CHOICES.top]
            assert [row["index"] for row in rows if row["rank"] is not None] == best
            assert len(rows) == max(len(best), 1)
            assert {row["specialists"] for row in rows} == {len(expected)}
            assert rows[0]["domain_share"] == pytest.approx(base)
            some += len(best)
    assert some > 0


def test_partners_are_those_of_plain_loops(compared: Compared) -> None:
    active: dict[bytes, np.ndarray] = {}
    for batch in compared.run.batches:
        dense, valid = compared.run.engine.dense(batch), batch.mask & (batch.ids != 0)
        for at_row, key in enumerate(batch.keys):
            active[key.tobytes()] = (dense[at_row] > 0) & valid[at_row][:, None]
    fires = np.concatenate(list(active.values())).astype(int)
    fires[:, 2] = 0  # it is left out
    examples: dict[int, set[bytes]] = {at: set() for at in range(10)}
    clusters = compared.snapshot.clusters.to_pylist()
    component = {
        row["cluster"]: FIRST[row["clustering"].partition("/")[2]] + int(row["label"])
        for row in clusters
        if row["clustering"].startswith("features/")
    }
    for hit in compared.snapshot.table("hits").to_pylist():
        if hit["ranking"] == "maximum" and hit["cluster"] in component:
            examples[component[hit["cluster"]]].add(hit["sample"])
    listed = {(r["source"], r["index"], r["other_source"]): r for r in compared.rows("matches")}
    seen = set()
    for one, other in permutations(SIZES, 2):
        ours, theirs = (
            w / np.linalg.norm(w, axis=1, keepdims=True)
            for w in (compared.weights[n]["W_dec"] for n in (one, other))
        )
        for at in range(SIZES[one]):
            a = FIRST[one] + at
            if not fires[:, a].any():
                assert (one, at, other) not in listed
                continue
            row = listed[one, at, other]
            cosines = theirs @ ours[at]
            assert row["decoder_index"] == cosines.argmax()
            assert row["decoder"] == pytest.approx(cosines.max(), abs=1e-6)
            jaccard, contexts = [], []
            for b in range(FIRST[other], FIRST[other] + SIZES[other]):
                both = int((fires[:, a] & fires[:, b]).sum())
                either = int((fires[:, a] | fires[:, b]).sum())
                jaccard.append(both / either if both >= LEAST else 0.0)
                common = len(examples[a] & examples[b])
                contexts.append(common / max(len(examples[a] | examples[b]), 1))
            for way, scores in (("coactivation", jaccard), ("contexts", contexts)):
                assert row[way] == pytest.approx(max(scores))
                if max(scores) == 0:
                    assert row[f"{way}_index"] is None
                else:
                    assert scores[row[f"{way}_index"]] == pytest.approx(max(scores))
            reached = [row[way] >= getattr(CHOICES, way)
                       for way in ("decoder", "coactivation", "contexts")]  # fmt: skip
            assert row["shared"] == any(reached)
            seen.add(row["shared"])
    assert seen == {True, False}
    for pair_row in compared.rows("overlap"):
        pair = (pair_row["source"], pair_row["other_source"])
        own = [r for r in listed.values() if (r["source"], r["other_source"]) == pair]
        assert pair_row["active"] == len(own)
        assert pair_row["shared"] == sum(r["shared"] for r in own)
        assert pair_row["alone"] == pair_row["active"] - pair_row["shared"]
        for way in ("decoder", "coactivation", "contexts"):
            assert pair_row[f"by_{way}"] == sum(r[way] >= getattr(CHOICES, way) for r in own)


def test_the_table_of_dictionaries_says_l0_and_where_they_lie(compared: Compared) -> None:
    values = np.concatenate([values for _, _, values in compared.run.active()])
    valid = sum(int(valid.sum()) for _, valid, _ in compared.run.active())
    rows = compared.rows("dictionaries")
    assert [row["source"] for row in rows] == list(SIZES)
    for row, source in zip(rows, compared.snapshot.about["sources"], strict=True):
        own = values[:, FIRST[row["source"]] :][:, : SIZES[row["source"]]] > 0
        if row["source"] == "sae":
            own = own[:, np.arange(6) != 2]
        assert row["l0"] == pytest.approx(own.sum() / valid)
        assert row["active"] == own.any(axis=0).sum()
        assert row["cached_at"] == source["location"]
        assert row["explained_variance"] is None  # this run did not measure it
    assert compared.found.notes == ()


def test_each_dictionary_alone_has_the_rows_that_it_has_among_others(compared: Compared) -> None:
    for name in SIZES:
        alone = compare_dictionaries(compared.snapshot, None, CHOICES, only=[name])
        for table in ("dictionaries", "leaders", "specialists"):
            own = [row for row in compared.rows(table) if row["source"] == name]
            assert alone.tables[table].to_pylist() == own
        assert len(alone.tables["matches"]) == 0


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    run = Run(tmp_path, statistics=())
    found = compare_dictionaries(run.snapshot, read_dictionary)
    said = "\n".join(found.notes)
    for part in ("decoder of sae is not known", "domains are not known", "co-activation is not"):
        assert part in said
    assert len(found.tables["specialists"]) == 0
    assert {row["by"] for row in found.tables["leaders"].to_pylist()} == {"strongest", "frequent"}
    for row in found.tables["overlap"].to_pylist():
        assert (row["by_decoder"], row["by_coactivation"]) == (None, None)
        assert row["shared"] == row["by_contexts"]
    with pytest.raises(SnapshotError, match=r"no source 'x' .there are: sae, other"):
        compare_dictionaries(run.snapshot, only=["x"])
