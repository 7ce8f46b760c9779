"""What the running application tells and shows over HTTP: its probes and metrics, its pages, and its schema."""

import re

import pytest

from orchestrator.app import BROWSER_PAGE
from tests.http_surface.client import error_of, http
from tests.http_surface.conftest import NO_TRITON
from tests.servers.openai_server import run_openai_server
from tests.servers.orchestrator import RunningOrchestrator, run_orchestrator

# Probes.


async def test_the_process_is_alive_and_says_that_triton_is_missing(alone: RunningOrchestrator) -> None:
    async with http(alone) as client:
        assert (await client.get("/livez")).status_code == 200
        readiness = await client.get("/readyz")
        assert readiness.status_code == 503
        assert "triton" in readiness.json()["reason"]
        for path in ("/health", "/healthz"):
            health = await client.get(path)
            assert health.status_code == 503
            components = health.json()["components"]
            assert components["triton"]["status"] == "down"
            assert components["vad"]["status"] == "up"


async def test_with_every_model_ready_calls_are_taken(ready: RunningOrchestrator) -> None:
    async with http(ready) as client:
        readiness = await client.get("/readyz")
        assert readiness.status_code == 200
        assert readiness.json()["components"] == {"triton": True, "asr": True, "tts": True, "llm": True}
        assert (await client.get("/health")).json()["status"] == "healthy"


async def test_what_is_wrong_with_the_language_models_server_is_told_by_probes_and_to_a_caller() -> None:
    with run_openai_server() as server:
        chosen = {"triton_url": NO_TRITON, "llm_base_url": server.url, "llm_api_key": "sk-0123456789"}
        async with run_orchestrator(**chosen, llm_model="small-modle") as running, http(running) as client:
            readiness = (await client.get("/readyz")).json()
            assert readiness["reason"].startswith("not ready: triton, asr, tts, llm; the language model's server at ")
            assert readiness["components"] == {"triton": False, "asr": False, "tts": False, "llm": False}
            components = (await client.get("/health")).json()["components"]
            refused = error_of(await client.post("/sessions", json={}), 503)
    wrong = 'has no model "small-modle": set LLM_MODEL to one of its own (small-model)'
    assert components["llm"]["status"] == "down"
    assert components["asr"] == {"status": "down"}
    for told in (readiness["reason"], components["llm"]["reason"], refused["message"]):
        assert told.endswith(wrong)
        assert "sk-0123456789" not in told


async def test_metrics_are_in_prometheus_format_with_the_process_own(alone: RunningOrchestrator) -> None:
    async with http(alone) as client:
        await client.get("/livez")
        response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    names = set(re.findall(r"^(\w+)", response.text, re.MULTILINE))
    assert {"process_cpu_seconds_total", "process_resident_memory_bytes", "goassist_sessions_active"} <= names
    assert {"goassist_ttfa_seconds_bucket", "goassist_frame_lateness_seconds"} <= names
    assert 'goassist_http_requests_total{method="GET",route="/livez",status="200"} 1.0' in response.text


# Pages.


async def test_the_page_and_its_files_are_served(alone: RunningOrchestrator) -> None:
    async with http(alone) as client:
        page = await client.get("/")
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert page.headers["cache-control"] == "no-cache"
        for path in BROWSER_PAGE.iterdir():
            assert (await client.get(f"/{path.name}")).content == path.read_bytes()
        assert error_of(await client.get("/no-such-file"), 404)["code"] == "not_found"
        assert (await client.get("/../pyproject.toml")).status_code == 404
        assert (await client.get("/%2e%2e/pyproject.toml")).status_code == 404


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_the_api_pages_need_nothing_from_elsewhere(alone: RunningOrchestrator, path: str) -> None:
    async with http(alone) as client:
        page = (await client.get(path)).text
        sources = re.findall(r'(?:src|href)="([^"]+)"', page)
        assert sources
        for source in sources:
            assert source.startswith("/"), f"{source} is on another machine"
            assert (await client.get(source)).status_code == 200


async def test_the_schema_names_the_whole_surface(alone: RunningOrchestrator) -> None:
    async with http(alone) as client:
        schema = (await client.get("/openapi.json")).json()
    assert {
        "/v1/realtime/calls",
        "/v1/realtime/calls/{call_id}/hangup",
        "/v1/realtime/client_secrets",
        "/sessions",
        "/sessions/{session_id}/offer",
        "/sessions/{session_id}/ice-candidate",
        "/sessions/{session_id}/chat",
        "/livez",
        "/readyz",
        "/health",
        "/metrics",
    } <= set(schema["paths"])
    assert set(schema["paths"]["/v1/realtime/calls"]["post"]["requestBody"]["content"]) == {
        "application/sdp",
        "multipart/form-data",
    }
