"""Sums of squares on a device: limbs of int64, added up in parts that cannot overflow."""

import torch
from torch import Tensor

from consumers.device_transfer import fetch
from consumers.statistics.device.activity import DeviceActivity
from consumers.statistics.distribution import LIMB, UPPER_BITS
from streams.arrays import I64

_HALF = LIMB // 2


def limbs(activity: DeviceActivity) -> I64 | None:
    """Return the upper and the lower limb of each cluster's sum of squares, int64 [limb, cluster].

    None where one is too large. A square has up to 100 bits, and a batch fewer than 2**31 tokens:
    of the upper limbs the last 31 bits are summed apart from the others, of the lower ones 20.
    """
    cluster, value = activity.cluster_of_token(), activity.cluster_activity
    scaled = value * 2.0**activity.clusters.run.sum_bits
    beyond = (scaled >= 2.0 ** (31 + UPPER_BITS)).any()
    fixed = scaled.round().long()
    upper, lower = fixed >> 31, fixed & 0x7FFFFFFF
    del scaled, fixed
    # As on the host: upper**2 * 2**62 + 2 * upper * lower * 2**31 + lower**2.
    middle = upper * lower
    low = (middle & 0xFF) << 32
    square = lower * lower
    high = (upper * upper << (62 - LIMB)) + (middle >> 8) + (square >> LIMB)
    del upper, lower, middle
    low += square & ((1 << LIMB) - 1)
    del square
    zeros = activity.token_first.new_zeros(len(activity.token_first) - 1)

    def total(part: Tensor) -> Tensor:
        return zeros.index_add(0, cluster, part)

    above, below = total(high >> 31), total(high & 0x7FFFFFFF)
    most, least = total(low >> _HALF), total(low & ((1 << _HALF) - 1))
    beyond |= (above >= 1 << 31).any()  # else what follows fits
    most += least >> _HALF
    high = (above << 31) + below + (most >> _HALF)
    low = ((most & ((1 << _HALF) - 1)) << _HALF) + (least & ((1 << _HALF) - 1))
    beyond |= (high >= 1 << 62).any()
    found: I64 = fetch(torch.cat([high, low, beyond.long()[None]]))
    return None if found[-1] else found[:-1].reshape(2, -1)
