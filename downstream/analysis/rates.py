"""Intervals and tests for shares: how often something was counted among how many."""

import numpy as np

from streams.arrays import F64, AnyArray


def wilson(found: AnyArray, of: int, level: float) -> tuple[F64, F64]:
    """Return the ends of Wilson's score interval of shares found / of; 0 and 1 for none of none."""
    z = quantile(level)
    n = max(of, 1)
    share = found / n
    middle = share + z * z / (2 * n)
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    under = 1 + z * z / n
    low, high = np.maximum((middle - half) / under, 0), np.minimum((middle + half) / under, 1)
    return (
        np.where(found == 0, 0.0, low),
        np.where(found == of, 1.0, high),
    )


def difference_interval(
    a: AnyArray, of_a: int, b: AnyArray, of_b: int, level: float
) -> tuple[F64, F64]:
    """Return the ends of the interval of a / of_a - b / of_b, from Wilson's of both.

    Newcombe's method 10 (Statistics in Medicine 1998, 17:873).
    """
    shares = [a / max(of_a, 1), b / max(of_b, 1)]
    (low_a, high_a), (low_b, high_b) = wilson(a, of_a, level), wilson(b, of_b, level)
    difference = shares[0] - shares[1]
    low = difference - np.sqrt((shares[0] - low_a) ** 2 + (high_b - shares[1]) ** 2)
    high = difference + np.sqrt((high_a - shares[0]) ** 2 + (shares[1] - low_b) ** 2)
    return low, high


def log_odds_ratio(
    a: AnyArray, of_a: int, b: AnyArray, of_b: int, level: float
) -> tuple[F64, F64, F64]:
    """Return the natural logarithm of the odds ratio and the ends of its interval.

    Half a count is added to each of the four cells (Haldane and Anscombe); the interval is Wald's.
    """
    cells = [np.asarray(each, np.float64) + 0.5 for each in (a, of_a - a, b, of_b - b)]
    ratio = np.log(cells[0] * cells[3] / (cells[1] * cells[2]))
    margin = quantile(level) * np.sqrt(sum(1 / cell for cell in cells))
    return ratio, ratio - margin, ratio + margin


def equal_shares(a: AnyArray, of_a: int, b: AnyArray, of_b: int) -> F64:
    """Return the two-sided p-values of equal shares: Pearson's chi-squared test with Yates'
    correction, which keeps to the safe side where counts are small; 1 where all or none are.
    """
    from scipy.stats import norm

    n = of_a + of_b
    drawn = np.asarray(a, np.float64) + b
    off = np.abs(a - drawn * of_a / n)
    variance = drawn * (n - drawn) / n * of_a / n * of_b / n
    some = variance > 0
    z = (off - np.minimum(0.5, off)) / np.sqrt(np.where(some, variance, 1.0))
    p: F64 = np.where(some, np.minimum(2 * norm.sf(z), 1.0), 1.0)
    return p


def quantile(level: float) -> float:
    """Return how many standard errors an interval of confidence 1 - level reaches."""
    from scipy.stats import norm

    return float(norm.ppf(1 - level / 2))
