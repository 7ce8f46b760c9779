"""OpenAI's own client and a stock WebRTC peer make calls."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import openai
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from openai import AsyncOpenAI

from tests.servers.openai_server import run_openai_server
from tests.servers.orchestrator import RunningOrchestrator, run_orchestrator
from tests.servers.triton import RunningTriton

TIMEOUT_S = 20


class Browser:
    """A stock aiortc peer with the data channel `oai-events`."""

    def __init__(self) -> None:
        self.peer = RTCPeerConnection()
        self.peer.addTransceiver("audio")
        self.channel = self.peer.createDataChannel("oai-events")
        self.received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.closed = asyncio.Event()
        self.channel.on("message", lambda text: self.received.put_nowait(json.loads(text)))
        self.channel.on("close", self.closed.set)

    async def offer(self) -> str:
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return str(self.peer.localDescription.sdp)

    async def accept(self, answer: str) -> None:
        await self.peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    def send(self, kind: str, **fields: Any) -> None:
        self.channel.send(json.dumps({"type": kind, **fields}))

    async def next(self, kind: str) -> dict[str, Any]:
        async with asyncio.timeout(TIMEOUT_S):
            while (event := await self.received.get())["type"] != kind:
                pass
        return event


@asynccontextmanager
async def a_browser() -> AsyncIterator[Browser]:
    browser = Browser()
    try:
        yield browser
    finally:
        await browser.peer.close()


async def test_openais_client_opens_a_call_with_a_session_and_hangs_up(
    openai_client: AsyncOpenAI, running: RunningOrchestrator
) -> None:
    async with a_browser() as browser:
        call = await openai_client.realtime.calls.create(
            sdp=await browser.offer(), session={"type": "realtime", "instructions": "Be brief."}
        )
        assert call.response.status_code == 201
        assert call.response.headers["content-type"].startswith("application/sdp")
        location = call.response.headers["location"]
        await browser.accept(call.text)
        created = await browser.next("session.created")
        assert created["session"]["instructions"] == "Be brief."
        assert location == f"/v1/realtime/calls/{created['session']['id']}"
        await openai_client.realtime.calls.hangup(created["session"]["id"])
        async with asyncio.timeout(TIMEOUT_S):
            await browser.closed.wait()
        assert len(running.services.registry) == 0
        with pytest.raises(openai.NotFoundError):
            await openai_client.realtime.calls.hangup(created["session"]["id"])


async def test_a_call_whose_session_has_tools_begins_without_them_and_says_so(running: RunningOrchestrator) -> None:
    tool = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
    async with a_browser() as browser, httpx.AsyncClient(base_url=running.url, trust_env=False) as http:
        session = json.dumps({"type": "realtime", "instructions": "Be brief.", "tools": [tool]})
        form = {"sdp": (None, await browser.offer()), "session": (None, session)}
        response = await http.post("/v1/realtime/calls", files=form)
        assert response.status_code == 201
        await browser.accept(response.text)
        created = await browser.next("session.created")
        assert (created["session"]["instructions"], created["session"]["tools"]) == ("Be brief.", [])
        assert (await browser.next("goassist.notice"))["param"] == "session.tools"
        await http.delete(response.headers["Location"])


async def test_a_raw_offer_is_answered_and_typed_words_are_spoken_to(running: RunningOrchestrator) -> None:
    async with a_browser() as browser, httpx.AsyncClient(base_url=running.url, trust_env=False) as http:
        response = await http.post(
            "/v1/realtime/calls", content=await browser.offer(), headers={"Content-Type": "application/sdp"}
        )
        assert response.status_code == 201
        await browser.accept(response.text)
        await browser.next("session.created")
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "What is your name?"}]}
        browser.send("conversation.item.create", item=item)
        browser.send("response.create")
        await browser.next("output_audio_buffer.started")
        done = await browser.next("response.output_audio_transcript.done")
        assert "goassist" in done["transcript"].lower()
        browser.send("no.such.event", event_id="mine")
        assert (await browser.next("error"))["error"]["event_id"] == "mine"
        await browser.next("output_audio_buffer.stopped")
        assert (await http.delete(response.headers["Location"])).status_code == 200


async def test_a_call_can_be_without_the_extensions(running: RunningOrchestrator) -> None:
    async with a_browser() as browser, httpx.AsyncClient(base_url=running.url, trust_env=False) as http:
        response = await http.post(
            "/v1/realtime/calls?goassist_events=off",
            content=await browser.offer(),
            headers={"Content-Type": "application/sdp"},
        )
        await browser.accept(response.text)
        types = [(await browser.next("session.created"))["type"]]
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "What is your name?"}]}
        browser.send("conversation.item.create", item=item)
        browser.send("response.create")
        async with asyncio.timeout(TIMEOUT_S):
            while types[-1] != "output_audio_buffer.stopped":
                types.append((await browser.received.get())["type"])
        assert not [kind for kind in types if kind.startswith("goassist.")]
        assert "response.done" in types
        await http.delete(response.headers["Location"])


async def test_a_session_is_connected_later_and_chats_aloud(running: RunningOrchestrator) -> None:
    async with a_browser() as browser, httpx.AsyncClient(base_url=running.url, trust_env=False, timeout=30) as http:
        session = (await http.post("/sessions")).json()["session_id"]
        first = await http.post(f"/sessions/{session}/chat", json={"message": "My favourite colour is blue."})
        assert first.status_code == 200
        refused = await http.post(f"/sessions/{session}/ice-candidate", json={"candidate": "candidate:1"})
        assert refused.status_code == 400
        answer = await http.post(f"/sessions/{session}/offer", json={"sdp": await browser.offer()})
        assert answer.json()["type"] == "answer"
        await browser.accept(answer.json()["sdp"])
        await browser.next("session.created")
        candidate = "candidate:1 1 udp 2130706431 127.0.0.1 9 typ host"
        added = await http.post(
            f"/sessions/{session}/ice-candidate", json={"candidate": candidate, "sdpMid": "0", "sdpMLineIndex": 0}
        )
        assert added.json() == {"status": "ok"}
        spoken = await http.post(f"/sessions/{session}/chat", json={"message": "What is your name?"})
        assert "goassist" in spoken.json()["response"].lower()
        await browser.next("output_audio_buffer.started")
        busy = await http.post(f"/sessions/{session}/chat", json={"message": "And yours?"})
        assert busy.status_code == 400
        items = [item.role for item in running.services.call(session).session.history]
        assert items == ["user", "assistant", "user", "assistant"]
        await http.delete(f"/sessions/{session}")


async def test_a_chat_without_a_connection_offers_no_functions_that_nobody_would_run(triton: RunningTriton) -> None:
    tool = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
    with run_openai_server() as llm:
        async with (
            run_orchestrator(triton_url=triton.grpc_url, llm_base_url=llm.url) as running,
            httpx.AsyncClient(base_url=running.url, trust_env=False, timeout=30) as http,
            a_browser() as browser,
        ):
            session = {"type": "realtime", "tools": [tool]}
            name = (await http.post("/sessions", json={"session": session})).json()["session_id"]
            answer = await http.post(f"/sessions/{name}/chat", json={"message": "What time is it?"})
            assert answer.json()["response"] == "It is five."
            assert "tools" not in llm.requests[-1]
            offered = await http.post(f"/sessions/{name}/offer", json={"sdp": await browser.offer()})
            await browser.accept(offered.json()["sdp"])
            await browser.next("session.created")
            await http.post(f"/sessions/{name}/chat", json={"message": "And now?"})
            assert [each["function"]["name"] for each in llm.requests[-1]["tools"]] == ["weather"]
            await http.delete(f"/sessions/{name}")


async def test_a_refused_offer_leaves_no_session_and_no_task(running: RunningOrchestrator) -> None:
    before = len(asyncio.all_tasks())
    async with httpx.AsyncClient(base_url=running.url, trust_env=False) as http:
        for _ in range(3):
            response = await http.post(
                "/v1/realtime/calls", content=b"v=0\r\nnonsense", headers={"Content-Type": "application/sdp"}
            )
            assert response.status_code == 400
    assert len(running.services.registry) == 0
    async with asyncio.timeout(5):
        while len(asyncio.all_tasks()) > before:
            await asyncio.sleep(0.05)


async def test_a_silent_call_is_told_why_it_ends(triton: RunningTriton) -> None:
    async with (
        run_orchestrator(triton_url=triton.grpc_url, session_idle_timeout_s=1) as running,
        a_browser() as browser,
    ):
        async with httpx.AsyncClient(base_url=running.url, trust_env=False) as http:
            response = await http.post(
                "/v1/realtime/calls", content=await browser.offer(), headers={"Content-Type": "application/sdp"}
            )
        await browser.accept(response.text)
        call_id = (await browser.next("session.created"))["session"]["id"]
        assert (await browser.next("error"))["error"]["code"] == "session_idle_timeout"
        async with asyncio.timeout(TIMEOUT_S):
            await browser.closed.wait()
            await running.services.registry.ended(call_id)
        assert len(running.services.registry) == 0
