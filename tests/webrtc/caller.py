"""A caller: stock aiortc on loopback, with a tone as its microphone and ears of its own."""

import asyncio
import fractions
import random
import time
from collections.abc import Callable
from typing import Any

import av
import numpy as np
from aiortc import MediaStreamTrack, RTCDataChannel, RTCPeerConnection, RTCRtpTransceiver, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from orchestrator.webrtc import aiortc_internals
from orchestrator.webrtc.peer import Peer
from orchestrator.webrtc.plane import MediaPlane
from orchestrator.webrtc.playout import Playout
from tests.webrtc.sound import samples, tone

HOST = "127.0.0.1"
PITCH_HZ = 440


class Microphone(MediaStreamTrack):
    """A tone without an end, in real time."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.frames = 0
        self._began = 0.0

    async def recv(self) -> av.AudioFrame:
        if not self.frames:
            self._began = time.monotonic()
        await asyncio.sleep(max(0.0, self._began + 0.02 * self.frames - time.monotonic()))
        sound = samples(tone(PITCH_HZ, 0.02, 48000, start_s=0.02 * self.frames)).astype("<i2")
        frame = av.AudioFrame.from_ndarray(sound[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, 960 * self.frames, fractions.Fraction(1, 48000)
        self.frames += 1
        return frame


class Network:
    """Stands between a caller's ICE and its socket: what it does to outgoing datagrams is its `fate`."""

    def __init__(self, transport: Any, fate: Callable[["Network", bytes, Any], None]) -> None:
        self._transport = transport
        self._fate = fate
        self.chance = random.Random(5)
        self.held: list[tuple[bytes, Any]] = []
        self.sent = 0  # packets of sound, whatever became of them

    def sendto(self, data: bytes, address: Any) -> None:
        self.sent += is_rtp(data)
        self._fate(self, data, address)

    def forward(self, data: bytes, address: Any) -> None:
        if not self._transport.is_closing():
            self._transport.sendto(data, address)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def is_rtp(data: bytes) -> bool:
    return 127 < data[0] < 192 and not 191 < data[1] < 224


class Caller:
    """The client's side. `direction` None leaves the audio section out."""

    def __init__(self, *, direction: str | None = "sendrecv", channel: str | None = "oai-events") -> None:
        self.connection = RTCPeerConnection()
        self.microphone = Microphone()
        self.heard: list[np.ndarray] = []
        self.messages: list[str] = []
        self.channel: RTCDataChannel | None = None
        self.audio: RTCRtpTransceiver | None = None
        self._listening: asyncio.Task[None] | None = None
        self.connection.on("track", self._track)
        self.connection.on("datachannel", self._use)
        if direction:
            self.audio = self.connection.addTransceiver(self.microphone, direction=direction)
        if channel:
            self._use(self.connection.createDataChannel(channel))

    @property
    def sound(self) -> np.ndarray:
        """What was heard so far, mono at 48 kHz."""
        return np.concatenate([np.zeros(0), *self.heard])

    async def offer(self) -> str:
        for dtls in aiortc_internals.dtls_transports(self.connection):
            aiortc_internals.listen_on(dtls, [HOST])
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    async def accept(self, answer: str) -> None:
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    def put_behind(self, fate: Callable[[Network, bytes, Any], None]) -> Network:
        """Let a network decide on everything that is sent from now on."""
        (dtls,) = aiortc_internals.dtls_transports(self.connection)
        (protocol,) = dtls.transport._connection._protocols
        network = Network(protocol.transport, fate)
        protocol.transport = network  # type: ignore[assignment]
        return network

    async def close(self) -> None:
        await self.connection.close()
        if self._listening:
            await self._listening

    def _use(self, channel: RTCDataChannel) -> None:
        self.channel = channel
        channel.on("message", self.messages.append)

    def _track(self, track: MediaStreamTrack) -> None:
        self._listening = asyncio.ensure_future(self._listen(track))

    async def _listen(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.AudioFrame)
                self.heard.append(frame.to_ndarray().reshape(-1)[:: len(frame.layout.channels)].astype(np.float64))
        except MediaStreamError:
            return


class Callee:
    """The server's side: a peer, its playout, and everything that it was told."""

    def __init__(self, plane: MediaPlane | None = None) -> None:
        self.log: list[str] = []
        self.heard = bytearray()
        self.messages: list[str] = []
        self.playout = Playout(
            on_started=lambda turn: self._note(f"started {turn}"),
            on_finished=lambda turn: self._note(f"finished {turn}"),
        )
        self.plane = plane or MediaPlane(hosts=[HOST])
        self.peer = Peer(self, plane=self.plane, playout=self.playout)
        self._changed = asyncio.Event()

    def say(self, frequency: float, seconds: float, sample_rate: int = 24000) -> None:
        self.playout.begin(1)
        self.playout.write(tone(frequency, seconds, sample_rate), sample_rate)
        self.playout.end()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something that the peer reports makes `condition` true."""
        async with asyncio.timeout(15):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def hears_more(self, by_s: float = 0.1) -> None:
        """Wait until so much further sound has come."""
        before = self.heard_s
        await self.until(lambda: self.heard_s > before + by_s)

    def connected(self) -> None:
        self._note("connected")

    def events_open(self) -> None:
        self._note("events open")

    def connection_lost(self, reason: str) -> None:
        self._note(reason)

    def message_received(self, text: str) -> None:
        self.messages.append(text)
        self._changed.set()

    def audio_received(self, pcm16_16k: bytes) -> None:
        self.heard += pcm16_16k
        self._changed.set()

    @property
    def heard_s(self) -> float:
        return len(self.heard) / 32000

    def _note(self, event: str) -> None:
        self.log.append(event)
        self._changed.set()


async def connect(caller: Caller, callee: Callee) -> None:
    """Offer, answer, and wait for the connection, and for the events channel where there is one."""
    await caller.accept(await callee.peer.answer(await caller.offer()))
    await callee.until(lambda: "connected" in callee.log)
    channel = caller.channel
    if channel and channel.label == "oai-events":
        await callee.until(lambda: "events open" in callee.log)
        await eventually(lambda: channel.readyState == "open")


async def hang_up(caller: Caller, callee: Callee) -> None:
    await callee.peer.close()
    await caller.close()


async def eventually(condition: Callable[[], bool], *, within_s: float = 10.0) -> None:
    """Wait for what nothing reports."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.02)
