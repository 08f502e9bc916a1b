"""Batch sizes where the settings name none, and whether a machine is taken to have a GPU."""

from pathlib import Path

import pytest

from consumers.models import batch_sizes
from consumers.models.batch_sizes import expects_gpu, usual_batch_rows, usual_micro_batch
from streams.bounds import MAX_BATCH_TOKENS


@pytest.mark.parametrize(
    ("context", "rows", "forward"), [(16, 2048, 2048), (128, 2048, 256), (1024, 256, 32),
                                     (2**17, 2, 1), (2**20, 1, 1)]
)  # fmt: skip
def test_a_gpu_gets_large_batches_within_its_memory(context: int, rows: int, forward: int) -> None:
    assert usual_batch_rows(context, gpu=True) == rows
    assert usual_micro_batch(context, gpu=True) == forward
    assert rows * context <= MAX_BATCH_TOKENS
    assert (usual_batch_rows(context, gpu=False), usual_micro_batch(context, gpu=False)) == (64, 8)


def test_settings_that_name_a_device_are_believed(tmp_path: Path) -> None:
    for device, gpu in (("cuda", True), ("cuda:1", True), ("cpu", False), ("mps", False)):
        assert expects_gpu(device, {}, tmp_path) is gpu


def test_auto_is_a_gpu_that_is_there_and_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_sizes, "version", lambda name: "2.13.0")
    assert not expects_gpu("auto", {}, tmp_path / "none")
    assert not expects_gpu("auto", {}, tmp_path)
    (tmp_path / "0000:01:00.0").mkdir()
    assert expects_gpu("auto", {}, tmp_path)
    assert expects_gpu("auto", {"CUDA_VISIBLE_DEVICES": "1"}, tmp_path)
    for hidden in ("", " ", "-1", "NoDevFiles"):
        assert not expects_gpu("auto", {"CUDA_VISIBLE_DEVICES": hidden}, tmp_path)
    monkeypatch.setattr(batch_sizes, "version", lambda name: "2.13.0+cpu")
    assert not expects_gpu("auto", {}, tmp_path)
