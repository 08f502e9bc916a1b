"""Tokens of clusters and clusters of tokens, against counting at dense values."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consumers.oracle.oracle import Oracle
from consumers.plan import Plan, make_plan
from consumers.snapshots.snapshots import write_plain
from downstream.derived.attach import attach
from downstream.derived.derivation import Given, Options
from downstream.derived.dictionaries import read_dictionary
from downstream.derived.tokens import Tokens
from downstream.reading.snapshot import Snapshot
from streams.errors import SnapshotError
from streams.records.corpus import TokenBatch
from streams.records.measures import measure
from tests import factories

ROWS = factories.batches(per_partition=6, rows=8, seed=3)


class Engine(factories.DenseEngine):
    """Values that depend on the position, too: a token is not always a component's, or never."""

    def dense(self, batch: TokenBatch) -> Any:
        drawn = np.random.default_rng(7).random((batch.ids.shape[1], self.plan.components))
        return super().dense(batch) * (drawn < 0.6).astype(np.float32)


def opened(folder: Path, **parameters: int) -> tuple[Plan, Snapshot]:
    """Return a run that counts tokens in all of its rows, and its snapshot."""
    base = factories.run_record()
    tokens = measure("tokens@2", **{"budget": 1000, "one_in": 1, "sketch": 8, **parameters})
    plan = make_plan(replace(base, statistics=(*base.statistics, tokens)))
    oracle = Oracle(plan, Engine(plan, density=0.5))
    for batch in ROWS:
        oracle.add(batch)
    tables = oracle.tables([f" w{number}".encode() for number in range(factories.VOCABULARY)])
    return plan, Snapshot(write_plain(plan, tables, "final", str(folder)))


def firings(plan: Plan) -> Iterator[tuple[int, int, float]]:
    """Yield cluster, token id and activation of every firing, from dense values."""
    engine = Engine(plan, density=0.5)
    for batch in ROWS:
        valid = batch.mask & (batch.ids != 0)
        dense = engine.dense(batch)
        for cluster in range(plan.clusters):
            first, stop = plan.member_first[cluster : cluster + 2]
            strongest = dense[..., plan.members[first:stop]].max(axis=-1, initial=0)
            for row, position in zip(*np.nonzero(valid & (strongest > 0)), strict=True):
                yield cluster, int(batch.ids[row, position]), float(strongest[row, position])


def occurrences() -> "Counter[int]":
    return Counter(int(i) for b in ROWS for i in b.ids[b.mask & (b.ids != 0)])


def plain(plan: Plan) -> dict[tuple[int, int], dict[str, Any]]:
    """Return what is known of each cluster and token, counted one by one."""
    found: dict[tuple[int, int], list[float]] = defaultdict(list)
    for cluster, token, value in firings(plan):
        found[(cluster, token)].append(value)
    totals: Counter[int] = Counter()
    for (cluster, _), values in found.items():
        totals[cluster] += len(values)
    occurs = occurrences()
    n = sum(occurs.values())
    return {
        (cluster, token): {
            "firing_tokens": len(values),
            "mean_activation": np.mean(values),
            "max_activation": np.float32(max(values)),
            "active_given_token": len(values) / occurs[token],
            "token_given_active": len(values) / totals[cluster],
            "pmi": np.log2((len(values) / n) / (occurs[token] / n * (totals[cluster] / n))),
            "error": 0,
        }
        for (cluster, token), values in found.items()
    }


def attached(snapshot: Snapshot, k: int = 3) -> dict[str, list[dict[str, Any]]]:
    given = Given(snapshot, read_dictionary)
    attach(Tokens(), given, Options(k=k), created="2031-05-06T07:08:09Z")
    return {name: table.to_pylist() for name, table in snapshot.attachment("tokens").items()}


def test_counts_shares_and_pmi_are_those_of_counting_one_by_one(tmp_path: Path) -> None:
    plan, snapshot = opened(tmp_path)
    expected = plain(plan)
    tables = attached(snapshot)
    for form in Tokens().forms:
        keys = [tuple(row[column] for column in form.key) for row in tables[form.name]]
        assert keys == sorted(set(keys)), form.name
    by_token = {(row.pop("cluster"), row.pop("token")): row for row in tables["token_features"]}
    assert by_token.keys() == expected.keys()
    assert {row["active_given_token"] < 1 for row in by_token.values()} == {True, False}
    for pair, row in by_token.items():
        assert row == pytest.approx(expected[pair], abs=2**-20), pair
    for number, row in enumerate(snapshot.clusters.to_pylist()):
        cluster = snapshot.cluster(row["label"], row["clustering"], row["iteration"])
        ours = {token: said for (c, token), said in expected.items() if c == number}
        order = sorted(ours, key=lambda token: (-ours[token]["firing_tokens"], token))
        found = cluster.tokens(4).to_pylist()
        assert [each["token"] for each in found] == order[:4]
        top = [each["token"] for each in tables["cluster_tokens"] if each["cluster"] == number]
        assert top == order[:3]
        if found:
            assert found[0]["pmi"] == pytest.approx(ours[order[0]]["pmi"])
            assert found[0]["text"] == f" w{order[0]}"
    token = max(expected, key=lambda pair: expected[pair]["firing_tokens"])[1]
    ranked = snapshot.token_features(token, 3).to_pylist()
    counts = sorted((s["firing_tokens"] for (_, t), s in expected.items() if t == token))[::-1]
    assert [each["firing_tokens"] for each in ranked] == counts[:3]
    assert [each["label"] for each in ranked] == [
        snapshot.clusters["label"][each["cluster"]].as_py() for each in ranked
    ]
    assert len(snapshot.token_features(0)) == 0  # a masked id


def test_entropy_and_concentration_are_exact_or_within_their_error(tmp_path: Path) -> None:
    plan, exact = opened(tmp_path / "exact")
    counts: dict[int, Counter[int]] = defaultdict(Counter)
    for cluster, token, _ in firings(plan):
        counts[cluster][token] += 1
    _, sketched = opened(tmp_path / "sketched", budget=3)
    tables = attached(exact), attached(sketched)
    for one, other in zip(*(each["token_concentration"] for each in tables), strict=True):
        n = np.array(list(counts[one["cluster"]].values()))
        p = n / n.sum()
        entropy, squares = -(p * np.log2(p)).sum(), (p * p).sum()
        assert one["entropy"] == pytest.approx(entropy, abs=1e-9)
        assert one["concentration"] == pytest.approx(squares)
        assert (one["entropy_error"], one["concentration_error"]) == (0, 0)
        assert one["firing_tokens"] == other["firing_tokens"] == n.sum()
        assert abs(other["entropy"] - entropy) <= other["entropy_error"] + 1e-9
        assert abs(other["concentration"] - squares) <= other["concentration_error"] + 1e-9
    assert any(each["entropy_error"] > 0 for each in tables[1]["token_concentration"])
    assert any(each["error"] > 0 for each in tables[1]["token_features"])


def test_tokens_that_a_sketch_makes_up_are_left_out(tmp_path: Path) -> None:
    _, snapshot = opened(tmp_path, budget=8, sketch=1, one_in=16)
    listed = set(snapshot.table("token_firings").to_pandas()["token"])
    there = set(snapshot.table("sampled_tokens").to_pandas()["token"])
    assert listed - there
    tables = attached(snapshot)
    assert {row["token"] for row in tables["token_features"]} <= there
    totals = {row["cluster"]: row["firing_tokens"] for row in tables["token_concentration"]}
    assert all(0 < r["firing_tokens"] <= totals[r["cluster"]] for r in tables["token_features"])


def test_without_the_statistic_that_is_said(tmp_path: Path) -> None:
    plan = factories.plan()
    oracle = Oracle(plan, Engine(plan, density=0.5))
    manifest = write_plain(plan, oracle.tables([b"a"]), "final", str(tmp_path))
    with pytest.raises(SnapshotError, match="need the statistic 'tokens'"):
        Snapshot(manifest).feature(1).tokens()
