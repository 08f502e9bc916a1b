"""From which product on a component fires, exactly."""

import numpy as np
import torch

from consumers.encoders.float_order import NEVER, order
from consumers.encoders.rules import Rule


def rule(**parts: list[float]) -> Rule:
    return Rule(*(torch.tensor(parts[name]) for name in ("scale", "shift", "gate", "cut")))


def test_the_least_product_that_fires_is_exact() -> None:
    random = np.random.default_rng(0)
    scale = random.random(50).astype(np.float32) + np.float32(0.01)
    shift, gate = (random.standard_normal(50).astype(np.float32) for _ in range(2))
    cut = np.maximum(random.standard_normal(50).astype(np.float32), 0)
    one = Rule(*map(torch.from_numpy, (scale, shift, gate, cut)))
    least = one.least()
    product = torch.where(least >= 0, least, least ^ NEVER).view(torch.float32)
    below = torch.from_numpy(np.nextafter(product.numpy(), -np.inf, dtype=np.float32))
    assert (order(product) == least).all()
    assert (one.values(product[:, None]) > 0).all()
    assert (one.values(below[:, None]) == 0).all()


def test_a_component_may_never_fire() -> None:
    inf = float("inf")
    one = rule(scale=[1, 1, 1], shift=[0, -inf, 0], gate=[-inf, -inf, 0], cut=[0, 0, inf])
    assert one.least().tolist() == [NEVER] * 3
