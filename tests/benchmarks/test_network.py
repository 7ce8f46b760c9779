"""The benchmark of bad networks itself: at its smallest for real, and what it does where something fails."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks import network
from benchmarks.conditions import CONDITIONS, NOTHING
from benchmarks.rough_caller import Turns
from benchmarks.servers import MeasurementError
from tests.benchmarks.test_network_report import call, figures
from tests.benchmarks.test_servers import ROOT, free_port


@pytest.mark.slow
def test_a_call_with_trouble_and_one_without_are_measured(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.network", "--only", "60ms", "--turns", "1", "--seconds", "1"]

    done = subprocess.run(
        [*command, "--port", str(free_port()), "--json", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=150,
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(file.read_text())["figures"]
    assert list(told["conditions"]) == [NOTHING, "60ms"]
    for each in told["conditions"].values():
        assert each["turns"] == 3, done.stderr
        assert each["voice_to_voice_ms"]["during"]["p50"] > 100, "no answer comes before the stand-ins' own latencies"
    assert all(held["files"] > 0 and held["resident_mb"] > 20 for held in told["idle"].values())
    assert "packets of 60 ms: begins now" in done.stderr
    assert "| packets of 60 ms |" in done.stdout
    assert "| turns missed | none | 0 | yes |" in done.stdout


def run_main(monkeypatch: pytest.MonkeyPatch, told: dict[str, Any], *options: str) -> list[str]:
    """The command line with a server that gives these figures; returns the conditions that it was asked for."""
    asked: list[str] = []

    async def measure(url: str, chosen: dict[str, network.Condition], plan: network.Plan) -> dict[str, Any]:
        asked.extend(chosen)
        return told

    monkeypatch.setattr(network, "running", lambda server, **_: nullcontext("http://nowhere.invalid"))
    monkeypatch.setattr(network, "settle", lambda cores: None)
    monkeypatch.setattr(network, "end_servers_when_told", lambda: None)
    monkeypatch.setattr(network, "measure", measure)
    monkeypatch.setattr(sys, "argv", ["network", *options])
    network.main()
    return asked


@pytest.mark.parametrize(("options", "status"), [([], None), (["--check"], 1)])
def test_a_target_that_was_missed_is_told_and_fails_where_that_is_asked_for(
    options: list[str], status: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) if status else nullcontext() as ended:
        run_main(monkeypatch, figures(loss=call(missed=1)), *options)
    assert (ended.value.code if ended else None) == status
    assert "| turns missed | none | 1 | no |" in capsys.readouterr().out


def test_what_was_not_measured_does_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = figures()
    assert network.judged(alone, network.TARGETS)[3].reached is None
    run_main(monkeypatch, alone, "--check")


def test_conditions_are_chosen_and_always_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_main(monkeypatch, figures(), "--only", "stereo", "loss") == [NOTHING, "loss", "stereo"]
    assert run_main(monkeypatch, figures()) == list(CONDITIONS)


@pytest.mark.parametrize(
    ("options", "told"), [(["--only", "rain"], "invalid choice: 'rain'"), (["--turns", "0"], "at least one")]
)
def test_what_cannot_be_asked_for_is_refused(
    options: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run_main(monkeypatch, figures(), *options)
    assert told in capsys.readouterr().err


def test_a_server_that_does_not_start_ends_it_with_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    @contextmanager
    def failing(server: object, **_: object) -> Iterator[str]:
        raise MeasurementError("GoAssist did not become ready; what it said is above")
        yield ""

    file = tmp_path / "figures.json"
    file.write_text("those of another run")
    monkeypatch.setattr(network, "running", failing)
    monkeypatch.setattr(network, "end_servers_when_told", lambda: None)
    monkeypatch.setattr(sys, "argv", ["network", "--json", str(file)])
    with pytest.raises(SystemExit, match="GoAssist did not become ready"):
        network.main()
    assert file.read_text() == "those of another run"


def test_a_server_that_goes_away_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    async def measure(*_: object) -> dict[str, Any]:
        raise httpx.ConnectError("All connection attempts failed")

    monkeypatch.setattr(network, "running", lambda server, **_: nullcontext("http://nowhere.invalid"))
    monkeypatch.setattr(network, "settle", lambda cores: None)
    monkeypatch.setattr(network, "end_servers_when_told", lambda: None)
    monkeypatch.setattr(network, "measure", measure)
    monkeypatch.setattr(sys, "argv", ["network"])
    with pytest.raises(SystemExit, match=r"is gone \(ConnectError: All connection attempts failed\)"):
        network.main()


def test_turns_are_counted_over_the_whole_call() -> None:
    outcome = network.Outcome(
        Turns(took_s=[0.25, 0.27]),
        Turns(took_s=[0.3], missed=2, early=1, repeated=3),
        Turns(missed=1),
        gaps=4,
        holes=5,
        missing=0.01234,
        late_s=0.02,
    )
    told = outcome.figures()
    assert told["voice_to_voice_ms"]["before"]["p50"] == 260
    assert told["voice_to_voice_ms"]["after"] is None
    assert (told["turns"], told["missed"], told["early"], told["repeated"]) == (3, 3, 1, 3)
    assert (told["gaps_over_60_ms"], told["holes_over_60_ms"], told["agent_packets_missing"]) == (4, 5, 0.0123)
