"""What is said of measurements, where the measurements are given."""

import json

import pytest

from consumers.tuning.tuning import Measured
from consumers.tuning.tuning_run import Advice
from millrace.tuning import Tuned
from millrace.tuning_report import advice_json, print_advice

STEADY = (100.0, 104.0, 98.0)


def tuned(*advice: Advice) -> Tuned:
    return Tuned("model", "text", 4, 16, advice)


def advice(dtype: str, *measured: Measured, refused: str = "") -> Advice:
    return Advice(dtype, "cpu", 2, measured, refused=refused)


def test_sizes_that_do_not_fit_and_dtypes_that_fail_are_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fits, foreseen = Measured(1, True, 2**20, STEADY), Measured(2, False, 3 * 2**20)
    found = tuned(advice("float32", fits, foreseen), advice("float16", refused="NaN in h"))
    print_advice(found)
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if "does not fit" in line]
    assert line.split("│")[1:6] == [" float32 ", "    2 ", "          ", "        ", "        3 "]
    assert "float32: micro_batch = 1, 100 tokens/s" in lines
    assert "float16: not usable: NaN in h" in lines


def test_what_does_not_fit_has_no_figures_in_json() -> None:
    found = tuned(advice("float32", Measured(1, True, 7, STEADY), Measured(2, False, None)))
    (one,) = json.loads(advice_json(found))["advice"]
    first, second = one["measured"]
    assert (one["best"], first["fits"], first["peak"], first["rate"]) == (1, True, 7, 100)
    assert (second["fits"], second["peak"], second["rates"]) == (False, None, [])


def test_gains_are_against_the_first_dtype(capsys: pytest.CaptureFixture[str]) -> None:
    found = tuned(
        advice("float32", Measured(1, True, 0, (100.0,))),
        advice("bfloat16", Measured(1, True, 0, (250.0,))),
    )
    print_advice(found)
    assert "bfloat16: micro_batch = 1, 250 tokens/s, 2.50 x float32" in capsys.readouterr().out
