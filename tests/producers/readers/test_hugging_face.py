import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from producers.documents import Document
from producers.readers.hugging_face import DatasetPlace, parse_place
from producers.sources import Source
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
        found = list(Source((f"hf:{folder}",)))
        assert found == [Document(f"{folder}:{n + 1}", "", f"t{n}") for n in range(3)]
        with pytest.raises(CorpusError, match="has no split 'test': add # and one of train"):
            list(Source((f"hf:{folder}#test",)))


def test_a_dataset_that_is_not_there_is_one_clear_line(tmp_path):
    with pytest.raises(CorpusError, match="cannot read the dataset") as caught:
        list(Source((f"hf:{tmp_path}/nowhere",)))
    assert "\n" not in str(caught.value)
