"""The style sheet: text can be read by people with weak eyes, by the rule of WCAG AA."""

import re
from importlib.resources import files
from itertools import product

import pytest

STYLE = (files("downstream.rendering") / "static" / "style.css").read_text()
THEMES = dict(zip(("light", "dark"), re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL), strict=True))
TEXT, PAPER = ("ink", "soft", "faint", "link", "accent", "bad"), ("paper", "surface", "wash")


def luminance(colour: str) -> float:
    digits = colour.removeprefix("#")
    full = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
    parts = [int(full[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_computed_as_the_rule_says() -> None:
    assert contrast("#000", "#fff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
def test_every_colour_of_text_stands_out_from_every_background(theme: str) -> None:
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]+)", THEMES[theme]))
    for text, paper in [*product(TEXT, PAPER), ("bad", "bad-wash"), ("ink", "bad-wash")]:
        assert contrast(colours[text], colours[paper]) >= 4.5, (text, paper)
