"""A person asks, the agent calls a function of the client's, and speaks what came of it."""

import json
from collections.abc import Iterator

import pytest
from goassist_client.client import VoiceClient

from tests.end_to_end.conftest import ARTIFACTS, AUDIO
from tests.end_to_end.stack import Stack
from tests.servers.openai_server import OpenAiServer, run_openai_server

CLOCK = {
    "type": "function",
    "name": "get_time",
    "description": "What time it is in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
FUNCTION = {"name": "get_time", "arguments": '{"city":"Rome"}'}
CALL = {"index": 0, "id": "call_1", "type": "function", "function": FUNCTION}


@pytest.fixture
def model() -> Iterator[OpenAiServer]:
    with run_openai_server() as running:
        yield running


@pytest.fixture
def calling(model: OpenAiServer) -> Iterator[Stack]:
    running = Stack(ARTIFACTS / "goassist-up-functions.log", LLM_BASE_URL=model.url)
    yield running
    assert running.stop() == 0


async def test_a_spoken_question_calls_a_function_and_its_result_is_spoken(model: OpenAiServer, calling: Stack) -> None:
    model.words, model.calls, model.finish_reason = ["Let", " me", " see", "."], [CALL], "tool_calls"
    async with VoiceClient(calling.url) as client:
        client.send("session.update", session={"type": "realtime", "tools": [CLOCK]})
        updated = await client.wait_for("session.updated")
        assert [tool["name"] for tool in updated["session"]["tools"]] == ["get_time"]
        await client.say(AUDIO / "what_time_is_it.wav")
        called = await client.wait_for("response.function_call_arguments.done", timeout_s=30)
        assert (called["name"], json.loads(called["arguments"])) == ("get_time", {"city": "Rome"})
        first = await client.wait_for("response.done", after_s=called.at_s - 1)
        assert [item["type"] for item in first["response"]["output"]] == ["message", "function_call"]
        model.words, model.calls, model.finish_reason = ["It", " is", " noon", " in", " Rome", "."], [], "stop"
        output = {"type": "function_call_output", "call_id": called["call_id"], "output": '{"time": "12:00"}'}
        client.send("conversation.item.create", item=output)
        client.send("response.create")
        second = await client.wait_for(
            "response.done", where=lambda event: event["response"]["id"] != first["response"]["id"], timeout_s=30
        )
        (message,) = second["response"]["output"]
        assert message["content"][0]["transcript"] == "It is noon in Rome."
        spoken = await client.wait_for(
            "output_audio_buffer.started",
            where=lambda event: event["response_id"] == second["response"]["id"],
            timeout_s=30,
        )
        await client.wait_until_audible(after_s=spoken.at_s)
    assert "error" not in {event.type for event in client.events}
    question, called_it, result = model.requests[-1]["messages"][-3:]
    assert question["role"] == "user"
    assert called_it["tool_calls"][0]["function"]["name"] == "get_time"
    assert (result["role"], result["content"]) == ("tool", '{"time": "12:00"}')
    assert calling.metric("goassist_function_calls_total") == 1
