"""The benchmark itself, at its smallest: a real Triton with the stand-ins, the orchestrator, one caller."""

import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from benchmarks import run
from benchmarks.comparison import Figures
from benchmarks.servers import MeasurementError, Server
from tests.benchmarks.test_servers import ROOT, free_port
from tests.benchmarks.test_targets import measured


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
    assert {"gaps_over_60_ms", "holes_over_60_ms"} <= figures.keys()
    assert json.loads(file.read_text())["figures"] == {"1 caller": figures}
    assert "| voice to voice, 1 caller, p50 | ≤ 300 ms |" in done.stderr


@pytest.mark.parametrize(("options", "status"), [([], None), (["--check"], 1)])
def test_a_target_that_was_missed_is_told_and_fails_where_that_is_asked_for(
    options: list[str], status: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "running", lambda server, **_: nullcontext("http://nowhere.invalid"))
    monkeypatch.setattr(run, "load", lambda server, url, *options, **_: measured(1, gaps_over_60_ms=2))
    monkeypatch.setattr(sys, "argv", ["run", "--callers", "1", "--losses", "1", *options])
    with pytest.raises(SystemExit) if status else nullcontext() as ended:
        run.main()
    assert (ended.value.code if ended else None) == status
    told = capsys.readouterr()
    assert list(json.loads(told.out)) == ["1 caller", "1 % loss"]
    assert "| gaps over 60 ms | none | 4 | no |" in told.err


def test_a_run_that_fails_does_not_lose_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    limits = []

    def load(server: Server, url: str, *options: str, timeout_s: float, **_: object) -> Figures:
        limits.append(timeout_s)
        if options[1] == "10":
            raise MeasurementError("GoAssist was not done")
        return measured(int(options[1]))

    monkeypatch.setattr(run, "running", lambda server, **_: nullcontext("http://nowhere.invalid"))
    monkeypatch.setattr(run, "load", load)
    file = tmp_path / "bench.json"
    command = ["run", "--callers", "1", "10", "20", "--turns", "100", "--losses", "--json", str(file)]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        run.main()
    assert ended.value.code == 1
    assert list(json.loads(file.read_text())["figures"]) == ["1 caller", "20 callers"]
    assert "GoAssist was not done" in capsys.readouterr().err
    assert min(limits) >= 1000, "a hundred turns take their time"
