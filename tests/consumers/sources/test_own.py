"""Components of a user's class: only where settings say so, and checked before they count."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from consumers.plan import make_plan
from consumers.runs.loading import load_engine
from consumers.runs.own_spec import OwnSpec
from consumers.runs.specs import RunSpec
from consumers.sources.own import Own
from consumers.sources.source import LoadedSource, WantedSource
from streams.errors import ModelError, RunError
from streams.records.corpus import CorpusRecord
from tests.consumers.activations.test_torch_engine import HOOK, batch_of, dense
from tests.consumers.created import create_run
from tests.consumers.sources import rectified

CPU = torch.device("cpu")
RECTIFIED = "tests.consumers.sources.rectified:Rectified"


class Sums:
    """Sums of values so far in a row: its components look back."""

    components, whole_rows, sign = 2, True, "absolute"
    made: ClassVar[list[str]] = []

    def __init__(self, width: int, device: torch.device, **options: Any) -> None:
        self.made.append(f"{width} {device} {options}")

    def encode(self, values: Tensor) -> Tensor:
        return values[..., :2].cumsum(1)


class Faulty:
    """Whatever is wrong with a class. fault: an expression of ``values`` and ``self``."""

    components = 3

    def __init__(self, width: int, device: torch.device, **wrong: Any) -> None:
        vars(self).update(wrong)
        self.calls = 0

    def encode(self, values: Tensor) -> Any:
        self.calls += 1
        good, fault = values[:, :3].clone(), vars(self).get("fault")
        if fault == "in place":
            values += 1
        faults = {
            "narrow": good[:, :2],
            "list": good.tolist(),
            "integers": good.int(),
            "nan": good / 0,
            "counts": good + self.calls,
            "neighbours": good + len(values),
        }
        if fault == "raises":
            raise KeyError("gone")
        return faults.get(str(fault), good)


def opened(location: str, width: int = 32, trusted: bool = True) -> LoadedSource:
    wanted = WantedSource("mine", "own", location, HOOK, trusted)
    return Own().open(wanted, CPU).of_width(width)


def faulty(**options: Any) -> LoadedSource:
    return opened(OwnSpec("mine", f"{__name__}:Faulty", HOOK, options).location)


@pytest.fixture
def mine(tmp_path: Path) -> OwnSpec:
    from safetensors.torch import save_file

    weight = torch.randn(32, 5, generator=torch.Generator().manual_seed(0))
    save_file({"W": weight}, tmp_path / "w.safetensors")
    options = {"path": str(tmp_path / "w.safetensors")}
    return OwnSpec("mine", RECTIFIED, HOOK, options, dropped=(1,))


@pytest.mark.filterwarnings("ignore")
def test_a_run_computes_what_the_class_says(
    mine: OwnSpec, spec: RunSpec, corpus: CorpusRecord
) -> None:
    rows = OwnSpec("rows", f"{__name__}:Sums", HOOK)
    run = create_run(replace(spec, sources=(mine, rows)), corpus)
    assert [source.sign for source in run.sources] == ["value", "absolute"]
    assert run.sources[0].content.startswith("1 ")
    plan, trusted = make_plan(run), {mine.location, rows.location}
    engine, (batch, valid) = load_engine(plan, "cpu", trusted), batch_of(6)
    x = engine.model.run(torch.from_numpy(batch.ids.astype(np.int64)), [HOOK])[HOOK]
    weight = load_file(mine.options["path"])["W"]  # type: ignore[index]
    products = (x @ weight).relu() * (torch.arange(5) != 1)
    expected = torch.cat([products, x[..., :2].cumsum(1)], dim=-1).numpy() * valid[..., None]
    np.testing.assert_allclose(dense(engine.compute(batch, valid), 7, 6), expected, atol=1e-4)
    made = len(Sums.made)
    with pytest.raises(
        ModelError, match=r"'rows' is computed by .*Sums, which the settings here do"
    ):
        load_engine(plan, "cpu", {mine.location})
    assert len(Sums.made) == made
    changed = replace(plan.run.sources[0], content="2 0123")
    other = make_plan(replace(run, sources=(changed, run.sources[1])))
    with pytest.raises(
        RunError, match=r"own 'mine' .* is not the one that run run was created with"
    ):
        load_engine(other, "cpu", trusted)


def test_a_record_alone_imports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    imported: list[str] = []

    def never(name: str) -> ModuleType:
        imported.append(name)
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", never)
    with pytest.raises(ModelError, match="a run record alone has nothing imported"):
        opened("os:system", trusted=False)
    assert not imported
    for path in ("os", "os:", ":a", "os:path.join", "../x:A", "os:a b", "-m:x", "os\n:x"):
        with pytest.raises(ModelError, match=r"does not read package\.module:Class"):
            opened(path)
    assert not imported
    with pytest.raises(ModelError, match="cannot be imported: os; it has to be installed here"):
        opened("os:system")


def test_other_options_are_other_code(mine: OwnSpec) -> None:
    other = replace(mine, options={**(mine.options or {}), "tensor": "V"})
    assert other.location != mine.location
    with pytest.raises(ModelError, match="cannot be made: KeyError: 'V'"):
        opened(other.location)
    with pytest.raises(ModelError, match="cannot be made: ValueError: W takes 32 values, the hook"):
        opened(mine.location, width=16)
    with pytest.raises(ValueError, match="options hold what JSON does not"):
        replace(mine, options={"x": float("nan")})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"fault": "narrow"}, r"gives \[24, 2\] for values \[24, 32\]: it has to be \[token, comp"),
        ({"fault": "list"}, "gives list for values"),
        ({"fault": "integers"}, r"gives torch\.int32 on cpu: it has to be floating point on cpu"),
        ({"fault": "nan"}, "gives NaN or infinity"),
        ({"fault": "counts"}, "gives other components when it is called again"),
        ({"fault": "neighbours"}, "gives a token other components .* when other tokens are beside"),
        ({"fault": "in place"}, "changes the values that it is given"),
        ({"fault": "raises"}, "cannot encode: KeyError: 'gone'"),
        ({"components": 0}, "has components = 0, no whole number from 1"),
        ({"components": True}, "has components = True"),
        ({"sign": "up"}, "has the sign 'up': it is one of value, absolute"),
        ({"version": 3}, "has a version that is no text"),
    ],
)
def test_what_is_wrong_with_a_class_is_one_line(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said) as refused:
        faulty(**options)
    assert "\n" not in str(refused.value)


def test_the_identity_is_file_version_and_tensors(
    mine: OwnSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import save_file

    content = opened(mine.location).content
    assert opened(mine.location).content == content
    assert faulty().content != faulty(version="2").content
    save_file({"W": torch.ones(32, 5)}, mine.options["path"])  # type: ignore[index]
    other_weights = opened(mine.location).content
    assert other_weights != content
    copy = tmp_path / "copy.py"
    copy.write_text(Path(rectified.__file__).read_text() + "# changed\n")
    monkeypatch.setattr("inspect.getsourcefile", lambda _: str(copy))
    assert opened(mine.location).content not in (content, other_weights)
    monkeypatch.setattr("inspect.getsourcefile", lambda _: None)
    assert opened(mine.location).content.startswith("1 ")
    with pytest.raises(ModelError, match="has no source file: let it declare a version"):
        faulty()


def test_the_documented_example_is_the_one_that_runs() -> None:
    root = Path(__file__).parents[3]
    example = Path(rectified.__file__).read_text()
    assert f"```python\n{example}```" in (root / "docs/own-source.md").read_text()
