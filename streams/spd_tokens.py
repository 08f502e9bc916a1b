"""What SPD's cluster dashboards say of the tokens at which a cluster is active."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

THRESHOLD = 0.5
"""A cluster is active there above this."""
_TOP_TOKENS = 50


def token_activations(active: Iterable[str]) -> dict[str, Any]:
    """Return counts by token, most first, their entropy in nats and the share of the first tenth.

    active: the token at each place where the activation is above ``THRESHOLD``. The keys are those
    of SPD's ``DashboardData``.
    """
    ordered = sorted(Counter(active).items(), key=lambda item: (-item[1], item[0]))
    total = sum(count for _, count in ordered)
    shares = np.array([count for _, count in ordered]) / max(total, 1)
    tenth = sum(count for _, count in ordered[: max(1, len(ordered) // 10)])
    return {
        "top_tokens": [{"token": token, "count": n} for token, n in ordered[:_TOP_TOKENS]],
        "total_unique_tokens": len(ordered),
        "total_activations": total,
        "entropy": float(-np.sum(shares * np.log(shares))) if total else 0.0,
        "concentration_ratio": tenth / total if total else 0.0,
        "activation_threshold": THRESHOLD,
    }
