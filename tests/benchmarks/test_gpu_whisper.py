import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "benchmarks" / "engines_gpu.py"


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    """What `--rehearse whisper` prints, in an environment that has Whisper."""
    environments = [ROOT / ".venvs" / name for name in ("whisper", "cpu")]
    ready = [folder for folder in environments if (folder / "ready").is_file()]
    if not ready:
        pytest.skip("no environment has Whisper: run `make test-engines`")
    command = [ready[0] / "bin" / "python", PROGRAM, "--rehearse", "whisper"]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=170).stdout
    return [json.loads(line) for line in printed.splitlines()]


@pytest.mark.engines
@pytest.mark.slow
def test_a_rehearsal_measures_every_part_of_both_models(lines: list[dict[str, Any]]) -> None:
    parts = {(line["model"], line["part"]) for line in lines}
    both = {(model, part) for model in ("base", "turbo") for part in ("first calls", "windows", "engine")}
    assert parts == both | {("turbo", "batch"), ("turbo", "pace")}
    assert {line["engine"] for line in lines} == {"whisper"}


@pytest.mark.engines
@pytest.mark.slow
def test_windows_one_by_one_are_as_many_calls_and_a_batch_is_one(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        if line["part"] == "windows":
            assert [row["calls"] for row in line["rows"]] == [line["windows"], 1]


@pytest.mark.engines
@pytest.mark.slow
def test_every_answer_of_the_engine_costs_a_window(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        if line["part"] == "engine":
            alone, together = line["rows"]
            assert alone["windows"] == together["windows"] == alone["calls"]
            assert together["calls"] < alone["calls"]
