"""Numbers as people read them."""

import math


def count(value: int) -> str:
    """Return a count with thousands separators."""
    return f"{value:,}"


def plural(value: int, noun: str) -> str:
    """Return a count and its noun."""
    return f"{value:,} {noun}{'' if value == 1 else 's'}"


def number(value: float) -> str:
    """Return a value with three significant digits."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size < 1e-3:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa}×10{_superscript(int(exponent))}".replace("-", "−")
    digits = max(0, 2 - math.floor(math.log10(size)))
    return f"{value:.{digits}f}".replace("-", "−")


def short(value: float) -> str:
    """Return a round value, as an axis shows it."""
    return f"{value:.3g}" if 1e-4 <= abs(value) < 1000 else number(value)


def signed(value: float) -> str:
    """Return a value with its sign."""
    return f"+{number(value)}" if value > 0 else number(value)


def percent(share: float) -> str:
    """Return a share in percent."""
    return f"{number(100 * share)} %"


def one_in(share: float) -> str:
    """Return a share as one in so many."""
    return f"1 in {1 / share:,.0f}" if share > 0 else "never"


def duration(seconds: float) -> str:
    """Return a time in its two largest units."""
    minutes, hours = seconds / 60, seconds / 3600
    if hours >= 1:
        return f"{int(hours)} h {int(minutes) % 60} min"
    return f"{int(minutes)} min {int(seconds) % 60} s" if minutes >= 1 else f"{int(seconds)} s"


def _superscript(exponent: int) -> str:
    return str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
