"""How concentrated counts are: entropy and the sum of squared shares, with what is not known.

Of a sketch only upper bounds are known. Entropy and concentration are the more extreme the more one
vector of counts majorises another (Schur, 1923; Marshall and Olkin, 1979): of all counts under the
bounds, those that fill the largest first have the least entropy, and those that are cut off at one
level the most.
"""

from dataclasses import dataclass

import numpy as np

from streams.arrays import F64, I64


@dataclass(frozen=True, slots=True)
class Concentration:
    """Entropy in bits and sum of squared shares; the true numbers are as near as the errors."""

    entropy: float
    entropy_error: float
    concentration: float
    concentration_error: float


def exact_concentration(counts: I64) -> Concentration:
    """Return the entropy and the concentration of counts above 0."""
    entropy, squares = _numbers(counts.astype(np.float64), np.ones(len(counts)))
    return Concentration(entropy, 0.0, squares, 0.0)


def bounded_concentration(most: I64, others: int, most_other: int, total: int) -> Concentration:
    """Return what is known where counts add up to ``total`` and only bounds are known.

    most: upper bounds of some, above 0. others: how many more there may be, each of at most
    ``most_other``. Together the bounds are at least ``total``.
    """
    bounds = np.append(most, most_other).astype(np.float64)
    copies = np.append(np.ones(len(most)), float(others))
    most_entropy, least_squares = _numbers(_level(bounds, copies, total), copies)
    least_entropy, most_squares = _numbers(*_filled(bounds, copies, total))
    return Concentration(
        (most_entropy + least_entropy) / 2,
        (most_entropy - least_entropy) / 2,
        (most_squares + least_squares) / 2,
        (most_squares - least_squares) / 2,
    )


def _level(bounds: F64, copies: F64, total: int) -> F64:
    """Return the bounds cut off at the level at which they add up to the total."""
    order = np.argsort(bounds)
    ascending, weights = bounds[order], copies[order]
    below = np.r_[0, np.cumsum(ascending * weights)[:-1]]
    above = np.cumsum(weights[::-1])[::-1]
    levels = np.where(above > 0, (total - below) / np.maximum(above, 1), np.inf)
    enough = np.flatnonzero(levels <= ascending)
    return np.minimum(bounds, levels[enough[0]]) if len(enough) else bounds


def _filled(bounds: F64, copies: F64, total: int) -> tuple[F64, F64]:
    """Return counts that reach their bounds, the largest first, and how often each occurs."""
    order = np.argsort(-bounds, kind="stable")
    bounds, room = bounds[order], (bounds * copies)[order]
    taken = np.clip(total - np.r_[0, np.cumsum(room)[:-1]], 0, room)
    full = np.floor(taken / np.maximum(bounds, 1))
    return np.append(bounds, taken - full * bounds), np.append(full, np.ones(len(full)))


def _numbers(counts: F64, copies: F64) -> tuple[float, float]:
    some = (counts > 0) & (copies > 0)
    shares = counts[some] / (counts[some] * copies[some]).sum()
    bits = -(copies[some] * shares * np.log2(shares)).sum()
    return float(bits) + 0.0, float((copies[some] * shares * shares).sum())
