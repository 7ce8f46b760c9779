"""The benchmark itself, at its smallest: a real Triton with the stand-ins, the orchestrator, one caller."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.test_servers import ROOT, free_port


@pytest.mark.slow
def test_one_caller_asks_interrupts_and_is_measured(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.run", "--callers", "1", "--turns", "2", "--losses"]

    done = subprocess.run(
        [*command, "--port", str(free_port()), "--json", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=150,
    )

    assert done.returncode == 0, done.stderr
    (figures,) = json.loads(done.stdout).values()
    assert figures["connected"] == 1
    assert figures["turns"] == 2
    assert figures["missed"] == 0
    assert 100 < figures["voice_to_voice_ms"]["p50"] < 3000, "no answer comes before the stand-ins' own latencies"
    assert figures["cpu_s_per_session_minute"] > 0
    assert json.loads(file.read_text())["figures"] == {"1 caller": figures}
