import io
import json
import zipfile
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from downstream.derived.clusterings.spd_history import is_zip, read_spd_history
from streams.errors import ModelError, SettingsError

LABELS = [f"h.{n % 2}.mlp:{n}" for n in range(6)]


def npy(array, **options) -> bytes:
    stored = io.BytesIO()
    np.save(stored, array, **options)
    return stored.getvalue()


def write(path, groups, **changes):
    """Write a history as SPD does; changes: members by what replaces them, None to leave out."""
    made = {"n_iters_current": 2, "c_components": 6, "labels": LABELS, "merge_config": {}}
    members = {
        "merge.group_idxs": ("merge.group_idxs.npy", npy(groups)),
        "selected_pairs": ("selected_pairs.npy", npy(np.full((len(groups), 2), -1, np.int16))),
        "labels": ("labels.txt", "\n".join(LABELS)),
        "metadata": ("metadata.json", json.dumps(made)),
    }
    with zipfile.ZipFile(path, "w") as archive:
        for key, (name, content) in members.items():
            if changes.get(key, "") is not None:
                archive.writestr(name, changes.get(key, content))
    return path


@given(st.lists(st.lists(st.integers(0, 5), min_size=6, max_size=6), min_size=3, max_size=3))
def test_each_iteration_groups_the_components_as_its_row_does(tmp_path_factory, rows):
    groups = np.array(rows, np.int16)
    groups[2] = -1  # the run was not to its end
    path = write(tmp_path_factory.mktemp("spd") / "history.zip", groups)
    for iteration, found in enumerate(read_spd_history(path, [0, 1])):
        assert (found.name, found.iteration) == ("history", iteration)
        assert sorted(chain.from_iterable(found.clusters.values())) == sorted(LABELS)
        for number, members in found.clusters.items():
            assert {rows[iteration][LABELS.index(label)] for label in members} == {int(number)}
    (last,) = read_spd_history(path, [])
    assert last.iteration == 1
    with pytest.raises(SettingsError, match="iterations 0 to 1, and no 2"):
        read_spd_history(path, [0, 2])


GROUPS = np.zeros((3, 6), np.int16)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"merge.group_idxs": None}, "has no merge.group_idxs.npy"),
        ({"merge.group_idxs": npy(np.array([LABELS], object), allow_pickle=True)}, "object"),
        ({"merge.group_idxs": npy(GROUPS)[:-1]}, "cut off"),
        ({"merge.group_idxs": npy(GROUPS[:, :5])}, r"\[3, 5\], which is no group of 6"),
        ({"merge.group_idxs": npy(GROUPS[:1])}, "at 2 iterations"),
        ({"merge.group_idxs": npy(GROUPS.astype(float))}, "float64"),
        ({"merge.group_idxs": npy(GROUPS - 1)}, "components in no group"),
        ({"merge.group_idxs": b"no array"}, "magic string"),
        ({"labels": "h.0:0\nh.0:0"}, "a label twice"),
        ({"labels": ""}, "has no labels"),
        ({"metadata": "{}"}, "says of no iteration"),
        ({"metadata": '{"n_iters_current": 0}'}, "says of no iteration"),
        ({"metadata": "{"}, "history.zip"),
    ],
)
def test_what_is_no_history_is_refused_in_one_line(tmp_path, changes, line):
    path = write(tmp_path / "history.zip", GROUPS, **changes)
    with pytest.raises(ModelError, match=line) as refused:
        read_spd_history(path, [])
    assert "\n" not in str(refused.value)


def test_half_an_archive_is_none(tmp_path):
    path = write(tmp_path / "history.zip", GROUPS)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert not is_zip(path)
    assert not is_zip(tmp_path / "nowhere")
    with pytest.raises(ModelError, match="cannot be read as a zip archive"):
        read_spd_history(path, [])
