"""A server whose answers a test writes down: the HTTP call, a plain aiortc peer, and the events of a script.

It stands in for the orchestrator where the clients alone are tested; end to end they meet the real one.
`python -m tests.clients.scripted_server` serves the page too, prints its address and waits to be killed.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import uvicorn
from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from goassist_client.loopback import offer_loopback_too
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

FRAME = 960
PAGE = Path(__file__).parents[2] / "clients" / "browser"


class Voice(MediaStreamTrack):
    """The agent's track: samples of 48 kHz that the script says, silence otherwise."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._samples = np.zeros(0, np.int16)
        self._frames = 0
        self._started_at: float | None = None
        self._said: asyncio.Future[None] | None = None

    async def say(self, samples: np.ndarray) -> None:
        """Returns when the last sample was handed over."""
        self._samples = samples.astype(np.int16)
        self._said = asyncio.get_running_loop().create_future()
        await self._said

    async def recv(self) -> av.AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        now = asyncio.get_running_loop().time()
        self._started_at = self._started_at or now
        await asyncio.sleep(max(0.0, self._started_at + self._frames * 0.02 - now))
        samples, self._samples = self._samples[:FRAME], self._samples[FRAME:]
        if self._said is not None and len(self._samples) == 0:
            self._said.set_result(None)
            self._said = None
        frame = av.AudioFrame.from_ndarray(np.pad(samples, (0, FRAME - len(samples)))[np.newaxis], "s16", "mono")
        frame.sample_rate = 48_000
        frame.pts = self._frames * FRAME
        frame.time_base = Fraction(1, 48_000)
        self._frames += 1
        return frame


Script = Callable[["ScriptedCall", dict[str, Any]], Awaitable[None]]


class ScriptedCall:
    """One call; `script` is run for every client event."""

    def __init__(self, script: Script) -> None:
        self.received: list[dict[str, Any]] = []
        self.voice = Voice()
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._script = script
        self._channel: RTCDataChannel | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.peer.on("datachannel", self._opened)

    async def answer(self, offer_sdp: str) -> str:
        # aioice resolves a browser's .local names under a lock of the first event loop that did; the browser's own
        # checks reveal its address.
        named = [line for line in offer_sdp.splitlines() if not (line.startswith("a=candidate") and ".local" in line)]
        await self.peer.setRemoteDescription(RTCSessionDescription("\r\n".join([*named, ""]), "offer"))
        self.peer.addTrack(self.voice)
        offer_loopback_too(self.peer)
        await self.peer.setLocalDescription(await self.peer.createAnswer())
        return str(self.peer.localDescription.sdp)

    def send(self, event_type: str, **fields: Any) -> None:
        assert self._channel is not None
        self._channel.send(json.dumps({"type": event_type, "event_id": "event", **fields}))

    def _opened(self, channel: RTCDataChannel) -> None:
        self._channel = channel
        channel.on("message", self._message)
        self.send("session.created", session={"type": "realtime"})

    def _message(self, text: str) -> None:
        event = json.loads(text)
        self.received.append(event)
        task = asyncio.ensure_future(self._script(self, event))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class ScriptedServer:
    """`refusals` are answered to the first calls, in order: (status, body, headers)."""

    def __init__(self, script: Script) -> None:
        self.calls: list[ScriptedCall] = []
        self.hung_up: list[str] = []
        self.offers: list[Request] = []
        self.refusals: list[tuple[int, str, dict[str, str]]] = []
        self._script = script
        self._server = uvicorn.Server(
            uvicorn.Config(
                Starlette(
                    routes=[
                        Route("/v1/realtime/ice_servers", self._ice_servers),
                        Route("/v1/realtime/calls", self._call, methods=["POST"]),
                        Route("/v1/realtime/calls/{call_id}/hangup", self._hang_up, methods=["POST"]),
                        Mount("/", StaticFiles(directory=PAGE, html=True)),
                    ]
                ),
                host="127.0.0.1",
                port=0,
                log_level="warning",
            )
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator["ScriptedServer"]:
        serving = asyncio.ensure_future(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.01)
        yield self
        for call in self.calls:
            await call.peer.close()
        self._server.should_exit = True
        await serving

    async def _call(self, request: Request) -> Response:
        self.offers.append(request)
        if self.refusals:
            status, body, headers = self.refusals.pop(0)
            return Response(body, status, headers, media_type="application/json")
        form = await request.form()
        sdp = str(form["sdp"]) if form else (await request.body()).decode()
        call = ScriptedCall(self._script)
        self.calls.append(call)
        location = f"/v1/realtime/calls/rtc_{len(self.calls)}"
        return Response(await call.answer(sdp), 201, {"Location": location}, media_type="application/sdp")

    async def _ice_servers(self, request: Request) -> Response:
        return Response(json.dumps({"ice_servers": []}), media_type="application/json")

    async def _hang_up(self, request: Request) -> Response:
        self.hung_up.append(request.path_params["call_id"])
        return Response()


def tone(seconds: float, *, hz: float = 440.0, amplitude: float = 8000.0) -> np.ndarray:
    """A sine at 48 kHz."""
    time_s = np.arange(round(seconds * 48_000)) / 48_000
    return (amplitude * np.sin(2 * np.pi * hz * time_s)).astype(np.int16)


async def answer_typed(call: ScriptedCall, event: dict[str, Any]) -> None:
    """The script of an agent that answers each response.create with half a second of a tone."""
    if event["type"] != "response.create":
        return
    ids = {"response_id": "resp_1", "item_id": "item_1"}
    call.send("goassist.state", state="thinking", previous="idle", turn=1, at_ms=0)
    call.send("response.created", response={"id": "resp_1", "status": "in_progress"})
    call.send("output_audio_buffer.started", response_id="resp_1")
    call.send("goassist.state", state="speaking", previous="thinking", turn=1, at_ms=10)
    call.send("goassist.metrics", turn=1, response_id="resp_1", ttfa_ms=12.5, ttft_ms=None)
    for delta in ("A ", "tone."):
        call.send("response.output_audio_transcript.delta", delta=delta, **ids)
    call.send("response.done", response={"id": "resp_1", "status": "completed"})
    await call.voice.say(tone(0.5))
    call.send("output_audio_buffer.stopped", response_id="resp_1")


async def _serve_until_killed() -> None:
    async with ScriptedServer(answer_typed).running() as server:
        print(server.url, flush=True)  # noqa: T201 -- the address is the output
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve_until_killed())
