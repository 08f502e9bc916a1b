"""What a labeller sees and what is held out: chosen by hash, never both, silent ones verified."""

from pathlib import Path

import pytest

from downstream.labelling.context_text import (
    CLOSE,
    OPEN,
    context_text,
    plain,
    strong_tokens,
    window_of,
)
from downstream.labelling.contexts import ContextCounts, choose_contexts
from downstream.labelling.held_out import is_held_out
from downstream.labelling.label_prompt import MOST_CHARACTERS, label_prompt, read_label
from downstream.labelling.model_labels import chosen_clusters
from downstream.reading.examples import Example
from streams.errors import SnapshotError
from tests.downstream.reading.test_silent import active_samples, opened

COUNTS = ContextCounts(4, 4, 4, 6)


def example(*tokens: bytes, active: dict[int, float], peak: int) -> Example:
    values = tuple(active.get(at, 0.0) for at in range(len(tokens)))
    return Example(
        0, "maximum", 0, max(values), peak, "ab" * 16, "", "", (0, 0, 0), tuple(range(len(tokens))),
        tokens, values, {}, max(values, default=0.0) or 1.0,
    )  # fmt: skip


@pytest.mark.parametrize("rankings", [("maximum", "shared", "intervals"), ("maximum", "shared")])
def test_no_context_is_shown_and_held_out_and_silent_ones_are_silent(
    tmp_path: Path, rankings: tuple[str, ...]
) -> None:
    plan, snapshot = opened(tmp_path, *rankings)
    active, some = active_samples(plan), 0
    for cluster in chosen_clusters(snapshot, None, (), None):
        row = snapshot.clusters.to_pylist()[cluster]
        one = snapshot.cluster(row["label"], row["clustering"], row["iteration"])
        contexts = choose_contexts(one, snapshot.rankings, COUNTS)
        assert not set(contexts.shown) & set(contexts.held_out)
        assert not any(map(is_held_out, contexts.shown))
        assert all(map(is_held_out, contexts.held_out))
        for silent in (*contexts.silent, *contexts.held_silent):
            assert bytes.fromhex(silent.sample) not in active[cluster]
        for each in (*contexts.top, *contexts.interval, *contexts.held_active):
            assert bytes.fromhex(each.sample) in active[cluster]
        assert len(contexts.hard) == len(contexts.held_silent) <= 6
        assert contexts == choose_contexts(one, snapshot.rankings, COUNTS)
        some += len(contexts.held_out)
        prompt = label_prompt(contexts)[1]["content"]
        assert prompt.count("\n- ") == len(contexts.shown)
    assert some


def test_about_half_of_all_samples_are_held_out() -> None:
    held = sum(is_held_out(f"{n:032x}") for n in range(2000))
    assert 900 < held < 1100


def test_marks_are_beyond_doubt_whatever_the_text_holds() -> None:
    tokens = (b"a ", "⟦x⟧".encode(), b"\xe9", b"\xb3", b"\xa5", b"\n", "\u202e".encode(), b"z")
    one = example(*tokens, active={1: 1.0, 4: 0.5, 5: 0.2}, peak=1)
    assert strong_tokens(one) == {1, 4}
    text = context_text(one, window_of(one), strong_tokens(one))
    assert text == f"a {OPEN}[x]{CLOSE}{OPEN}鳥{CLOSE}⏎z"
    assert context_text(one, window_of(one)) == "a [x]鳥⏎z"


def test_a_window_holds_the_peak_and_never_more_than_there_is() -> None:
    tokens = tuple(bytes([97 + n % 26]) for n in range(100))
    for peak in (0, 3, 50, 99):
        one = example(*tokens, active={peak: 1.0}, peak=peak)
        window = window_of(one)
        assert peak in window
        assert len(window) == 40
        assert range(100)[window.start] >= 0
    assert len(window_of(example(b"a", active={0: 1.0}, peak=0))) == 1


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ('{"label": "modal verbs"}', "modal verbs"),
        ('Sure!\n```json\n{"label": "a\\nb"}\n```', "a b"),
        ("Label: **imports**", "imports"),
        ('{"label": 3} {"label": "x"}', "x"),
        ('{"label": "<b>bold</b>\\u202e\\u0007"}', "<b>bold</b>"),
        ('{"other": "x"}', ""),
        ("I cannot say.", ""),
        ("", ""),
        ('{"label": "' + "x" * 5000 + '"}', "x" * MOST_CHARACTERS),
        ("{" * 10000, ""),
    ],
)
def test_an_answer_is_read_as_one_plain_bounded_line(answer: str, label: str) -> None:
    assert read_label(answer) == label


def test_plain_text_has_no_control_characters() -> None:
    every = plain("".join(map(chr, range(0x3000))))
    assert every.isprintable() or all(
        c.isprintable() or c == "\u00a0" or c.isspace() for c in every
    )
    assert OPEN not in every


def test_a_larger_sample_holds_a_smaller_one_and_unknown_ones_are_named(tmp_path: Path) -> None:
    _, snapshot = opened(tmp_path, "maximum")
    every = chosen_clusters(snapshot, None, (), None)
    three, five = (set(chosen_clusters(snapshot, None, (), n)) for n in (3, 5))
    assert three < five <= set(every)
    with pytest.raises(SnapshotError, match="there is no clustering 'x'"):
        chosen_clusters(snapshot, "x", (), None)
