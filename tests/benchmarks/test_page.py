"""The tables of the performance page are those of the results."""

import pytest

from benchmarks.page import PAGE, filled
from benchmarks.report import write_report


def test_the_page_shows_the_results_that_are_there():
    assert PAGE.read_text() == filled(PAGE.read_text()), "run python -m benchmarks.page"


def test_sections_are_replaced_and_the_rest_is_left(tmp_path):
    write_report("some", [{"a": 1}], tables={"Odd, ones": [{"b": 2}]}, folder=tmp_path)
    page = (
        "before\n<!-- some -->\nold\n<!-- end -->\nbetween\n"
        "<!-- some: Odd, ones -->\n<!-- end -->\nafter <!-- nothing -->\n<!-- end -->\n"
    )
    once = filled(page, tmp_path)
    assert once == filled(once, tmp_path)
    first, _, rest = once.partition("between")
    assert "old" not in once
    assert first.startswith("before\n<!-- some -->\n\n| a |\n| --- |\n| 1 |\n\nMeasured ")
    assert "<!-- some: Odd, ones -->\n\n| b |\n| --- |\n| 2 |\n\n<!-- end -->\nafter" in rest
    assert rest.endswith("<!-- nothing -->\nNot measured yet.\n<!-- end -->\n")


def test_a_page_shows_the_columns_and_rows_that_it_asks_for(tmp_path):
    rows = [{"a": 1, "b, c": 2, "d": 3}, {"a": 4, "b, c": 5, "e": 6}]
    write_report("some", rows, tables={"More": rows}, folder=tmp_path)
    page = "<!-- some: More | e; b, c -->\n<!-- end -->\n"
    assert "| e | b, c |\n| --- | --- |\n|  | 2 |\n| 6 | 5 |\n" in filled(page, tmp_path)
    page = "<!-- some | d; a | a = 1 -->\n<!-- end -->\n"
    assert "| d | a |\n| --- | --- |\n| 3 | 1 |\n\nMeasured " in filled(page, tmp_path)
    with pytest.raises(KeyError, match="no column f"):
        filled("<!-- some | f -->\n<!-- end -->\n", tmp_path)
