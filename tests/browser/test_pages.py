"""Pages in a real browser: the way to a feature, keys, hostile text, small screens."""

from pathlib import Path

import pytest

from downstream.dashboard.starting import Job
from downstream.rendering.attached import attachments_of
from tests.browser.conftest import TOKEN
from tests.downstream.dashboard.maps import attach_map
from tests.downstream.dashboard.snapshot_files import small, write_snapshot

LIST = "/runs/demo/features/sae/"
CONTRAST = Path(__file__).with_name("contrast.js").read_text()


def test_the_way_from_the_overview_to_a_feature_by_a_token(page):
    page.goto("/")
    page.keyboard.press("/")
    page.keyboard.type("token:the")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=token**")
    assert page.locator(".clusters tbody tr").count() == 1
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/features/sae/0*")
    assert page.locator(".whole mark.t").first.inner_text() == "the"


def test_a_number_in_the_search_box_leads_to_the_feature(page):
    page.goto(f"{LIST}1")
    page.fill("#q", "2")
    page.press("#q", "Enter")
    page.wait_for_url("**/features/sae/2")


def test_keys_follow_the_order_of_the_list(page):
    page.goto(f"{LIST}?sort=max&down=1&show=live")
    order = page.locator(".clusters tbody th").all_inner_texts()
    page.locator(".clusters tbody th a").first.click()
    page.wait_for_selector(".title a[rel=next]")
    page.keyboard.press("j")
    page.wait_for_url(f"**/features/sae/{order[1]}?*")
    page.keyboard.press("k")
    page.wait_for_url(f"**/features/sae/{order[0]}?*")
    page.keyboard.press("?")
    assert page.locator("dialog dt").count() > 4
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")


def test_every_token_is_named_on_hover(page):
    page.goto(f"{LIST}0")
    tokens = page.locator(".whole").first.locator(".t")
    silent = next(n for n in range(tokens.count()) if not tokens.nth(n).get_attribute("title"))
    tokens.nth(silent).hover()
    assert page.locator(".tip").inner_text() == f"silent at position {silent}"
    page.locator(".whole mark.t").first.hover()
    assert " at position " in page.locator(".tip").inner_text()


def test_hostile_text_does_nothing(page):
    for address in ("/runs/demo/odd/", "/runs/demo/odd/%3Cscript%3Ealert%283%29%3C%2Fscript%3E"):
        page.goto(address)
        assert "<script>alert" in page.locator("main").inner_text()
        assert page.locator("main script").count() == 0


def test_a_part_that_is_lost_gives_a_clear_page(page, served):
    page.goto("/")
    for part in served.manifests[0].files:
        (served.folder / "demo" / part.path).unlink()
    page.goto("/runs/demo/odd/both")
    assert "cannot be read" in page.locator("main").inner_text()
    assert str(served.folder) not in page.content()


@pytest.mark.parametrize(
    "address",
    [
        "/",
        f"{LIST}2",
        "/runs/demo/odd/both",
        "/components/demo/sae",
        "/compare/?left=0&right=2",
        "/maps/demo/odd/",
        "/dictionaries/demo",
        "/ablate/demo?text=one&features=sae:2",
        "/concept/demo?present=one&absent=two",
    ],
)
def test_a_page_fits_a_screen_of_320_pixels(page, address):
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(address)
    page.locator("#map-state").wait_for(state="hidden")
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 320


def test_the_empty_page_turns_into_the_first_snapshot_by_itself(page, served):
    manifests, served.manifests = served.manifests, []
    served.watch.look()
    page.goto("/")
    assert "No snapshot has been written yet" in page.locator("main").inner_text()
    served.manifests = manifests
    served.watch.look()
    page.wait_for_selector(".clusters tbody tr")


def test_a_newer_snapshot_is_announced_and_the_page_stays(page, served):
    page.goto(f"{LIST}1")
    served.manifests = [
        write_snapshot(
            str(served.folder), small(), snapshot="newer", created="2099-01-01T00:00:00+00:00"
        )
    ]
    served.watch.look()
    page.wait_for_selector(".fresh")
    assert page.url.endswith("/1")


def test_a_label_is_written_and_found(page, served):
    page.goto(f"{LIST}2")
    page.locator("#labels summary").click()
    form = page.locator("form.write").first
    form.get_by_label("Label").fill("word endings")
    form.get_by_label("Your name").fill("ada")
    form.get_by_label("Edit token").fill(TOKEN)
    form.locator("button").click()
    page.wait_for_selector("h1 .name")
    assert page.locator("h1 .name").inner_text() == "word endings"
    page.fill("#q", "label:endings")
    page.press("#q", "Enter")
    page.wait_for_selector(".clusters tbody th .name")
    assert page.locator(".clusters tbody tr").count() == 1


def test_filters_combine_and_stay_in_the_address(page):
    page.goto(LIST)
    page.locator(".filters summary").click()
    page.get_by_label("Maximum, from").fill("2.5")
    page.get_by_label("Domain", exact=True).select_option("prose")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**max_from=2.5*")
    assert "domain=prose" in page.url
    assert page.locator("thead th", has_text="In prose").count() == 1
    assert page.locator(".clusters tbody tr").count() == 2
    page.locator(".clusters tbody th a").first.click()
    page.wait_for_selector(".title a[rel=next]")
    assert "max_from=2.5" in page.locator(".title a[rel=next]").get_attribute("href")


def test_the_way_from_a_list_to_two_features_side_by_side(page):
    page.goto("/runs/demo/odd/")
    page.get_by_role("link", name="Compare").click()
    page.get_by_label("Clustering of B").select_option("features/sae")
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url("**to=features*")
    page.get_by_role("link", name="Side by side").first.click()
    page.wait_for_selector(".beside .excerpt")
    assert page.locator(".beside h2").count() == 2


def test_features_are_ablated_on_a_text_and_lead_to_their_pages(page):
    page.goto(LIST)
    page.get_by_role("link", name="Ablate features on a text").click()
    page.get_by_label("Text, read once").fill("the file")
    page.get_by_label("Replaced by").select_option(label="its mean over the text")
    page.get_by_role("button", name="Ablate").click()
    page.wait_for_url("**/ablate/demo?text=the+file&features=&by=mean&value=0")
    assert page.locator(".list tbody tr").count() == 2
    assert page.locator(".list tbody tr").nth(1).inner_text().startswith("<b>:99")
    page.get_by_role("link", name="sae:2").click()
    page.wait_for_url("**/features/sae/2")


def test_features_of_a_concept_are_found_from_texts_and_lead_to_their_pages(page):
    page.goto(LIST)
    page.get_by_role("link", name="Find a concept’s features").click()
    page.get_by_label("Texts with the concept").fill("he sued\nthe court")
    page.get_by_label("Texts without it").fill("it rained\nwe ate")
    page.get_by_label("Held back").select_option("none")
    page.get_by_role("button", name="Find features").click()
    page.wait_for_url("**/concept/demo?present=he+sued%0D%0Athe+court&absent=*&check=none")
    assert page.get_by_label("Texts with the concept").input_value() == "he sued\nthe court"
    rows = page.locator(".list tbody tr")
    assert [rows.nth(at).locator("td").last.inner_text() for at in (0, 1)] == ["yes", "no"]
    assert "0.875" in rows.nth(0).inner_text()
    page.get_by_role("link", name="sae:2").click()
    page.wait_for_url("**/features/sae/2")


def test_a_click_on_a_column_sorts(page):
    page.goto(LIST)
    page.locator("thead a", has_text="Max").click()
    page.wait_for_url("**sort=max*")
    assert page.locator("[aria-sort=descending]").inner_text().startswith("Max")
    assert page.locator(".clusters tbody th a").first.inner_text() == "2"


def test_a_map_of_co_activation_zooms_names_and_opens(page):
    page.goto("/maps/demo/odd/")
    place = page.locator("#pairs .map")
    over = place.locator(".u-over")
    over.wait_for()
    labels = page.locator("#pairs-legend").inner_text()
    assert "5 of 5 that fire" in labels
    box = over.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.1, box["y"] + box["height"] * 0.1)
    tip = place.locator(".map-tip:not([hidden])")
    tip.wait_for()
    before = tip.inner_text()
    place.focus()
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    page.mouse.move(box["x"] + box["width"] * 0.1, box["y"] + box["height"] * 0.12)
    place.locator(".map-tip:not([hidden])").filter(has_not_text=before).wait_for()
    over.click(position={"x": box["width"] * 0.1, "y": box["height"] * 0.12})
    page.wait_for_url("**/runs/demo/odd/*")


def test_the_map_of_features_lists_what_is_in_view(page, served):
    attach_map(served.manifests[0])
    attachments_of(served.shelf.snapshots["demo"]).list_again()
    page.goto("/maps/demo/features/sae/")
    over = page.locator("#points .u-over")
    over.wait_for()
    assert "3 features" in page.locator("#points-legend").inner_text()
    over.dispatch_event("wheel", {"deltaY": -100, "offsetX": 1, "offsetY": 1})
    page.locator("#in-view").click()
    page.wait_for_url("**map.x_from=*")
    assert page.locator(".clusters tbody tr").count() >= 1


def test_all_text_stands_out_from_what_is_behind_it(page, served):
    live = ("/ablate/demo?text=one", "/concept/demo?present=one")
    for address in (LIST, "/runs/demo/odd/both", "/compare/?left=0&right=2", *live):
        page.goto(address)
        page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            measured = page.evaluate(CONTRAST)
            assert measured["seen"] > 5
            assert measured["found"] == {}, (address, scheme)
    # The measure itself: faint text is found.
    page.evaluate("document.querySelector('h1').style.color = 'rgb(128 128 128 / 50%)'")
    assert page.evaluate(CONTRAST)["found"]


def test_the_start_page_turns_into_the_first_snapshot(page, served):
    manifests, served.manifests = served.manifests, []
    served.watch.look()
    served.starter.jobs = (Job("demo", "serving"),)
    page.goto("/start/")
    assert "is served by workers" in page.locator("#jobs").inner_text()
    served.manifests = manifests
    served.watch.look()
    page.wait_for_url("**/runs/demo/")
