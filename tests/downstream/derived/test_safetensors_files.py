import json
import struct

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from downstream.derived.safetensors_files import open_tensors
from streams.errors import ModelError

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tensors_are_those_that_torch_reads(tmp_path, dtype):
    tensors = {"a": torch.randn(3, 5).to(dtype), "b": torch.arange(4).to(dtype)}
    save_file(tensors, tmp_path / "model.safetensors")
    found = open_tensors(tmp_path)
    for name, tensor in tensors.items():
        assert found.shape(name) == tuple(tensor.shape)
        assert found.read(name).dtype == np.float32
        np.testing.assert_array_equal(found.read(name), tensor.float().numpy())


def test_shards_are_read_by_their_index(tmp_path):
    for number in range(2):
        save_file(
            {f"t{number}": torch.full((2,), float(number))}, tmp_path / f"{number}.safetensors"
        )
    index = {"weight_map": {"t0": "0.safetensors", "t1": "1.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    found = open_tensors(tmp_path)
    assert [found.read(name).tolist() for name in ("t0", "t1")] == [[0, 0], [1, 1]]


def test_an_index_that_leads_out_of_the_folder_is_refused(tmp_path):
    index = {"weight_map": {"t0": "../0.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="no safetensors file beside it"):
        open_tensors(tmp_path)


def header(entries, data=b"", length=None):
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


GOOD = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", "is no safetensors file"),
        (header({}, length=2**40), "its header is too long"),
        (header([1]), "no list of tensors"),
        (header({"a": GOOD}), "outside of the file"),
        (header({"a": GOOD | {"shape": [3]}}, bytes(16)), "outside of the file"),
        (header({"a": GOOD | {"data_offsets": [-8, 0]}}, bytes(8)), "outside of the file"),
        (header({"a": {"dtype": "F32"}}, bytes(8)), "has no dtype, shape and place"),
        (header({"a": GOOD | {"shape": 7}}, bytes(8)), "has no dtype, shape and place"),
    ],
)
def test_a_file_that_its_header_does_not_fit_is_refused(tmp_path, data, line):
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(ModelError, match=line):
        open_tensors(tmp_path)


def test_what_is_missing_or_no_number_is_named(tmp_path):
    with pytest.raises(ModelError, match="safetensors alone"):
        open_tensors(tmp_path)
    save_file({"a": torch.zeros(2, dtype=torch.int64)}, tmp_path / "model.safetensors")
    found = open_tensors(tmp_path)
    with pytest.raises(ModelError, match="has no tensor 'b'"):
        found.read("b")
    with pytest.raises(ModelError, match="a is of I64"):
        found.read("a")
