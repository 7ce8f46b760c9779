"""The HTTP surface of the running application."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai.types.realtime import ClientSecretCreateResponse

from orchestrator.app import BROWSER_PAGE
from orchestrator.errors import ConfigurationError
from tests.servers.orchestrator import RunningOrchestrator, run_orchestrator
from tests.servers.triton import RunningTriton
from tests.triton.test_prompt import model_folder

# Nothing listens there.
NO_TRITON = "127.0.0.1:1"
SDP = {"Content-Type": "application/sdp"}


@pytest.fixture
async def alone() -> AsyncIterator[RunningOrchestrator]:
    """An orchestrator whose Triton cannot be reached."""
    async with run_orchestrator(triton_url=NO_TRITON, allowed_origins=("https://friend.example",)) as running:
        yield running


@pytest.fixture
async def ready(triton: RunningTriton) -> AsyncIterator[RunningOrchestrator]:
    """An orchestrator with a real Triton and all models."""
    async with run_orchestrator(triton_url=triton.grpc_url, max_concurrent_sessions=2) as running:
        yield running


@pytest.fixture
async def guarded(triton: RunningTriton) -> AsyncIterator[RunningOrchestrator]:
    """One that asks for a key."""
    async with run_orchestrator(triton_url=triton.grpc_url, api_key="the-servers-key") as running:
        yield running


def http(running: RunningOrchestrator, **options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=running.url, trust_env=False, timeout=30, **options)


def error_of(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"type", "code", "message", "param"}
    assert error["message"]
    return error


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


# The language model's template.


async def test_the_models_own_chat_template_renders_the_conversation(triton: RunningTriton, tmp_path: Path) -> None:
    folder = model_folder(tmp_path, "What is your name?{% for message in messages %}{% endfor %}")
    async with run_orchestrator(triton_url=triton.grpc_url, llm_template=folder) as running, http(running) as client:
        session = (await client.post("/sessions", json={})).json()["session_id"]
        answer = await client.post(f"/sessions/{session}/chat", json={"message": "Tell me a story."})
    assert answer.json()["response"].startswith("My name is GoAssist.")


async def test_a_message_that_the_language_model_cannot_take_is_refused_and_the_next_is_answered(
    ready: RunningOrchestrator,
) -> None:
    async with http(ready) as client:
        session = (await client.post("/sessions", json={})).json()["session_id"]
        refused = await client.post(f"/sessions/{session}/chat", json={"message": "word " * 6_500})
        answer = await client.post(f"/sessions/{session}/chat", json={"message": "What is your name?"})
    assert "7500 are the most" in error_of(refused, 400)["message"]
    assert answer.json()["response"].startswith("My name is GoAssist.")


async def test_a_folder_without_a_chat_template_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"tokenizer_config\.json is missing"):
        async with run_orchestrator(triton_url=NO_TRITON, llm_template=tmp_path):
            pass


# Bad input.


async def test_a_wrong_content_type_is_told_what_is_right(ready: RunningOrchestrator) -> None:
    async with http(ready) as client:
        for kind in ("text/plain", "application/json", "multipart/mixed"):
            error = error_of(
                await client.post("/v1/realtime/calls", content=b"v=0", headers={"Content-Type": kind}), 400
            )
            assert "application/sdp" in error["message"]
        assert "missing" in error_of(await client.post("/v1/realtime/calls", content=b"v=0"), 400)["message"]


@pytest.mark.parametrize(
    "sdp", [b"", b"Hello", b"\xff\xfe", b"v=0\r\n", b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio x\r\n"]
)
async def test_a_malformed_offer_is_refused_and_leaves_no_session(ready: RunningOrchestrator, sdp: bytes) -> None:
    async with http(ready) as client:
        error = error_of(await client.post("/v1/realtime/calls", content=sdp, headers=SDP), 400)
        assert error["type"] == "invalid_request_error"
        assert (await client.get("/sessions")).json()["active_count"] == 0


async def test_an_offer_over_64_kib_is_too_large_however_it_is_sent(ready: RunningOrchestrator) -> None:
    large = b"v=0\r\n" + b"a=x\r\n" * 20_000

    async def chunks() -> AsyncIterator[bytes]:
        yield large

    async with http(ready) as client:
        error_of(await client.post("/v1/realtime/calls", content=large, headers=SDP), 413)
        error_of(await client.post("/v1/realtime/calls", content=chunks(), headers=SDP), 413)
        error_of(await client.post("/v1/realtime/calls", files={"sdp": (None, large)}), 413)
        error_of(await client.post("/v1/realtime/calls", files={"sdp": (None, large * 10)}), 413)
        session = (await client.post("/sessions", json={})).json()["session_id"]
        error_of(await client.post(f"/sessions/{session}/offer", json={"sdp": large.decode()}), 413)


async def test_a_form_is_checked_part_by_part(ready: RunningOrchestrator) -> None:
    async with http(ready) as client:

        async def refused(**parts: str) -> dict[str, Any]:
            form = {name: (None, text) for name, text in parts.items()}
            return error_of(await client.post("/v1/realtime/calls", files=form), 400)

        assert (await refused(session="{}"))["param"] == "sdp"
        assert "not valid JSON" in (await refused(sdp="v=0", session="loud"))["message"]
        assert (await refused(sdp="v=0", session='{"type": "poem"}'))["param"] == "session.type"
        speed = '{"type": "realtime", "audio": {"output": {"speed": 9}}}'
        assert (await refused(sdp="v=0", session=speed))["param"] == "session.audio.output.speed"
        broken = await client.post(
            "/v1/realtime/calls", content=b"no form", headers={"Content-Type": "multipart/form-data"}
        )
        error_of(broken, 400)


@pytest.mark.parametrize("path", ["/sessions", "/v1/realtime/client_secrets"])
async def test_a_body_that_is_no_json_object_is_refused(ready: RunningOrchestrator, path: str) -> None:
    async with http(ready) as client:
        for content in (b"{", b"[]", b"\xff", b"3"):
            error = error_of(
                await client.post(path, content=content, headers={"Content-Type": "application/json"}), 400
            )
            assert "JSON" in error["message"]
        error_of(await client.post(path, content=b"{}", headers={"Content-Type": "text/plain"}), 400)


async def test_unknown_calls_and_paths_are_not_found(ready: RunningOrchestrator) -> None:
    async with http(ready) as client:
        for method, path in (
            ("POST", "/v1/realtime/calls/rtc_none/hangup"),
            ("DELETE", "/v1/realtime/calls/rtc_none"),
            ("GET", "/sessions/none"),
            ("DELETE", "/sessions/none"),
            ("POST", "/sessions/none/offer"),
            ("POST", "/sessions/none/chat"),
            ("POST", "/sessions/none/ice-candidate"),
        ):
            assert error_of(await client.request(method, path, json={}), 404)["code"] == "not_found"
        error_of(await client.put("/livez"), 405)


async def test_without_triton_a_call_is_refused_for_a_while(alone: RunningOrchestrator) -> None:
    async with http(alone) as client:
        for response in (
            await client.post("/v1/realtime/calls", content=b"v=0\r\n", headers=SDP),
            await client.post("/sessions", json={}),
        ):
            assert error_of(response, 503)["code"] == "backend_unavailable"
            assert int(response.headers["Retry-After"]) > 0


async def test_a_full_server_refuses_the_next_session_until_one_has_ended(ready: RunningOrchestrator) -> None:
    async with http(ready) as client:
        first = (await client.post("/sessions", json={})).json()["session_id"]
        await client.post("/sessions", json={})
        refused = await client.post("/sessions", json={})
        assert error_of(refused, 503)["code"] == "capacity_reached"
        assert int(refused.headers["Retry-After"]) > 0
        assert (await client.get("/sessions")).json()["available_slots"] == 0
        assert (await client.delete(f"/sessions/{first}")).status_code == 200
        assert (await client.post("/sessions", json={})).status_code == 200


# Sessions.


async def test_a_session_is_made_shown_and_ended(ready: RunningOrchestrator) -> None:
    async with http(ready) as client:
        created = (await client.post("/sessions", json={"session_id": "mine", "system_prompt": "Be brief."})).json()
        assert created["session_id"] == "mine"
        assert created["state"] == "idle"
        assert ready.services.call("mine").session.config.instructions == "Be brief."
        assert (await client.get("/sessions/mine")).json()["is_running"] is True
        assert [each["session_id"] for each in (await client.get("/sessions")).json()["sessions"]] == ["mine"]
        again = await client.post("/sessions", json={"session_id": "mine"})
        assert error_of(again, 400)["param"] == "session_id"
        assert (await client.delete("/sessions/mine")).status_code == 200
        error_of(await client.get("/sessions/mine"), 404)


async def test_the_next_message_may_follow_as_soon_as_the_last_is_answered(ready: RunningOrchestrator) -> None:
    async with http(ready) as client:
        await client.post("/sessions", json={})
        (call,) = ready.services.registry
        for _ in range(5):  # without the way through HTTP, in which the call would become idle anyway
            assert "GoAssist" in await call.chat("What is your name?")


async def test_a_session_can_chat_without_sound(ready: RunningOrchestrator) -> None:
    async with http(ready) as client:
        session = (await client.post("/sessions")).json()["session_id"]
        answer = await client.post(f"/sessions/{session}/chat", json={"message": "What is your name?"})
        assert answer.status_code == 200, answer.text
        assert "goassist" in answer.json()["response"].lower()
        again = await client.post(f"/sessions/{session}/chat", json={"message": "And what can you do?"})
        assert again.json()["response"]
        assert (await client.get(f"/sessions/{session}")).json()["turns_completed"] == 2
        error_of(await client.post(f"/sessions/{session}/chat", json={"message": ""}), 400)


# Keys and origins.


async def test_with_an_api_key_only_its_owner_is_let_in(guarded: RunningOrchestrator) -> None:
    owner = {"Authorization": "Bearer the-servers-key"}
    async with http(guarded) as client:
        for method, path in (
            ("POST", "/v1/realtime/calls"),
            ("POST", "/v1/realtime/client_secrets"),
            ("GET", "/sessions"),
            ("POST", "/sessions"),
        ):
            refused = await client.request(method, path)
            assert error_of(refused, 401)["code"] == "invalid_api_key"
            assert refused.headers["WWW-Authenticate"] == "Bearer"
        assert (await client.get("/sessions", headers=owner)).status_code == 200
        assert (await client.get("/sessions", headers={"X-API-Key": "the-servers-key"})).status_code == 200
        for path in ("/livez", "/readyz", "/metrics", "/"):
            assert (await client.get(path)).status_code == 200


async def test_a_client_secret_opens_calls_with_its_session(guarded: RunningOrchestrator) -> None:
    owner = {"Authorization": "Bearer the-servers-key"}
    body = {"expires_after": {"seconds": 30}, "session": {"type": "realtime", "instructions": "Be brief."}}
    async with http(guarded) as client:
        response = await client.post("/v1/realtime/client_secrets", json=body, headers=owner)
        secret = ClientSecretCreateResponse.model_validate(response.json(), strict=True)
        holder = {"Authorization": f"Bearer {secret.value}"}
        session = (await client.post("/sessions", headers=holder)).json()["session_id"]
        assert guarded.services.call(session).session.config.instructions == "Be brief."
        error_of(await client.post("/v1/realtime/client_secrets", headers=holder), 401)


async def test_a_client_secret_for_a_session_that_cannot_be_is_refused(ready: RunningOrchestrator) -> None:
    async with http(ready) as client:
        for body, param in (
            ({"expires_after": {"seconds": 5}}, "expires_after.seconds"),
            ({"expires_after": "soon"}, "expires_after.seconds"),
            ({"session": "loud"}, "session"),
            ({"session": {"type": "realtime", "temperature": 9}}, "session.temperature"),
        ):
            assert error_of(await client.post("/v1/realtime/client_secrets", json=body), 400)["param"] == param


async def test_a_page_of_another_site_may_not_call(alone: RunningOrchestrator) -> None:
    async with http(alone) as client:
        stranger = await client.post("/sessions", json={}, headers={"Origin": "https://evil.example"})
        assert error_of(stranger, 403)["code"] == "forbidden"
        own = await client.post("/sessions", json={}, headers={"Origin": alone.url})
        assert own.status_code == 503, "let in, and Triton is missing"
        friend = await client.post("/sessions", json={}, headers={"Origin": "https://friend.example"})
        assert friend.status_code == 503
        assert friend.headers["access-control-allow-origin"] == "https://friend.example"
