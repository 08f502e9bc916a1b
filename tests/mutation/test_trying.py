"""Mutants of a project of two files, tried by its one test."""

import subprocess
from pathlib import Path

import pytest

from tests.mutation.__main__ import report
from tests.mutation.fast_tests import Suite
from tests.mutation.mutants import Mutant, mutants
from tests.mutation.trying import BaselineError, Tree, Trial, copied

SOURCE = """def larger(a, b):
    return a > b


def count(n):
    while n > 0:
        n -= 1
    return n
"""
TEST = """from sums import count, larger


def test_larger():
    assert larger(2, 1)
    assert count(3) == 0
"""
TESTS = Suite(("test_sums.py",))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "sums.py").write_text(SOURCE)
    (checkout / "test_sums.py").write_text(TEST)
    (checkout / "ignored.py").write_text("raise SystemExit")
    (checkout / ".gitignore").write_text("ignored.py\n")
    subprocess.run(["git", "init", "-q", str(checkout)], check=True)
    made = copied(checkout, tmp_path / "copy", {})
    assert sorted(path.name for path in made.root.iterdir() if path.is_file()) == [
        ".gitignore", "sums.py", "test_sums.py",
    ]  # fmt: skip
    return made


def named(after: str) -> Mutant:
    (found,) = (one for one in mutants("sums.py", SOURCE) if one.after == after)
    return found


def test_mutants_are_caught_survive_or_take_too_long(
    tree: Tree, capsys: pytest.CaptureFixture[str]
):
    assert tree.baseline(TESTS) > 0
    outcomes = {
        after: tree.attempt(named(after), TESTS, usual=-19.5 if after == "pass" else 1.0).outcome
        for after in ("return (a >= b)", "while not (n > 0):", "pass")
    }
    assert outcomes == {
        "return (a >= b)": "survived", "while not (n > 0):": "caught", "pass": "too slow",
    }  # fmt: skip
    assert (tree.root / "sums.py").read_text() == SOURCE


def test_tests_that_fail_by_themselves_say_nothing(tree: Tree):
    (tree.root / "test_sums.py").write_text(TEST + "    assert larger(1, 2)\n")
    with pytest.raises(BaselineError, match="larger"):
        tree.baseline(TESTS)


def test_a_survivor_is_printed_and_is_the_status(capsys: pytest.CaptureFixture[str]):
    survivor = Trial(named("return (a >= b)"), "survived", 1.0)
    caught = Trial(named("while not (n > 0):"), "caught", 1.0)
    assert report([caught, caught]) == 0
    assert report([caught, survivor]) == 1
    said = capsys.readouterr().out
    assert "SURVIVED: sums.py:2" in said
    assert "1 of 2 mutants caught" in said
