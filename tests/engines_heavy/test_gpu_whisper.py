"""make bench-gpu, rehearsed with tiny weights on the CPU."""

import json
import subprocess
from typing import Any

import pytest

from tests.engines_heavy.conftest import environment
from tests.servers.triton import ROOT

pytestmark = [pytest.mark.engines, pytest.mark.slow]
PROGRAM = ROOT / "benchmarks" / "engines_gpu.py"


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    """What `--rehearse whisper` prints."""
    command = [environment("whisper") / "bin" / "python", PROGRAM, "--rehearse", "whisper"]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=170).stdout
    return [json.loads(line) for line in printed.splitlines()]


def test_a_rehearsal_measures_every_part_of_both_models(lines: list[dict[str, Any]]) -> None:
    parts = {(line["model"], line["part"]) for line in lines}
    both = {(model, part) for model in ("base", "turbo") for part in ("first calls", "windows", "engine")}
    assert parts == both | {("turbo", "batch"), ("turbo", "pace")}
    assert {line["engine"] for line in lines} == {"whisper"}


def test_windows_one_by_one_are_as_many_calls_and_a_batch_is_one(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        if line["part"] == "windows":
            assert [row["calls"] for row in line["rows"]] == [line["windows"], 1]


def test_every_answer_of_the_engine_costs_a_window(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        if line["part"] == "engine":
            alone, together = line["rows"]
            assert alone["windows"] == together["windows"] == alone["calls"]
            assert together["calls"] < alone["calls"]
