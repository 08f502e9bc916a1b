"""Draws are standard normal, and follow from sample key, place and hook alone."""

import hashlib

import numpy as np
from scipy import stats

from consumers.activations.measurements.normal_draws import draw, quantiles
from streams.arrays import AnyArray

KEYS = np.random.default_rng(0).integers(0, 256, (40, 16)).astype(np.uint8)
ALL = np.ones((40, 16), bool)


def drawn(
    keys: AnyArray = KEYS, valid: AnyArray = ALL, hook: str = "h", width: int = 33
) -> AnyArray:
    out = np.full((int(valid.sum()), width), np.nan, np.float32)
    scale = draw(keys, valid, hook, width, out)
    return out.astype(np.float64) * scale


def test_they_are_standard_normal_and_independent() -> None:
    found = drawn(width=64)
    assert stats.kstest(found.ravel(), "norm").pvalue > 1e-3
    assert abs(found.mean()) < 0.02
    assert abs(found.var() - 1) < 0.03
    apart = np.corrcoef(found[:, ::8].T) - np.eye(8)
    assert np.abs(apart).max() < 0.15
    table, scale = quantiles()
    assert (table == -table[::-1]).all()
    np.testing.assert_allclose(2 * (table * scale).var(), 1, rtol=1e-9)


def test_they_follow_from_key_position_and_hook() -> None:
    whole = drawn().reshape(40, 16, 33)
    some = np.random.default_rng(1).random((40, 16)) < 0.5
    some[3] = False
    assert (drawn(valid=some) == whole[some]).all()
    order = np.random.default_rng(2).permutation(40)
    assert (drawn(KEYS[order]).reshape(40, 16, 33) == whole[order]).all()
    assert (drawn(KEYS[:1], ALL[:1, :7])[:7] == whole[0, :7]).all()
    others = (drawn(hook="g"), drawn(KEYS[1:], ALL[1:]))
    assert np.abs(np.corrcoef(others[0].ravel(), whole.ravel())[0, 1]) < 0.03
    assert (others[1][0] != whole[0, 0]).any()


def test_their_bits_stay() -> None:
    digest = hashlib.sha256(np.ascontiguousarray(quantiles()[0]).astype("<i4").tobytes())
    assert digest.hexdigest()[:16] == "7927b1732404a594"
    out = np.zeros((40 * 16, 33), np.float32)
    draw(KEYS, ALL, "blocks.0.hook_resid_post", 33, out)
    assert hashlib.sha256(out.astype("<f4").tobytes()).hexdigest()[:16] == "c00560837f8c32cb"
