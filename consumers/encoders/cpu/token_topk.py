"""The k largest values of each token, picked while components pass by: compiled loops.

A value and its component are one number, a *key*: the value's 32 bits above those of 2**31 - 1 -
component. Values are positive, and such floats are ordered like their bits, so that the larger of
two keys has the larger value or, of equal ones, the lower component.
"""

import math

import numpy as np

from consumers.bitmask import WIDE, above, lowest
from consumers.compiled import compiled
from streams.arrays import F32, I32, I64, Bool

_LOW = 0x7FFFFFFF


@compiled
def _key(value: np.float32, component: int) -> np.int64:
    return np.int64(np.float32(value).view(np.int32)) << 32 | (_LOW - component)


@compiled
def _cut(keys: I64, k: int, most: int) -> int:
    """Bring the largest keys to the front, in any order, and return how many: from k to ``most``.

    keys: more than ``most``, all different. By bisection between the smallest and the largest:
    counting is a loop that becomes vectors, and no branch hangs on a key. ``keep_strongest`` took
    7.3 us a token with quickselect and 5.2 with this (4,096 components, k = 64, room for 128).
    """
    low, high = keys[0], keys[0]
    for key in keys:
        low, high = min(low, key), max(high, key)
    low -= 1
    while True:  # more than ``most`` keys exceed low, fewer than k exceed high
        middle = low + ((high - low) >> 1)
        larger = 0
        for key in keys:
            larger += key > middle
        if larger > most:
            low = middle
        elif larger < k:
            high = middle
        else:
            break
    front = 0
    for key in keys:
        keys[front] = key
        front += key > middle
    return front


@compiled
def keep_strongest(
    product: F32,
    tokens: int,
    first: int,
    shift: F32,
    scale: F32,
    kept: Bool,
    k: int,
    keys: I64,
    used: I32,
    least: F32,
) -> bool:
    """Take in the values ``(product + shift) * scale`` of some components, for all tokens.

    product [component, token or more]. first: the first component's number. keys [token, room]: a
    token's largest so far, ``used`` [token] of them; room exceeds k unless it is that of all
    components. What does not exceed ``least`` [token] is not among the k largest. NaN counts as
    infinity. Returns False, and stops, where a component of ``kept`` is NaN or infinite.
    """
    room = keys.shape[1]
    for at in range(len(product)):
        row, add, times = product[at], shift[at], scale[at]
        for start in range(0, tokens, WIDE):
            if start + WIDE <= tokens:
                mask = above(row, start, add, times, least)
            else:
                mask = np.uint64(0)
                for token in range(start, tokens):
                    more = not (row[token] + add) * times <= least[token]
                    mask |= np.uint64(more) << np.uint64(token - start)
            while mask:
                token = start + lowest(mask)
                mask &= mask - np.uint64(1)
                value = np.float32((row[token] + add) * times)
                if not value < math.inf:
                    if kept[at]:
                        return False
                    value = np.float32(math.inf)
                number = used[token]
                keys[token, number] = _key(value, first + at)
                used[token] = number + 1
                if number + 1 == room and room > k:
                    stay = _cut(keys[token], k, (3 * k + room) >> 2)
                    smallest = keys[token, 0]
                    for key in keys[token, 1:stay]:
                        smallest = min(smallest, key)
                    least[token] = np.int32(smallest >> 32).view(np.float32)
                    used[token] = stay
    return True


@compiled
def count_strongest(keys: I64, used: I32, kept: Bool, k: int, count: I64) -> None:
    """Cut each token down to k keys and add these to ``count`` [component], if kept."""
    for token in range(len(keys)):
        if used[token] > k:
            _cut(keys[token, : used[token]], k, k)
            used[token] = k
        for number in range(used[token]):
            component = _LOW - (keys[token, number] & _LOW)
            count[component] += kept[component]


@compiled
def sort_strongest(keys: I64, used: I32, kept: Bool, first: I64, token: I32, value: F32) -> None:
    """Write what is kept by component, then token. first [component]: changed on the way."""
    bits = value.view(np.int32)
    for at in range(len(keys)):
        for number in range(used[at]):
            key = keys[at, number]
            component = _LOW - (key & _LOW)
            if kept[component]:
                to = first[component]
                first[component] = to + 1
                token[to] = at
                bits[to] = np.int32(key >> 32)
