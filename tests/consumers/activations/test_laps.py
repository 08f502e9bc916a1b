"""Laps of work: as many as marks, and as long as what lies between them."""

import torch

from consumers.activations.laps import Laps


def test_laps_are_the_times_between_marks() -> None:
    laps = Laps(torch.device("cpu"))
    assert laps.seconds() == []
    laps.mark()
    (first,) = laps.seconds()
    laps.mark()
    assert laps.seconds()[0] == first
    assert len(laps.seconds()) == 2
    assert min(laps.seconds()) >= 0
