"""Settings: the order of their sources, paths, and errors that name the key."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from consumers.runs.decomposed_spec import DecomposedSpec
from consumers.runs.specs import DictionarySpec, NeuronsSpec, WeightsSpec
from millrace.settings import Settings, load_settings
from streams.errors import SettingsError

FULL = """
broker = "kafka://localhost:9092"
store = "out"
[corpus]
name = "books"
text = ["texts/*.txt", "hf:wiki", "-"]
limit_tokens = 1000
[run]
k = 5
rankings = ["maximum", "last"]
edges = [0.5, 1]
[model]
path = "model"
threads = 2
[[dictionaries]]
name = "sae"
path = "sae"
dropped = [1, 2]
[[dictionaries]]
name = "hub"
release = "r"
id = "blocks.1"
clusters_of_one = false
[[neurons]]
name = "mlp"
hook = "blocks.0.mlp.hook_post"
[[weights]]
name = "v"
path = "v.safetensors"
tensor = "V"
hook = "h"
sign = "value"
[[decomposed]]
name = "spd"
path = "spd.safetensors"
module = "h.0.mlp.c_fc"
hook = "h"
values = "upper_leaky"
[[clusterings]]
path = "groups.json"
coactivation = false
"""


def load(folder: Path, text: str = "", environment: Any = None, **options: Any) -> Settings:
    file = folder / "millrace.toml"
    file.write_text(text)
    return load_settings(file, environment or {}, options)


def test_defaults_need_no_file() -> None:
    settings = load_settings(None, {})
    assert settings.broker == "memory://local"
    assert settings.store == str(Path(".millrace/snapshots").absolute())
    assert (settings.run.k, settings.run.rankings) == (100, ("default",))
    assert (settings.run.statistics, settings.run.without) == (("default",), ())
    assert (settings.corpus.batch_rows, settings.corpus.partitions) == (None, 4)


def test_lists_of_the_environment_are_json() -> None:
    environment = {
        "MILLRACE_RUN__RANKINGS": '["last"]',
        "MILLRACE_RUN__MASK_IDS": "[1, 2]",
        "MILLRACE_CORPUS__TEXT": '["a"]',
        "MILLRACE_RUN__NAME": "[a",
    }
    settings = load_settings(None, environment)
    assert (settings.run.rankings, settings.run.mask_ids) == (("last",), (1, 2))
    assert (settings.corpus.text, settings.run.name) == (("a",), "[a")


def test_a_file_becomes_a_run(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "one.txt").touch()
    settings = load(tmp_path, FULL)
    spec = settings.run_spec()
    assert spec.model.path == str(tmp_path / "model")
    assert spec.store == str(tmp_path / "out")
    assert settings.corpus.text == (str(tmp_path / "texts/*.txt"), "hf:wiki", "-")
    assert spec.sources == (
        DictionarySpec("sae", path=str(tmp_path / "sae"), dropped=(1, 2)),
        DictionarySpec("hub", release="r", id="blocks.1", clusters_of_one=False),
        NeuronsSpec("mlp", hook="blocks.0.mlp.hook_post"),
        WeightsSpec("v", path=str(tmp_path / "v.safetensors"), tensor="V", hook="h", sign="value"),
        DecomposedSpec(
            "spd", str(tmp_path / "spd.safetensors"), "h.0.mlp.c_fc", "h", "upper_leaky"
        ),
    )
    assert spec.clusterings[0].path == str(tmp_path / "groups.json")
    assert spec.edges == (0.5, 1.0)


def test_names_of_models_stay_names(tmp_path: Path) -> None:
    assert load(tmp_path, '[model]\npath = "gpt2"').model.path == "gpt2"
    assert load(tmp_path, '[model]\npath = "./gpt2"').model.path == str(tmp_path / "gpt2")
    assert load(tmp_path, 'store = "s3://bucket/a"').store == "s3://bucket/a"


def test_options_beat_the_environment_and_that_the_file(tmp_path: Path) -> None:
    text = "[run]\nk = 1\nshards = 1\nsum_bits = 1"
    environment = {"MILLRACE_RUN__K": "2", "MILLRACE_RUN__SHARDS": "2", "MILLRACE_STORE": "s3://a"}
    settings = load(tmp_path, text, environment, run={"k": 3})
    assert (settings.run.k, settings.run.shards, settings.run.sum_bits) == (3, 2, 1)
    assert settings.store == "s3://a"


def test_parameters_of_statistics_are_tables_of_numbers(tmp_path: Path) -> None:
    text = "[model]\npath = 'gpt2'\n[statistics.tokens]\nbudget = 9\none_in = 2\n"
    text += "[statistics.domains]"
    environment = {"MILLRACE_STATISTICS__TOKENS__BUDGET": "7"}
    spec = load(tmp_path, text, environment).run_spec()
    assert spec.parameters == {"tokens": {"budget": 7, "one_in": 2}, "domains": {}}


def test_lists_in_the_environment_are_json(tmp_path: Path) -> None:
    environment = {"MILLRACE_DICTIONARIES": '[{"name": "a", "path": "b"}]'}
    (one,) = load(tmp_path, "", environment).dictionaries
    assert one.path == str(Path("b").absolute())
    with pytest.raises(SettingsError, match="as JSON"):
        load(tmp_path, "", {"MILLRACE_CORPUS__TEXT": "a,b"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[run]\nkk = 5", r"millrace\.toml: unknown key 'run\.kk', did you mean 'k'\?"),
        ('brokr = "x"', "unknown key 'brokr', did you mean 'broker'"),
        ("[run]\nk = 0", r"run\.k = 0: input should be greater than or equal to 1"),
        ('[run]\nrankings = ["last="]', r"rankings\[0\]: 'last=' is no ranking: write NAME or NAM"),
        ('[[dictionaries]]\npath = "x"', r"key 'dictionaries\[0\]\.name' is missing"),
        ('[[dictionaries]]\nname = "x"', "give either path, or release and id"),
        ('[[dictionaries]]\nname = "x"\nrelease = "y"', "give either path, or release and id"),
        ('[[neurons]]\nname = "x"\nhok = "y"', r"'neurons\[0\]\.hok', did you mean 'hook'"),
        ('[[neurons]]\nname = "x"\nhook = "y"\nsign = "up"', "sign = 'up': input should be"),
        ("run = 3", "run = 3: must be a table"),
        ("[statistics]\ntokens = 3", r"statistics\.tokens = 3: must be a table"),
        ('[statistics.tokens]\nbudget = "many"', "statistics.tokens.budget = 'many': input sh"),
        ("[statistics.tokens]\nbudget = true", "statistics.tokens.budget: true is no number"),
        ("dictionaries = 3", "dictionaries = 3: must be a list"),
        ("[run\nk = 1", r"millrace\.toml is no TOML: .*line 1"),
    ],
)
def test_errors_name_key_and_file(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=message) as raised:
        load(tmp_path, text)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"MILLRACE_RUN__KK": "1"}, "the environment: unknown key 'run.kk'"),
        ({"MILLRACE_RUM__K": "1"}, "unknown variable MILLRACE_RUM__K, did you mean 'run'"),
        ({"MILLRACE_BROKERS": "x"}, "unknown variable MILLRACE_BROKERS, did you mean 'broker'"),
        ({"MILLRACE_RUN__K": "x"}, r"the environment: run\.k = 'x'"),
    ],
)
def test_errors_name_the_environment(
    environment: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=message):
        load(tmp_path, "[run]\nk = 1", environment)


def test_other_variables_of_ours_are_left_alone(tmp_path: Path) -> None:
    assert load(tmp_path, "", {"MILLRACE_CACHE": "x", "OTHER": "y"}).run.k == 100


def test_unreadable_files_and_missing_models_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nowhere: No such file"):
        load_settings(tmp_path / "nowhere", {})
    (tmp_path / "latin").write_bytes(b"a = '\xe9'")
    with pytest.raises(SettingsError, match="latin is not UTF-8"):
        load_settings(tmp_path / "latin", {})
    with pytest.raises(SettingsError, match=r"model\.path is missing"):
        load_settings(None, {}).run_spec()


def test_settings_are_frozen() -> None:
    settings = load_settings(None, {})
    with pytest.raises(ValueError, match="frozen"):
        settings.broker = "kafka://elsewhere"


def test_settings_need_no_torch() -> None:
    code = "import sys, millrace.settings; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
