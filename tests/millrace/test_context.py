"""How long rows are where no setting says it."""

from pathlib import Path
from typing import Any

import pytest

from consumers.sources import released
from streams.catalog.corpora import get_corpus
from streams.transport.connect import connect
from tests.millrace.conftest import Program
from tests.models_on_disk import CONTEXT, save_model


@pytest.mark.parametrize(("said", "context"), [({"context_size": 8}, 8), ({}, CONTEXT)])
def test_rows_are_as_long_as_a_release_says(
    said: dict[str, Any],
    context: int,
    tmp_path: Path,
    program: Program,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(released, "released_metadata", lambda release, number: said)
    save_model(tmp_path / "m", "llama")
    (tmp_path / "t.txt").write_text("w1 w2 w3\n")
    broker, settings = f"memory://rows-{context}", tmp_path / "my.toml"
    settings.write_text(
        f'broker = "{broker}"\n[corpus]\ntext = ["{tmp_path}/t.txt"]\n'
        f'[model]\npath = "{tmp_path}/m"\n'
        '[[dictionaries]]\nname = "sae"\nrelease = "some-release"\nid = "blocks.1"\n'
    )
    done = program("produce", "--settings", settings)
    assert done.status == 0, done.lines
    assert get_corpus(connect(broker), "corpus").context == context
