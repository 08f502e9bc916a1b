"""Rows of hits from a device: positions and signed values of every member of each cluster."""

import numpy as np
import torch

from consumers.activations.device_activations import DeviceActivations
from consumers.device_transfer import fetch
from consumers.selection.device.membership import DeviceClusters
from consumers.statistics.device.activity import counts_of, owners, slices
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
        # Of each member of each hit: whose it is, and its number there.
        hit = torch.arange(len(cluster), device=device)
        hit = hit.repeat_interleave(size, output_size=len(place))
        number = place - clusters.member_first[hits[0]][hit]
        start = hits[1][hit] * positions
        # Entries are sorted by component and token, which one key says.
        key = (owners(found.first, len(found.token)) << 32) + found.token
        wanted = (component << 32) + start
        begin, stop = torch.searchsorted(key, torch.stack([wanted, wanted + positions]))
        length = stop - begin
        entry = slices(begin, length)
        of_member = torch.arange(len(place), device=device)
        of_member = of_member.repeat_interleave(length, output_size=len(entry))
        position = found.token[entry] - start[of_member]
        bits = found.value[entry].view(torch.int32).long()
        out = fetch(torch.stack([number[of_member], position, bits]).int())
        rows = fetch(counts_of(hit[of_member], len(cluster)).int())
    return rows, out[0].copy(), out[1].copy(), out[2].view(np.float32).copy()
