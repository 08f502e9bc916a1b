import ast
from collections.abc import Iterable

import pytest

from tests.mutation.__main__ import all_mutants, equivalents
from tests.mutation.fast_tests import CHECKOUT, PACKAGES, Suite, arguments, suites
from tests.mutation.mutants import mutants


def lines(body: str, head: str = "def f(a, b):") -> list[str]:
    source = "\n".join([head, *(f"    {line}" for line in body.splitlines())]) + "\n"
    return [mutant.after for mutant in mutants("m.py", source)]


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ("return a < b", ["return (a <= b)"]),
        ("return a is None", ["return (a is not None)"]),
        ("return a and b", ["return (a or b)"]),
        ("return not a", ["return (a)"]),
        ("return a + b", ["return (a - b)"]),
        ("return a[0]", ["return a[(1)]"]),
        ("return f(a, check=True)", ["return f(a, check=(False))"]),
        ("a.clear()", ["pass"]),
        ("a.n += b", ["pass"]),
        ("a[b] = b", ["pass"]),
        ("c = a", []),
        ("raise ValueError(f'{a < b}')", ["pass"]),
        ("log.warning('%s', a + b)", []),
        ("assert a < b", []),
        ("return {n for n in a if n > b}", ["return {n for n in a if (n >= b)}"]),
    ],
)
def test_every_kind_of_line_has_its_mutants(line: str, changed: list[str]):
    assert lines(line) == changed


def test_conditions_and_loops_are_turned_round():
    body = "while a:\n    if b:\n        break\n    continue"
    assert lines(body) == ["while not (a):", "if not (b):", "continue", "break"]


def test_what_people_read_and_what_is_set_up_stay():
    head = "class C:\n    n: int = 3\n    def __init__(self, a=1):\n        self.a = a + 1\n"
    source = head + '    def g(self, k: int = 4) -> int:\n        """Text 5."""\n        return k\n'
    assert list(mutants("m.py", source)) == []


def test_a_mutant_changes_one_line_and_is_a_module():
    for mutant in every_mutant():
        before = (CHECKOUT / mutant.file).read_text().splitlines()
        after = mutant.source.splitlines()
        different = [
            n for n, pair in enumerate(zip(before, after, strict=True), 1) if pair[0] != pair[1]
        ]
        assert different == [mutant.number]
        ast.parse(mutant.source)


def every_mutant() -> Iterable:
    found = list(all_mutants(PACKAGES))
    assert len(found) > 1000
    return found[::37]


def test_every_package_has_fast_tests_that_are_there():
    for mutant in every_mutant():
        for suite in suites(mutant.file):
            assert all((CHECKOUT / path).exists() for path in suite.paths), mutant.file
            assert ("not kafka" in arguments(suite)) != suite.broker


def test_the_tests_of_a_modules_own_name_come_first():
    assert suites("consumers/aggregation/merging.py") == (
        Suite(("tests/consumers/aggregation/test_merging.py",)),
        *suites("consumers/aggregation/absent.py"),
    )


def test_mutants_that_were_judged_are_still_there():
    there = {(one.file, one.before, one.after) for one in all_mutants(PACKAGES)}
    assert set(equivalents()) <= there
