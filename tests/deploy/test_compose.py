"""docker-compose.yml, as far as it can be judged without a Docker engine."""

import json
import re
import shutil
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.settings import Settings

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
TEXT = FILE.read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCUMENT = (ROOT / "docs" / "deployment.md").read_text()

each_service = pytest.mark.parametrize("name", SERVICES)


def dockerfile(service: dict[str, Any]) -> str:
    """The text of the stage that a service is built from, "" for an image from elsewhere."""
    if "build" not in service:
        return ""
    text = (ROOT / service["build"]["dockerfile"]).read_text()
    target = service["build"].get("target")
    stages = re.split(r"(?m)^(?=FROM )", text)
    named = [stage for stage in stages if target and re.match(rf"FROM \S+ AS {target}\n", stage)]
    assert not target or named, f"there is no stage {target}"
    return named[0] if target else stages[-1]


def test_the_file_follows_the_compose_specification() -> None:
    check = subprocess.run(
        [Path(sys.executable).parent / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", FILE],
        capture_output=True,
        text=True,
    )
    assert check.returncode == 0, check.stdout


@pytest.mark.skipif(
    shutil.which("docker") is None
    or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode != 0,
    reason="there is no docker compose",
)
@pytest.mark.parametrize("profile", ["gpu", "cpu", "avatar", "models"])
def test_docker_compose_accepts_every_profile(profile: str) -> None:
    check = subprocess.run(
        ["docker", "compose", "-f", FILE, "--profile", profile, "config", "--quiet"],
        capture_output=True,
        text=True,
        env={"TURN_SECRET": "secret", "PATH": "/usr/local/bin:/usr/bin:/bin"},
    )
    assert check.returncode == 0, check.stderr


@each_service
def test_an_image_is_pinned_or_built_here(name: str) -> None:
    service = SERVICES[name]
    if "build" in service:
        assert dockerfile(service)
    else:
        assert re.search(r":v?\d+(\.\d+)+[\w.-]*$", service["image"]), service["image"]


@each_service
def test_a_service_knows_whether_it_is_healthy(name: str) -> None:
    service = SERVICES[name]
    assert "healthcheck" in service or "\nHEALTHCHECK " in dockerfile(service)


@each_service
def test_a_service_cannot_gain_rights(name: str) -> None:
    service = SERVICES[name]
    assert not service.get("privileged")
    assert "network_mode" not in service
    # coturn's binary has a capability of its own, by which it may bind low ports.
    assert "no-new-privileges:true" in service.get("security_opt", []) or name == "coturn"


@each_service
def test_only_callers_come_in_from_elsewhere(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert port.startswith(("127.0.0.1:", "${BIND_ADDRESS:-127.0.0.1}:8081", "3478:")), port


@each_service
def test_what_is_mounted_exists(name: str) -> None:
    for mount in SERVICES[name].get("volumes", []):
        source = mount.split(":")[0]
        assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], mount


@pytest.mark.parametrize(("profile", "expected"), [("gpu", {"triton", "orchestrator"}), ("avatar", {"audio2face"})])
def test_a_profile_that_needs_a_gpu_reserves_it(profile: str, expected: set[str]) -> None:
    members = {name for name, service in SERVICES.items() if profile in service.get("profiles", [])}
    assert members == expected
    for name in members - {"orchestrator"}:
        devices = SERVICES[name]["deploy"]["resources"]["reservations"]["devices"]
        assert devices[0]["capabilities"] == ["gpu"]
        assert SERVICES[name]["shm_size"]


def test_the_profile_cpu_needs_no_gpu_and_has_every_model() -> None:
    members = {name: service for name, service in SERVICES.items() if "cpu" in service.get("profiles", [])}
    assert set(members) == {"triton-cpu", "llm", "orchestrator-cpu"}
    assert not any("deploy" in service for service in members.values())
    arguments = members["triton-cpu"]["command"]
    (repository,) = [word.partition("=")[2] for word in arguments if word.startswith("--model-repository=")]
    linked = re.search(rf"ln -s (.+) {Path(repository).name}/\n", dockerfile(members["triton-cpu"]))
    assert linked
    assert {Path(path).name for path in linked[1].split()} == {"asr", "tts", "turn"}
    assert members["orchestrator-cpu"]["environment"]["LLM_BASE_URL"] == "${LLM_BASE_URL:-http://llm:8000/v1}"


def test_on_a_gpu_prompts_are_made_by_the_template_and_tokenizer_of_the_model_that_triton_serves() -> None:
    served = json.loads((ROOT / "model_repository" / "llm" / "1" / "model.json").read_text())["model"]
    service = SERVICES["orchestrator"]
    assert service["environment"]["LLM_TEMPLATE"] == f"${{LLM_TEMPLATE:-{served}}}"
    assert "models:/opt/goassist/models:ro" in service["volumes"]
    image = (ROOT / service["build"]["dockerfile"]).read_text()
    assert "WORKDIR /opt/goassist" in image.splitlines()
    assert "['optional-dependencies']['tokenizer']" in image


@pytest.mark.parametrize("name", ["triton", "triton-cpu"])
def test_nobody_loads_models_into_a_running_triton(name: str) -> None:
    """Who may load models may bring their code with them."""
    assert not any(argument.startswith("--model-control-mode") for argument in SERVICES[name]["command"])


@pytest.mark.parametrize("name", ["triton", "triton-cpu"])
def test_a_triton_whose_model_has_died_is_ended_and_so_restarted(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][1:] == ["python3", "-m", "engines.health", "--end", "1"]
    assert service["init"], "the first process of a container cannot be killed from within"
    assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", ["orchestrator", "orchestrator-cpu"])
def test_the_orchestrator_is_given_settings_that_it_has(name: str) -> None:
    given = {key.lower() for key in SERVICES[name]["environment"]}
    assert given - Settings.model_fields.keys() == set()
    assert "orchestrator" in SERVICES[name]["networks"]["default"]["aliases"]


def test_coturn_relays_to_the_orchestrator_and_to_nobody_else() -> None:
    conf = (ROOT / "deploy" / "coturn" / "turnserver.conf").read_text().splitlines()
    (allowed,) = [line.partition("=")[2] for line in conf if line.startswith("allowed-peer-ip=")]
    assert "denied-peer-ip=0.0.0.0-255.255.255.255" in conf
    assert "denied-peer-ip=::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" in conf
    assert {"use-auth-secret", "no-tcp-relay", "no-multicast-peers"} <= set(conf)
    for name in ("orchestrator", "orchestrator-cpu"):
        assert SERVICES[name]["networks"]["calls"]["ipv4_address"] == allowed
        assert SERVICES[name]["environment"]["WEBRTC_HOSTS"] == allowed, "what it tells callers"


def test_coturn_shares_a_network_with_the_orchestrator_alone() -> None:
    members = {name for name, service in SERVICES.items() if "calls" in service.get("networks", [])}
    assert members == {"coturn", "orchestrator", "orchestrator-cpu"}
    assert list(SERVICES["coturn"]["networks"]) == ["calls"]


def test_no_other_container_is_given_the_orchestrators_address() -> None:
    (pool,) = COMPOSE["networks"]["calls"]["ipam"]["config"]
    address = ip_address(SERVICES["orchestrator"]["networks"]["calls"]["ipv4_address"])
    assert address in ip_network(pool["subnet"])
    assert ip_network(pool["ip_range"]).subnet_of(ip_network(pool["subnet"]))
    assert address not in ip_network(pool["ip_range"])


def test_every_variable_is_documented_and_one_alone_must_be_set() -> None:
    variables = set(re.findall(r"\$\{(\w+)", TEXT))
    assert {name for name in variables if f"`{name}`" not in DOCUMENT} == set()
    assert set(re.findall(r"\$\{(\w+)(?::\?|\})", TEXT)) == {"TURN_SECRET"}
