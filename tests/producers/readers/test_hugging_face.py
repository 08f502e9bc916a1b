import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from producers.documents import Document
from producers.readers.hugging_face import DatasetPlace, parse_place, tokenizer_of
from producers.sources import TextSource
from streams.errors import CorpusError


def test_an_address_names_dataset_config_and_split():
    assert parse_place("hf:org/name") == DatasetPlace("org/name")
    assert parse_place("hf:name:en#test[:10%]") == DatasetPlace("name", "en", "test[:10%]")
    with pytest.raises(CorpusError, match="is no dataset"):
        parse_place("hf:")


def test_a_local_folder_is_streamed(monkeypatch):
    # not in pytest's own folder: the library takes "test" in a path for the name of a split
    with TemporaryDirectory(prefix="prose") as folder:
        monkeypatch.setenv("HF_DATASETS_CACHE", f"{folder}/cache")
        lines = [json.dumps({"text": f"t{n}"}) for n in range(3)]
        (Path(folder) / "train.jsonl").write_text("\n".join(lines))
        found = list(TextSource((f"hf:{folder}",)))
        assert found == [Document(f"{folder}:{n + 1}", "", f"t{n}") for n in range(3)]
        with pytest.raises(CorpusError, match="has no split 'test': add # and one of train"):
            list(TextSource((f"hf:{folder}#test",)))


def test_a_dataset_that_is_not_there_is_one_clear_line(tmp_path):
    with pytest.raises(CorpusError, match="cannot read the dataset") as caught:
        list(TextSource((f"hf:{tmp_path}/nowhere",)))
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folders that ``save_to_disk`` wrote: ``one`` without a split's name, ``named``, ``dict``."""
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    folder = tmp_path_factory.mktemp("saved")
    rows = {"text": [f"t{n}" for n in range(10)]}
    one = datasets.Dataset.from_dict(rows)
    one.save_to_disk(folder / "one")
    datasets.Dataset.from_dict(rows, split=datasets.Split.TEST).save_to_disk(folder / "named")
    other = datasets.Dataset.from_dict({"text": ["o0", "o1"]})
    datasets.DatasetDict({"train": one, "test": other}).save_to_disk(folder / "dict")
    return folder


ALL = [f"t{n}" for n in range(10)]


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("one", ALL),
        ("one#train", ALL),
        ("one#train[:3]", ALL[:3]),
        ("one#[8:]", ALL[8:]),
        ("named#test", ALL),
        ("dict", ALL),
        ("dict#test", ["o0", "o1"]),
        ("dict#train[20%:50%]", ALL[2:5]),
        ("dict#train[-2:]", ALL[-2:]),
        ("dict#train[:1000]", ALL),
        ("dict#train[:1]+test[1:]", ["t0", "o1"]),
    ],
)
def test_splits_and_slices_of_a_saved_dataset_are_honoured(saved, place, expected):
    assert [d.text for d in TextSource((f"hf:{saved}/{place}",))] == expected


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("one#test", "no split 'test': add # and one of train"),
        ("named#train", "no split 'train': add # and one of test"),
        ("dict#other[:3]", "no split 'other'"),
        ("dict#train[1:2", "is no split"),
        ("dict#train[a:b]", "is no split"),
    ],
)
def test_a_split_that_is_not_there_is_refused(saved, place, said):
    with pytest.raises(CorpusError, match=re.escape(said)):
        list(TextSource((f"hf:{saved}/{place}",)))


def test_slices_of_a_streamed_dataset_are_honoured(monkeypatch):
    with TemporaryDirectory(prefix="prose") as folder:
        monkeypatch.setenv("HF_DATASETS_CACHE", f"{folder}/cache")
        lines = [json.dumps({"text": f"t{n}"}) for n in range(10)]
        (Path(folder) / "train.jsonl").write_text("\n".join(lines))
        for split, expected in (
            ("train[:3]", ALL[:3]),
            ("train[2:4]", ALL[2:4]),
            ("train[50%:]", ALL[5:]),
            ("train[-1:]", ALL[-1:]),
        ):
            assert [d.text for d in TextSource((f"hf:{folder}#{split}",))] == expected


def test_a_folder_that_save_to_disk_wrote_is_a_dataset_without_a_prefix(saved):
    assert [d.text for d in TextSource((str(saved / "one"),))] == ALL


def test_saelens_notes_the_tokenizer_of_ids(tmp_path):
    assert tokenizer_of(f"hf:{tmp_path}#train") is None
    (tmp_path / "sae_lens.json").write_text('{"tokenizer_name": "org/name", "context_size": 16}')
    assert tokenizer_of(f"hf:{tmp_path}#train") == tokenizer_of(str(tmp_path)) == "org/name"
    (tmp_path / "sae_lens.json").write_text("[]")
    assert tokenizer_of(str(tmp_path)) is None
