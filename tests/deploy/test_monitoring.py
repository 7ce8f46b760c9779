"""What Prometheus and Grafana are told to look at is there to be seen."""

import json
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import yaml

from orchestrator.core.pressure import Level
from orchestrator.errors import GoAssistError
from orchestrator.notifications import ResponseFinished
from orchestrator.telemetry.metrics import Metrics
from orchestrator.webrtc.ticker import Ticker
from tests.servers.triton import MODEL_REPOSITORY, RunningTriton

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana/dashboards/goassist.json").read_text())
DATASOURCE = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())
PROMETHEUS = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
ALERTS = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())
MODELS = {path.name for path in MODEL_REPOSITORY.iterdir()}
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    rules = [rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]]
    return rules + [target["expr"] for panel in PANELS for target in panel["targets"]]


def named() -> set[str]:
    """Every metric that an expression names, without what a histogram's name is followed by."""
    text = " ".join(expressions())
    return {re.sub(r"_bucket$", "", name) for name in re.findall(r"\b(?:goassist|process|nv)_\w+", text)}


def of_model(name: str) -> str | None:
    """The model whose own metric that is, if it is one."""
    found = re.match(r"goassist_(asr|llm|tts|turn|speech_to_speech)_", name)
    return found[1] if found else None


def errors_of(kind: type[GoAssistError]) -> set[type[GoAssistError]]:
    return {each for below in kind.__subclasses__() for each in (below, *errors_of(below))}


def families(page: str) -> set[str]:
    return set(re.findall(r"^# TYPE (\w+) ", page, flags=re.MULTILINE))


def test_every_metric_of_the_orchestrator_that_is_looked_at_exists() -> None:
    metrics = Metrics()
    metrics.watch(sessions=lambda: 0, ticker=Ticker(), level=lambda: 0, distrusts=lambda: False)
    wanted = {name for name in named() if not name.startswith("nv_") and of_model(name) is None}
    assert len(wanted) > 15
    assert wanted - families(metrics.exposition().decode()) == set()


def test_every_metric_of_the_orchestrator_can_be_looked_at() -> None:
    metrics = Metrics()
    metrics.watch(sessions=lambda: 0, ticker=Ticker(), level=lambda: 0, distrusts=lambda: False)
    own = {name for name in families(metrics.exposition().decode()) if name.startswith("goassist_")}
    # Of HTTP requests what matters to callers is told by the sessions begun, refused and failed.
    assert own - named() <= {"goassist_http_requests_total"}


def test_what_is_looked_at_of_errors_and_answers_occurs() -> None:
    codes = {kind.code for kind in (GoAssistError, *errors_of(GoAssistError))}
    occurring = {
        ("goassist_errors_total", "code"): codes,
        ("goassist_responses_total", "status"): set(get_args(get_type_hints(ResponseFinished)["status"])),
    }
    selectors = re.findall(r'\b(\w+)\{(\w+)=~?"([^"]+)"\}', " ".join(expressions()))
    looked_at = [each for each in selectors if each[:2] in occurring]
    assert {each[:2] for each in looked_at} == occurring.keys()
    for metric, label, pattern in looked_at:
        assert any(re.fullmatch(pattern, value) for value in occurring[metric, label]), (metric, label, pattern)


def test_levels_of_pressure_have_their_names() -> None:
    (panel,) = [panel for panel in PANELS if "goassist_pressure_level" in panel["targets"][0]["expr"]]
    (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
    shown = {int(value): option["text"] for value, option in mapping["options"].items()}
    assert shown == {level.value: level.name for level in Level}
    assert panel["fieldConfig"]["defaults"]["max"] == max(Level)


def test_every_metric_of_triton_that_is_looked_at_exists(triton: RunningTriton) -> None:
    with urllib.request.urlopen(triton.metrics_url, timeout=10) as answer:
        page = answer.read().decode()
    # A GPU's are there only where a GPU is.
    wanted = {name for name in named() if name.startswith("nv_") and not name.startswith("nv_gpu_")}
    wanted |= {name for name in named() if of_model(name) in MODELS}
    assert len(wanted) > 8
    assert wanted - families(page) == set()


def test_a_metric_that_both_have_is_asked_of_one(triton: RunningTriton) -> None:
    metrics = Metrics()
    metrics.watch(sessions=lambda: 0, ticker=Ticker(), level=lambda: 0, distrusts=lambda: False)
    with urllib.request.urlopen(triton.metrics_url, timeout=10) as answer:
        both = families(answer.read().decode()) & families(metrics.exposition().decode())
    asked = [found for name in both for found in re.findall(rf"\b{name}\w*(.{{0,5}})", " ".join(expressions()))]
    assert asked
    assert set(asked) == {"{job="}


def test_the_dashboard_asks_the_datasource_that_is_provisioned() -> None:
    uid = DATASOURCE["datasources"][0]["uid"]
    assert {panel["datasource"]["uid"] for panel in PANELS} == {uid}
    assert {target["datasource"]["uid"] for panel in PANELS for target in panel["targets"]} == {uid}


def test_the_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23


def test_what_is_scraped_are_services_of_the_compose_file() -> None:
    services = yaml.safe_load((DEPLOY.parent / "docker-compose.yml").read_text())["services"]
    names = set(services)
    for service in services.values():
        names |= set(service.get("networks", {}).get("default", {}).get("aliases", []))
    scraped = {
        name for job in PROMETHEUS["scrape_configs"] for config in job["dns_sd_configs"] for name in config["names"]
    }
    assert scraped <= names
    jobs = {job["job_name"] for job in PROMETHEUS["scrape_configs"]}
    assert set(re.findall(r'job="(\w+)"', " ".join(expressions()))) <= jobs


def test_every_alert_says_what_is_wrong() -> None:
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"]["summary"].endswith("."), rule["alert"]
            assert rule["for"], "a moment is no reason to wake somebody"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_accepts_the_configuration() -> None:
    check = subprocess.run(
        ["promtool", "check", "config", DEPLOY / "prometheus/prometheus.yml"], capture_output=True, text=True
    )
    assert check.returncode == 0, check.stdout + check.stderr
