"""Every page by keys alone: all of it is reached and shows where the focus is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from downstream.rendering.attached import attachments_of
from tests.browser.conftest import Served, opened_page, serving
from tests.browser.test_pages import CONTRAST
from tests.downstream.dashboard.maps import attach_map

FOCUS = Path(__file__).with_name("focus.js").read_text()
COMPARE = "/compare/?a=demo&b=demo&from=odd&to=odd"
STARTED = (
    "/start/?name=new&corpus=library&model=gpt2&dictionary=sae=models/sae&k=5&micro_batch=auto"
)
PAGES = [
    "/runs/",
    "/runs/demo/features/sae/?sort=max&down=1",
    "/runs/demo/odd/both",
    f"{COMPARE}&left=0&right=1",
    f"{COMPARE}&show=changed",
    f"{COMPARE}&by=correlation",
    "/maps/demo/features/sae/",
    "/try/demo?text=the",
    "/try/demo?text=the&feature=sae:2",
    "/steer/demo?feature=sae:2&prompt=the&alphas=1",
    "/ablate/demo?text=the&features=sae:2",
    "/concept/demo?present=the&absent=a",
    STARTED,
]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The small snapshot with a map, a model that answers, and a broker that offers."""
    with serving(tmp_path_factory.mktemp("store")) as served:
        attach_map(served.manifests[0])
        attachments_of(served.shelf.snapshots["demo"]).list_again()
        yield served


@pytest.fixture
def page(chromium: Any, everything: Served) -> Iterator[Any]:
    """An empty page of it."""
    with opened_page(chromium, everything) as opened:
        yield opened


@pytest.mark.parametrize("address", PAGES)
def test_all_is_reached_by_tab_in_order_and_shows_the_focus(page, address):
    page.goto(address)
    page.locator("#map-state").wait_for(state="hidden")
    count = page.evaluate(FOCUS)["count"]
    assert count > 5
    reached = []
    for _ in range(count + 10):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        if focus["at"] < 0 or (reached and focus["at"] <= reached[-1]):
            continue  # a scrolling part of the page, which has keys of its own; or from the start
        assert focus["ringed"], focus["name"]
        assert focus["inView"], focus["name"]
        reached.append(focus["at"])
    assert reached == list(range(count))


@pytest.mark.parametrize("address", PAGES)
def test_help_opens_and_a_search_begins_on_every_page(page, address):
    page.goto(address)
    page.locator("#map-state").wait_for(state="hidden")
    page.keyboard.press("?")
    assert page.locator("dialog[open] dt").first.inner_text() == "/"
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")
    page.keyboard.press("/")
    page.keyboard.type("token:the")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=token**")
    assert page.locator(".clusters tbody tr").count() >= 1


@pytest.mark.parametrize("address", ["/runs/", COMPARE, "/try/demo?text=the"])
def test_rows_of_every_list_are_walked(page, address):
    page.goto(address)
    page.keyboard.press("j")
    first = page.evaluate("document.activeElement.closest('tr').rowIndex")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.closest('tr').rowIndex") == first
    before = page.url
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: url != before)


@pytest.mark.parametrize("address", PAGES)
def test_pages_fit_a_narrow_screen_and_are_readable(page, address):
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(address)
    page.locator("#map-state").wait_for(state="hidden")
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        measured = page.evaluate(CONTRAST)
        assert measured["seen"] > 5
        assert measured["found"] == {}, scheme
