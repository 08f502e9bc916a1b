"""How many rows a batch has where no setting says it."""

from pathlib import Path

import pytest

from streams.catalog.corpora import get_corpus
from streams.transport.connect import connect
from tests.millrace.conftest import Program
from tests.models_on_disk import save_model

DICTIONARY = '[[dictionaries]]\nname = "sae"\npath = "sae"\n'
NEURONS = '[[neurons]]\nname = "n"\nhook = "blocks.0.mlp.hook_post"\n'


@pytest.mark.parametrize(
    ("device", "sources", "rows"),
    [
        ("cpu", DICTIONARY, 64),
        ("cuda:1", DICTIONARY, 2048),
        ("cuda", DICTIONARY + NEURONS, 64),
    ],
)
def test_batches_are_large_for_a_gpu_and_sparse_sources(
    device: str, sources: str, rows: int, tmp_path: Path, program: Program
) -> None:
    save_model(tmp_path / "m", "gpt2")
    (tmp_path / "t.txt").write_text("w1 w2 w3\n")
    broker, settings = f"memory://batch-rows-{rows}-{device[-1]}", tmp_path / "my.toml"
    (tmp_path / "sae").mkdir()
    written = (
        f'broker = "{broker}"\n[corpus]\ntext = ["{tmp_path}/t.txt"]\ncontext = 8\nbos = false\n'
        f'[model]\npath = "{tmp_path}/m"\ndevice = "{device}"\n{sources}'
    )
    settings.write_text(written)
    done = program("produce", "--settings", settings)
    assert done.status == 0, done.lines
    assert get_corpus(connect(broker), "corpus").batch_rows == rows
    # What was begun keeps its own, wherever it goes on.
    settings.write_text(written.replace(f'"{device}"', '"cpu"'))
    assert program("produce", "--settings", settings).status == 0
