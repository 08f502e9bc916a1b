"""The tables of the performance page are those of the results."""

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
