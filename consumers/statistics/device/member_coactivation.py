"""Member co-activation on a device: every pair of members at each of a cluster's tokens."""

from collections.abc import Mapping

import numpy as np
import torch

from consumers.device_transfer import fetch
from consumers.statistics.contributions import Contributions
from consumers.statistics.device.activity import SILENT, DeviceActivity, slices
from streams.arrays import I64


def contribute(activity: DeviceActivity, at: Mapping[str, I64]) -> Contributions:
    """Return what ``MemberCoactivation.contribute`` does."""
    clusters, wanted = activity.clusters, np.flatnonzero(at["tokens"] >= 0)
    if not len(wanted) or not len(activity.token):
        return Contributions()
    device = activity.token.device
    sizes = np.diff(clusters.member_first)[wanted]
    # Of every member of a cluster whose pairs count: cluster, number in it, component.
    owner = np.repeat(wanted, sizes)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    members = clusters.members[clusters.member_first[owner] + number]
    place = torch.from_numpy(np.stack([owner, number, members])).to(device)
    begin, length = activity.first[place[2]], activity.first.diff()[place[2]]
    entry = slices(begin, length)
    of_member = torch.arange(len(owner), device=device).repeat_interleave(length)
    fires = activity.activity[entry] > SILENT
    entry, of_member = entry[fires], of_member[fires]
    cluster, member = place[0][of_member], place[1][of_member]
    # By cluster and token, members in order: each pairs with itself and those before it.
    key = (cluster << 32) + activity.token[entry]
    order = key.argsort(stable=True)
    key, cluster, member = key[order], cluster[order], member[order]
    starts = torch.ones(len(key), dtype=torch.bool, device=device)
    starts[1:] = key[1:] != key[:-1]
    position = torch.arange(len(key), device=device)
    first = torch.where(starts, position, 0).cummax(0).values
    before = slices(first, position - first + 1)
    later = position.repeat_interleave(position - first + 1)
    a, b = member[before], member[later]
    size = torch.from_numpy(np.diff(clusters.member_first)).to(device)[cluster[later]]
    base = torch.from_numpy(at["tokens"]).to(device)[cluster[later]]
    address = base + a * size - a * (a - 1) // 2 + b - a
    found, count = torch.unique(address, return_counts=True)
    if not len(found):
        return Contributions()
    both = fetch(torch.stack([found, count]))
    return Contributions(((both[0], both[1]),))
