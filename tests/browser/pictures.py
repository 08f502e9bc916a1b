"""Pictures of pages, to be looked at: in light, in dark, and as wide as a phone.

``python -m tests.browser.pictures ADDRESS FOLDER PATH...``: of a dashboard that is served.
"""

import re
import sys
from pathlib import Path
from typing import Any

from tests.browser.conftest import CHROMIUM

LOOKS: dict[str, tuple[Any, int, int]] = {
    "light": ("light", 1280, 900),
    "dark": ("dark", 1280, 900),
    "phone": ("light", 390, 844),
    "narrow": ("dark", 320, 640),
}


def main() -> None:
    """Take all pictures."""
    from playwright.sync_api import sync_playwright

    address, folder, *paths = sys.argv[1:]
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, (scheme, width, height) in LOOKS.items():
            context = browser.new_context(
                color_scheme=scheme,
                viewport={"width": width, "height": height},
            )
            page = context.new_page()
            for path in paths:
                page.goto(f"{address}{path}")
                page.locator("#map-state").wait_for(state="hidden")
                shown = re.sub(r"\W+", "-", path).strip("-") or "start"
                page.screenshot(path=Path(folder) / f"{shown}-{name}.png")
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
