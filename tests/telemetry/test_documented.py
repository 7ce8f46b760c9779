"""docs/deployment.md names every metric, and none that there is not."""

import re
from pathlib import Path

from orchestrator.telemetry.metrics import Metrics
from orchestrator.webrtc.ticker import Ticker

PAGE = (Path(__file__).parents[2] / "docs" / "deployment.md").read_text()


def test_the_table_of_metrics_is_complete() -> None:
    metrics = Metrics()
    metrics.watch(sessions=lambda: 0, ticker=Ticker(), level=lambda: 0, distrusts=lambda: False)
    shown = set(re.findall(r"^# TYPE (goassist_\w+) ", metrics.exposition().decode(), re.MULTILINE))
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `goassist_")]
    assert {name for row in rows for name in re.findall(r"`(goassist_\w+)`", row)} == shown
