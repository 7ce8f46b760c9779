"""One caller of a benchmark: a WebRTC call measured at its RTP packets, for about 2 ms of CPU a second.

It sends and receives below aiortc, so that 50 callers fit beside the server on two cores. It is neutral: it talks to
any server that answers the OpenAI Realtime API's `POST /v1/realtime/calls`, or `POST /offer` with JSON {sdp, type} as
pipecat's examples do. Times are seconds of the monotonic clock.
"""

import asyncio
import random
import time
from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from operator import attrgetter

import httpx
import numpy as np
from aiortc import RTCPeerConnection, RTCSessionDescription

from benchmarks.speech import Utterance
from orchestrator.webrtc import aiortc_internals, rtp
from orchestrator.webrtc.opus import Decoder

FRAME_UNITS = 960
LOUD_RMS = 500.0
GAP_S = 0.060
HOLE_UNITS = int(GAP_S * rtp.CLOCK_RATE)
ANSWER_UNITS = int(0.4 * rtp.CLOCK_RATE)  # after so much quiet another answer begins
CONNECT_TIMEOUT_S = 20.0


@dataclass(slots=True)
class Heard:
    """One packet of the agent: when it came and how loud it is."""

    at_s: float
    rms: float


class Network:
    """What the network does to the caller's packets: it loses this share of them."""

    def __init__(self, loss: float, seed: int) -> None:
        self._loss = loss
        self._random = random.Random(seed)

    def loses(self) -> bool:
        """Whether the next packet is lost."""
        return self._loss > 0 and self._random.random() < self._loss


class Caller:
    """Connect, then call `tick` every 20 ms; say things, and ask when the agent was loud.

    A caller with a sound of its own gives the next 20 ms as an Opus payload (`microphone`, in place of `say`) and takes
    the agent's packets undecoded with their time of arrival (`on_packet`). `on_event` takes what comes on `channel`.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        url: str,
        *,
        api: str = "realtime",
        silence: list[bytes],
        network: Network,
        microphone: Callable[[], bytes] | None = None,
        on_packet: Callable[[float, rtp.RtpPacket], None] | None = None,
        on_event: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.heard: list[Heard] = []
        self.gaps = 0  # over 60 ms went by until the next loud packet came
        # Over 60 ms lie between two loud packets of an answer by their timestamps: its sound was late in the server,
        # which filled in silence.
        self.holes = 0
        self.drop_next = 0
        self.onset_s = self.end_s = 0.0
        self._http, self._url, self._api = http, url, api
        self._silence, self._network, self._clock = silence, network, clock
        self._microphone, self._on_packet, self._on_event = microphone or self._next_payload, on_packet, on_event
        self._decoder = Decoder(8_000)
        self._connection = RTCPeerConnection()
        self.channel = self._connection.createDataChannel("oai-events")
        self._media: aiortc_internals.MediaTransport | None = None
        self._location: str | None = None
        self._said: Utterance | None = None
        self._position = 0
        self._finished: asyncio.Future[None] | None = None
        self._changed = asyncio.Event()
        self._ticks = 0
        self._sequence = random.getrandbits(15)
        self._payload_type = self._source = 0
        self._last_loud: tuple[float, int] | None = None  # when it came, and its timestamp
        self._undisturbed = False  # the caller has not spoken since the answer began

    async def connect(self) -> float:
        """Call the server; returns how long it took, in seconds."""
        transceiver = self._connection.addTransceiver("audio", direction="sendrecv")
        opened = asyncio.Event()
        self.channel.on("open", opened.set)
        if self._on_event is not None:
            self.channel.on("message", self._on_event)
        await self._connection.setLocalDescription(await self._connection.createOffer())
        began = self._clock()
        answer = await self._signal(self._connection.localDescription.sdp)
        aiortc_internals.take_over_audio(transceiver)
        await self._connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        if self._api == "realtime":
            await asyncio.wait_for(opened.wait(), CONNECT_TIMEOUT_S)
        else:
            await self._until_connected()
        took = self._clock() - began
        self._payload_type = aiortc_internals.opus_payload_type(transceiver)
        self._source = transceiver.sender._ssrc
        (dtls,) = aiortc_internals.dtls_transports(self._connection)
        self._media = aiortc_internals.MediaTransport(dtls, rtp_received=self._received, rtcp_received=lambda _: None)
        return took

    async def hang_up(self) -> None:
        """End the call on both sides."""
        if self._location is not None:
            await self._http.post(f"{self._url}{self._location}/hangup")
        await asyncio.wait_for(self._connection.close(), 5)

    def tick(self) -> None:
        """Send the next 20 ms."""
        if self._media is None:
            return
        payload = self._microphone()
        header = rtp.header(
            self._payload_type,
            self._sequence + self._ticks & 0xFFFF,
            self._ticks * FRAME_UNITS & 0xFFFFFFFF,
            self._source,
            marker=False,
        )
        self._ticks += 1
        if self.drop_next:
            self.drop_next -= 1
        elif not self._network.loses():
            self._media.send_rtp(header + payload)

    async def say(self, said: Utterance) -> None:
        """Speak; returns when the last frame of speech was handed to the network."""
        self._said, self._position = said, 0
        self._finished = asyncio.get_running_loop().create_future()
        await self._finished

    async def loud_after(self, since_s: float, *, timeout_s: float = 10.0) -> float | None:
        """When the agent's first loud packet after `since_s` came; None if none does."""
        deadline = self._clock() + timeout_s
        while True:
            found = next((each.at_s for each in self._since(since_s) if each.rms > LOUD_RMS), None)
            if found is not None or not await self._changes(deadline):
                return found

    async def quiet(self, for_s: float, *, timeout_s: float = 25.0) -> bool:
        """Wait until the agent has been quiet for that long."""
        deadline = self._clock() + timeout_s
        while self._clock() - self.last_loud_s() < for_s:
            if not await self._changes(deadline):
                return False
        return True

    def last_loud_s(self) -> float:
        """When the agent's last loud packet came; 0 without one."""
        return next((each.at_s for each in reversed(self.heard) if each.rms > LOUD_RMS), 0.0)

    def silent_after(self, onset_s: float) -> float:
        """The agent's last loud packet after `onset_s` before at least 200 ms of quiet."""
        last = onset_s
        for each in self._since(onset_s):
            if each.rms > LOUD_RMS:
                if each.at_s - last > 0.2:
                    break
                last = each.at_s
        return last

    def _since(self, since_s: float) -> list[Heard]:
        return self.heard[bisect_right(self.heard, since_s, key=attrgetter("at_s")) :]

    async def _changes(self, deadline: float) -> bool:
        """Wait for the next packet, or 50 ms, since silence is measured too; False past the deadline."""
        self._changed.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), 0.05)
        return self._clock() < deadline

    async def _until_connected(self) -> None:
        connected = asyncio.Event()

        def changed() -> None:
            if self._connection.connectionState == "connected":
                connected.set()

        self._connection.on("connectionstatechange", changed)
        changed()
        await asyncio.wait_for(connected.wait(), CONNECT_TIMEOUT_S)

    async def _signal(self, offer: str) -> str:
        if self._api == "offer":
            answer = await self._http.post(f"{self._url}/offer", json={"sdp": offer, "type": "offer"})
            answer.raise_for_status()
            return str(answer.json()["sdp"])
        headers = {"Content-Type": "application/sdp"}
        answer = await self._http.post(f"{self._url}/v1/realtime/calls", content=offer, headers=headers)
        answer.raise_for_status()
        self._location = answer.headers["Location"]
        return answer.text

    def _next_payload(self) -> bytes:
        said = self._said
        if said is None:
            return self._silence[self._ticks % len(self._silence)]
        if self._position == 0:
            self.onset_s = self._clock() - 0.02  # its samples began 20 ms before they are handed over
            self._undisturbed = False
        payload = said.payloads[self._position]
        self._position += 1
        if self._position == said.speech_frames:
            self.end_s = self._clock()
            if self._finished is not None:
                self._finished.set_result(None)
        if self._position == len(said.payloads):
            self._said = None
        return payload

    def _received(self, packet: bytes) -> None:
        now = self._clock()
        parsed = rtp.parse(packet)
        if not parsed.payload:
            return
        if self._on_packet is not None:
            self._on_packet(now, parsed)
            return
        samples = np.frombuffer(self._decoder.decode(parsed.payload), "<i2").astype(np.float32)
        rms = float(np.sqrt(samples @ samples / max(1, samples.size)))
        if rms > LOUD_RMS:
            self._loud(now, parsed.timestamp)
        self.heard.append(Heard(now, rms))
        self._changed.set()

    def _loud(self, at_s: float, timestamp: int) -> None:
        """Count what was missing before this packet, where it belongs to the same answer as the one before."""
        before, self._last_loud = self._last_loud, (at_s, timestamp)
        units = ANSWER_UNITS if before is None else (timestamp - before[1]) & 0xFFFFFFFF
        if before is None or units >= ANSWER_UNITS:
            self._undisturbed = self.end_s >= self.onset_s
            return
        if units > HOLE_UNITS:
            self.holes += self._undisturbed  # what the caller says makes the agent pause
        if at_s - before[0] > GAP_S + (units - FRAME_UNITS) / rtp.CLOCK_RATE:
            self.gaps += 1
