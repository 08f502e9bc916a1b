"""Rows of hits from a device: positions and signed values of every member of each cluster."""

import numpy as np
import torch

from consumers.activations.device_activations import DeviceActivations
from consumers.device_transfer import fetch
from consumers.selection.device.membership import DeviceClusters
from consumers.statistics.device.activity import owners, slices
from streams.arrays import F32, I32, I64


def member_rows(
    clusters: DeviceClusters, found: DeviceActivations, cluster: I64, row: I32
) -> tuple[I32, I32, I32, F32]:
    """Return entries per hit, and member, position and value of each; members that do not fire too.

    cluster, row: of each hit, on the host, as are the results. One transfer brings the entries.
    """
    device, positions = found.token.device, found.positions
    with torch.inference_mode():
        hits = torch.from_numpy(np.stack([cluster, row.astype(np.int64)])).to(device)
        size = clusters.member_first.diff()[hits[0]]
        place = slices(clusters.member_first[hits[0]], size)
        component = clusters.members[place]
        number = place - clusters.member_first[hits[0]].repeat_interleave(size)
        start = hits[1].repeat_interleave(size) * positions
        # Entries are sorted by component and token, which one key says.
        key = (owners(found.first) << 32) + found.token
        wanted = (component << 32) + start
        begin, stop = torch.searchsorted(key, torch.stack([wanted, wanted + positions]))
        length = stop - begin
        entry = slices(begin, length)
        of_member = torch.arange(len(place), device=device).repeat_interleave(length)
        position = found.token[entry] - start[of_member]
        bits = found.value[entry].view(torch.int32).long()
        out = fetch(torch.stack([number[of_member], position, bits]).int())
        owner = torch.arange(len(cluster), device=device).repeat_interleave(size)[of_member]
        rows = fetch(torch.bincount(owner, minlength=len(cluster)).int())
    return rows, out[0].copy(), out[1].copy(), out[2].view(np.float32).copy()
