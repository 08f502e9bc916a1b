"""Scores against plain recomputations, and on contexts where the answer is known."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.asking.separation import auroc_interval
from downstream.labelling.answer_log import Answered
from downstream.labelling.contexts import ContextCounts, choose_contexts
from downstream.labelling.held_out import is_held_out
from downstream.labelling.model_labels import chosen_clusters, cluster_numbered
from downstream.labelling.scores.embedding import embedding_score
from downstream.labelling.scores.held_texts import HeldTexts, held_texts
from downstream.labelling.scores.intruder import intruder_score
from downstream.labelling.scores.judged import (
    DETECTION,
    FUZZING,
    judged_scores,
    judging,
    read_numbers,
)
from downstream.labelling.scores.score import balanced_accuracy, score_table
from downstream.labelling.scores.text_vectors import word_vectors
from tests.downstream.reading.test_silent import active_samples, opened


def texts(active: Sequence[str], silent: Sequence[str]) -> HeldTexts:
    every = [*active, *silent]
    flags = [True] * len(active) + [False] * len(silent)
    return HeldTexts(every, every, flags, [False] * len(every), ["00" * 16] * len(every))


CATS = [f"the cat sat on {word}" for word in ("mats", "walls", "roofs", "chairs", "beds")]
ROCKS = [f"granite {word} basalt" for word in ("beside", "over", "under", "near")]


def test_a_plain_difference_is_found_and_noise_is_not() -> None:
    clear = intruder_score(texts(CATS, ROCKS), word_vectors)
    assert (clear.value, clear.high) == (1.0, 1.0)
    assert 0 < clear.low < 1
    mixed = intruder_score(texts(["same"] * 5, ["same"] * 10), word_vectors)
    assert mixed.value < 0.5
    told = embedding_score(texts(CATS, ROCKS), "a cat", "granite", word_vectors, auroc_interval)
    assert (told.value, told.shuffled) == (1.0, 0.0)
    assert 0.5 < told.low < told.high == 1.0
    blank = embedding_score(texts(CATS, ROCKS), "zebra", None, word_vectors, auroc_interval)
    assert blank.value == 0.5
    assert math.isnan(blank.shuffled)


numbers = st.integers(0, 20)


@given(numbers, numbers, numbers, numbers)
def test_balanced_accuracy_is_the_mean_of_both_shares(a: int, b: int, c: int, d: int) -> None:
    hits, active, alarms, silent = a, a + b + 1, c, c + d + 1
    value, low, high = balanced_accuracy(hits, active, alarms, silent)
    assert value == pytest.approx((hits / active + (silent - alarms) / silent) / 2)
    assert 0 <= low <= value + 1e-12
    assert value - 1e-12 <= high <= 1 + 1e-12


def test_its_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    chance, held = np.random.default_rng(5), 0
    for _ in range(2000):
        hits, alarms = chance.binomial(10, 0.8), chance.binomial(10, 0.3)
        _, low, high = balanced_accuracy(int(hits), 10, int(alarms), 10)
        held += low <= 0.75 <= high
    assert held / 2000 > 0.93


@given(st.lists(st.text(max_size=30), max_size=6))
def test_vectors_have_length_one_or_nothing(given_texts: list[str]) -> None:
    lengths = np.linalg.norm(word_vectors(given_texts), axis=1)
    assert ((np.abs(lengths - 1) < 1e-5) | (lengths == 0)).all()


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ('{"active": [1, 3]}', {1, 3}),
        ('so: {"active": []}', set()),
        ('{"active": [5]}', None),
        ('{"active": [0]}', None),
        ('{"active": [true]}', None),
        ('{"active": ["1"]}', None),
        ("1, 3", None),
        ("", None),
        ("{" * 5000, None),
    ],
)
def test_an_answer_names_contexts_that_there_are_or_counts_as_none(answer, found) -> None:
    assert read_numbers(answer, 4) == found


def answered(question, said: str) -> Answered:
    return Answered(
        "k", question.task, question.cluster, question.messages, question.note, said, 1, 1, True, 1,
        0.1, "m", "2031",
    )  # fmt: skip


def test_a_judge_that_knows_scores_one_and_one_that_says_all_a_half() -> None:
    held = texts(CATS, ROCKS)
    own, other = judging(DETECTION, 7, "cats", held), judging(DETECTION, 7, "rocks", held, True)
    right = json.dumps({"active": [1, 2, 3, 4, 5]})
    every = json.dumps({"active": list(range(1, 10))})
    found = judged_scores(
        DETECTION,
        {(DETECTION, 7): answered(own, right), (other.task, 7): answered(other, every)},
    )
    assert (found[7].value, found[7].shuffled, found[7].active, found[7].silent) == (1, 0.5, 5, 4)
    assert judged_scores(DETECTION, {(DETECTION, 7): answered(own, "no idea")}) == {}
    assert judged_scores(FUZZING, {(DETECTION, 7): answered(own, right)}) == {}
    assert "Label: cats" in own.messages[1]["content"]


def test_only_held_out_contexts_are_scored_on_and_marks_are_where_they_should_be(
    tmp_path: Path,
) -> None:
    plan, snapshot = opened(tmp_path, "maximum", "shared", "intervals")
    active, some = active_samples(plan), 0
    for cluster in chosen_clusters(snapshot, None, (), None):
        one = cluster_numbered(snapshot, cluster)
        contexts = choose_contexts(one, snapshot.rankings, ContextCounts(4, 4, 4, 6))
        held = held_texts(contexts)
        assert held == held_texts(contexts)
        for sample, is_active, plain, marked in zip(
            held.samples, held.active, held.plain, held.marked, strict=True
        ):
            assert is_held_out(sample)
            assert (bytes.fromhex(sample) in active[cluster]) == is_active
            assert "⟦" in marked
            assert marked.replace("⟦", "").replace("⟧", "") == plain
            some += 1
    assert some


def test_a_table_has_the_form_that_lists_can_sort_by() -> None:
    from downstream.labelling.scores.intruder import FORM

    score = intruder_score(texts(CATS, ROCKS), word_vectors)
    table = score_table(FORM, {3: score, 1: score})
    assert table.schema == FORM.schema
    assert table["cluster"].to_pylist() == [1, 3]
