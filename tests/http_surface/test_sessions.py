"""Sessions that are made over HTTP and written to, and the language model's template that renders what is written."""

from pathlib import Path

import pytest

from orchestrator.errors import ConfigurationError
from tests.http_surface.client import error_of, http
from tests.http_surface.conftest import NO_TRITON
from tests.servers.orchestrator import RunningOrchestrator, run_orchestrator
from tests.servers.triton import RunningTriton
from tests.triton.test_prompt import model_folder

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
