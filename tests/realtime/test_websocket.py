"""OpenAI's own client holds a conversation over the WebSocket."""

import asyncio
import base64
import json
import logging
import wave
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import websockets
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

from orchestrator.realtime.call import Call
from orchestrator.realtime.websocket import MAX_WAITING_EVENTS
from orchestrator.webrtc.resample import Resampler
from tests.end_to_end.conftest import AUDIO
from tests.servers.openai_server import run_openai_server
from tests.servers.orchestrator import RunningOrchestrator, run_orchestrator
from tests.servers.triton import RunningTriton

TIMEOUT_S = 30


def spoken(name: str, *, silence_s: float = 1.5) -> list[str]:
    """A recording and the silence after it, as base64 pieces of 100 ms at 24 kHz."""
    with wave.open(str(AUDIO / name)) as recording:
        resampler = Resampler(recording.getframerate(), 24_000)
        pcm16 = resampler.push(recording.readframes(recording.getnframes())) + resampler.flush()
    pcm16 += bytes(2 * int(24_000 * silence_s))
    return [base64.b64encode(pcm16[at : at + 4800]).decode() for at in range(0, len(pcm16), 4800)]


async def until(
    connection: AsyncRealtimeConnection, kind: str, *, where: Callable[[Any], bool] = lambda event: True
) -> list[Any]:
    """All events up to the first of that type for which `where` holds."""
    events = []
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            events.append(await connection.recv())
            if events[-1].type == kind and where(events[-1]):
                return events


async def test_a_question_is_heard_and_answered_with_sound(openai_client: AsyncOpenAI) -> None:
    async with openai_client.realtime.connect(model="goassist") as connection:
        created = await connection.recv()
        assert created.type == "session.created"
        for piece in spoken("what_is_your_name.wav"):
            await connection.input_audio_buffer.append(audio=piece)
        events = await until(connection, "response.done")
        by_type = {event.type: event for event in events}
        transcript = by_type["conversation.item.input_audio_transcription.completed"].transcript
        assert "your name" in transcript.lower()
        assert "goassist" in by_type["response.output_audio_transcript.done"].transcript.lower()
        sound = b"".join(base64.b64decode(e.delta) for e in events if e.type == "response.output_audio.delta")
        samples = np.frombuffer(sound, "<i2").astype(float)
        assert len(samples) > 24_000
        assert np.sqrt(np.mean(samples**2)) > 300
        assert not [event.type for event in events if event.type.startswith("output_audio_buffer")]


async def test_speech_interrupts_and_the_client_says_how_much_it_had_played(openai_client: AsyncOpenAI) -> None:
    async with openai_client.realtime.connect(model="goassist") as connection:
        story = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Tell me a story."}]}
        await connection.conversation.item.create(item=story)  # type: ignore[arg-type]
        await connection.response.create()
        speaking = await until(connection, "goassist.state", where=lambda event: event.state == "speaking")
        item_id = next(event.item.id for event in speaking if event.type == "response.output_item.added")
        for piece in spoken("what_time_is_it.wav"):
            await connection.input_audio_buffer.append(audio=piece)
        await until(connection, "conversation.item.truncated")
        await connection.conversation.item.truncate(item_id=item_id, content_index=0, audio_end_ms=0)
        again = (await until(connection, "conversation.item.truncated"))[-1]
        assert (again.item_id, again.audio_end_ms) == (item_id, 0)


async def test_push_to_talk_answers_when_it_is_asked_to(openai_client: AsyncOpenAI) -> None:
    async with openai_client.realtime.connect(model="goassist") as connection:
        await connection.session.update(
            session={"type": "realtime", "output_modalities": ["text"], "audio": {"input": {"turn_detection": None}}}
        )
        await until(connection, "session.updated")
        for piece in spoken("what_is_your_name.wav", silence_s=0.3):
            await connection.input_audio_buffer.append(audio=piece)
        await connection.input_audio_buffer.commit()
        await connection.response.create()
        events = await until(connection, "response.done")
        types = [event.type for event in events]
        assert types.index("input_audio_buffer.committed") < types.index("response.created")
        assert "goassist" in events[-1].response.output[0].content[0].text.lower()


async def test_a_function_is_called_run_and_answered_with(triton: RunningTriton) -> None:
    tool = {"type": "function", "name": "get_temperature", "parameters": {"type": "object", "properties": {}}}
    question = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "How warm is it?"}]}
    made = {"index": 0, "id": "call_1", "function": {"name": "get_temperature", "arguments": '{"city": "Paris"}'}}
    with run_openai_server() as llm:
        llm.words, llm.calls = ["Let me", " see."], [made]
        async with (
            run_orchestrator(triton_url=triton.grpc_url, llm_base_url=llm.url) as running,
            AsyncOpenAI(websocket_base_url=running.url.replace("http", "ws") + "/v1", api_key="none") as client,
            client.realtime.connect(model="goassist") as connection,
        ):
            await connection.session.update(session={"type": "realtime", "tools": [tool]})  # type: ignore[list-item]
            await connection.conversation.item.create(item=question)  # type: ignore[arg-type]
            await connection.response.create()
            call = (await until(connection, "response.function_call_arguments.done"))[-1]
            assert (call.name, json.loads(call.arguments), call.output_index) == (
                "get_temperature", {"city": "Paris"}, 1,
            )  # fmt: skip
            llm.words, llm.calls = ["21", " degrees."], []
            # As most clients do, as soon as they know of the call.
            await connection.conversation.item.create(
                item={"type": "function_call_output", "call_id": call.call_id, "output": "21"}
            )
            await connection.response.create()
            first = (await until(connection, "response.done"))[-1].response
            assert [item.type for item in first.output] == ["message", "function_call"]
            events = await until(connection, "response.done")
            assert "error" not in [event.type for event in events]
            assert events[-1].response.output[0].content[0].transcript == "21 degrees."
            told = [message for message in llm.requests[-1]["messages"] if message["role"] == "tool"]
            assert [(each["tool_call_id"], each["content"]) for each in told] == [(call.call_id, "21")]


async def test_a_message_that_is_no_event_is_answered_and_the_call_goes_on(running: RunningOrchestrator) -> None:
    async with websockets.connect(running.url.replace("http", "ws") + "/v1/realtime") as socket:
        assert json.loads(await socket.recv())["type"] == "session.created"
        for message in ("nonsense", b"\xff\xfe", "{}", ""):
            await socket.send(message)
            assert json.loads(await socket.recv())["type"] == "error"
        await socket.send('{"type": "session.update", "session": {"type": "realtime"}}')
        assert json.loads(await socket.recv())["type"] == "session.updated"


async def test_a_closed_socket_ends_the_call_and_an_ended_call_closes_the_socket(running: RunningOrchestrator) -> None:
    address = running.url.replace("http", "ws") + "/v1/realtime"
    async with websockets.connect(address, subprotocols=[websockets.Subprotocol("realtime")]) as socket:
        assert socket.subprotocol == "realtime"
        call_id = json.loads(await socket.recv())["session"]["id"]
    async with asyncio.timeout(5):
        await running.services.registry.ended(call_id)
    async with websockets.connect(address) as socket:
        call_id = json.loads(await socket.recv())["session"]["id"]
        running.services.call(call_id).close("Enough.")
        async with asyncio.timeout(5):
            await socket.wait_closed()
        assert (socket.close_code, socket.close_reason) == (1000, "Enough.")
    assert len(running.services.registry) == 0


async def test_a_call_whose_connection_fails_gives_its_place_back_and_the_reason_to_the_log(
    running: RunningOrchestrator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(call: Call) -> None:
        raise LookupError("what nobody has thought of")

    monkeypatch.setattr(Call, "caught_up", fail)
    async with websockets.connect(running.url.replace("http", "ws") + "/v1/realtime") as socket:
        call_id = json.loads(await socket.recv())["session"]["id"]
        await socket.send("{}")
        async with asyncio.timeout(5):
            await socket.wait_closed()
            await running.services.registry.ended(call_id)
    assert len(running.services.registry) == 0
    traces = [
        record.exc_text or logging.Formatter().formatException(record.exc_info)
        for record in caplog.records
        if record.exc_info
    ]
    assert any("what nobody has thought of" in trace for trace in traces)


async def test_a_client_can_turn_the_extensions_off(running: RunningOrchestrator) -> None:
    address = running.url.replace("http", "ws") + "/v1/realtime"
    # pipecat appends its model to whatever address it is given.
    async with websockets.connect(f"{address}?goassist_events=off&?model=gpt-realtime") as socket:
        session = {"type": "realtime", "output_modalities": ["text"]}
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "What is your name?"}]}
        for event in (
            {"type": "session.update", "session": session},
            {"type": "conversation.item.create", "item": item},
            {"type": "response.create"},
        ):
            await socket.send(json.dumps(event))
        types = []
        async with asyncio.timeout(TIMEOUT_S):
            while not types or types[-1] != "response.done":
                types.append(json.loads(await socket.recv())["type"])
    assert not [kind for kind in types if kind.startswith("goassist.")]


@pytest.mark.parametrize(
    ("query", "param"),
    [("call_id=rtc_1", "call_id"), ("intent=transcription", "intent"), ("goassist_events=no", "goassist_events")],
)
async def test_what_an_address_asks_for_and_cannot_be_had_is_refused(
    running: RunningOrchestrator, query: str, param: str
) -> None:
    with pytest.raises(websockets.InvalidStatus) as caught:
        await websockets.connect(running.url.replace("http", "ws") + f"/v1/realtime?{query}")
    assert caught.value.response.status_code == 400
    assert json.loads(caught.value.response.body or b"")["error"]["param"] == param
    assert len(running.services.registry) == 0


async def test_a_client_that_reads_nothing_is_let_go(running: RunningOrchestrator) -> None:
    async with websockets.connect(running.url.replace("http", "ws") + "/v1/realtime", max_queue=1) as socket:
        (call,) = running.services.registry
        long = json.dumps({"type": "session.update", "session": {"type": "realtime", "instructions": "x" * 4000}})
        async with asyncio.timeout(TIMEOUT_S):
            while call.close_reason is None:
                for _ in range(MAX_WAITING_EVENTS):
                    call.message_received(long)
                await asyncio.sleep(0)
        assert "does not read" in call.close_reason
        async with asyncio.timeout(TIMEOUT_S):
            await running.services.registry.ended(call.id)
        socket.transport.abort()


@pytest.mark.parametrize(
    ("options", "headers", "status", "code"),
    [
        ({"api_key": "the-servers-key"}, {}, 401, "invalid_api_key"),
        ({}, {"Origin": "https://evil.example"}, 403, "forbidden"),
        ({"triton_url": "127.0.0.1:1"}, {}, 503, "backend_unavailable"),
    ],
)
async def test_a_refusal_is_an_http_answer_that_says_why(
    triton: RunningTriton, options: dict[str, Any], headers: dict[str, str], status: int, code: str
) -> None:
    async with run_orchestrator(**{"triton_url": triton.grpc_url, **options}) as running:
        with pytest.raises(websockets.InvalidStatus) as caught:
            await websockets.connect(running.url.replace("http", "ws") + "/v1/realtime", additional_headers=headers)
        response = caught.value.response
        assert response.status_code == status
        assert json.loads(response.body or b"")["error"]["code"] == code
        assert ("Retry-After" in response.headers) == (status == 503)


async def test_a_browser_sends_its_key_as_a_subprotocol(triton: RunningTriton) -> None:
    async with run_orchestrator(triton_url=triton.grpc_url, api_key="the-servers-key") as running:
        protocols = [websockets.Subprotocol(name) for name in ("realtime", "openai-insecure-api-key.the-servers-key")]
        async with websockets.connect(running.url.replace("http", "ws") + "/v1/realtime", subprotocols=protocols) as ws:
            assert ws.subprotocol == "realtime"
            assert json.loads(await ws.recv())["type"] == "session.created"
