"""What the media plane costs: CPU per session-second with N WebRTC calls that hear and speak all the time.

    python -m benchmarks.media -n 50 --seconds 20 [--loop asyncio] [--profile]

The calls' clients run in a second process, on another core where there is one. Prints one JSON object. No model and no
voice detection runs: only ICE, DTLS, SRTP, Opus both ways, pacing, and reports.
"""

import argparse
import asyncio
import cProfile
import gc
import json
import multiprocessing
import os
import pstats
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import uvloop
from aiortc import RTCPeerConnection, RTCSessionDescription

from orchestrator.webrtc import aiortc_internals, rtp
from orchestrator.webrtc.opus import Encoder
from orchestrator.webrtc.peer import Peer
from orchestrator.webrtc.plane import MediaPlane
from orchestrator.webrtc.playout import Playout
from orchestrator.webrtc.ticker import Ticker

HOST = "127.0.0.1"
PAYLOAD_TYPE = 96


def babble(sample_rate: int, seconds: float) -> bytes:
    """Noise shaped like speech: bands come and go at the pace of syllables. INT16 mono."""
    random = np.random.default_rng(1)
    time_s = np.arange(int(sample_rate * seconds)) / sample_rate
    voice = np.sum([np.sin(2 * np.pi * 120 * k * time_s + k) / k for k in range(1, 30)], axis=0)
    voice += 0.3 * random.standard_normal(len(time_s))
    return bytes((4000 * voice * (1.1 + np.sin(2 * np.pi * 4 * time_s))).clip(-32767, 32767).astype("<i2").tobytes())


def resident_kb() -> int:
    """Memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


class Client:
    """A caller that sends prepared packets and counts what comes."""

    def __init__(self, payloads: list[bytes]) -> None:
        self.heard = 0
        self._payloads = payloads
        self._sent = 0
        self._connection = RTCPeerConnection()
        self._audio = self._connection.addTransceiver("audio")
        self._connection.createDataChannel("oai-events")

    async def offer(self) -> str:
        """The offer, complete."""
        for dtls in aiortc_internals.dtls_transports(self._connection):
            aiortc_internals.listen_on(dtls, [HOST])
        await self._connection.setLocalDescription(await self._connection.createOffer())
        aiortc_internals.take_over_audio(self._audio)
        self._transport = aiortc_internals.MediaTransport(
            self._audio.receiver.transport, rtp_received=self._received, rtcp_received=lambda _: None
        )
        return self._connection.localDescription.sdp

    async def connect(self, answer: str) -> None:
        """Take the answer and wait for the connection."""
        connected = asyncio.Event()
        self._connection.on("connectionstatechange", connected.set)
        await self._connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        while self._connection.connectionState != "connected":
            await asyncio.wait_for(connected.wait(), 20)
            connected.clear()

    def tick(self) -> None:
        """Send the next 20 ms."""
        header = rtp.header(PAYLOAD_TYPE, self._sent & 0xFFFF, self._sent * 960 & 0xFFFFFFFF, 1, marker=False)
        self._transport.send_rtp(header + self._payloads[self._sent % len(self._payloads)])
        self._sent += 1

    def _received(self, _: bytes) -> None:
        self.heard += 1


async def run_clients(count: int, pipe: Connection) -> None:
    """The second process: offers go out through the pipe, answers come back, then packets until the pipe says stop."""
    encoder = Encoder(48000, complexity=5)
    sound, size = babble(48000, 2.0), 2 * encoder.frame_samples
    payloads = [encoder.encode(sound[at : at + size]) for at in range(0, len(sound), size)]
    ticker, clients = Ticker(), [Client(payloads) for _ in range(count)]
    loop = asyncio.get_running_loop()
    for client in clients:
        pipe.send(await client.offer())
        await client.connect(await loop.run_in_executor(None, pipe.recv))
        ticker.add(client.tick)
    while not await loop.run_in_executor(None, pipe.poll, 1.0):
        pass
    pipe.send([client.heard for client in clients])


def client_process(count: int, pipe: Connection, core: int | None) -> None:
    """Entry of the second process."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    uvloop.run(run_clients(count, pipe))


class Call:
    """The server's side of one call: counts the sound that comes, speaks all the time."""

    def __init__(self, plane: MediaPlane, voice: bytes, sample_rate: int) -> None:
        self.heard_bytes = 0
        self.is_connected = asyncio.Event()
        self.playout = Playout(on_started=lambda _: None, on_finished=self._speak)
        self.peer = Peer(self, plane=plane, playout=self.playout)
        self._voice, self._sample_rate = voice, sample_rate
        self._speak(0)

    def _speak(self, turn: int) -> None:
        self.playout.begin(turn + 1)
        self.playout.write(self._voice, self._sample_rate)
        self.playout.end()

    def connected(self) -> None:
        """See PeerObserver."""
        self.is_connected.set()

    def audio_received(self, pcm16_16k: bytes) -> None:
        """See PeerObserver."""
        self.heard_bytes += len(pcm16_16k)

    def message_received(self, text: str) -> None:
        """See PeerObserver."""

    def events_open(self) -> None:
        """See PeerObserver."""

    def connection_lost(self, reason: str) -> None:
        """See PeerObserver."""
        print("lost:", reason)


async def measure(options: argparse.Namespace, pipe: Connection) -> dict[str, object]:
    """Answer all offers, then measure."""
    plane, calls = MediaPlane(hosts=[HOST]), []
    voice = babble(options.rate, 10.0)
    loop = asyncio.get_running_loop()
    memory = resident_kb()
    began = time.process_time()
    for _ in range(options.n):
        calls.append(Call(plane, voice, options.rate))
        pipe.send(await calls[-1].peer.answer(await loop.run_in_executor(None, pipe.recv)))
    await asyncio.gather(*(call.is_connected.wait() for call in calls))
    setup_ms = 1000 * (time.process_time() - began) / options.n
    gc.collect()
    memory = resident_kb() - memory
    gc.freeze()
    await asyncio.sleep(2)
    heard = [call.heard_bytes for call in calls]
    profile = cProfile.Profile()
    if options.profile:
        profile.enable()
    cpu, clock = time.process_time(), time.monotonic()
    await asyncio.sleep(options.seconds)
    cpu, clock = time.process_time() - cpu, time.monotonic() - clock
    profile.disable()
    counters = [call.peer.counters for call in calls if call.peer.counters]
    heard_s = sum(call.heard_bytes - before for call, before in zip(calls, heard, strict=True)) / 32000
    lateness = plane.ticker.lateness()
    pipe.send("stop")
    arrived = sum(await loop.run_in_executor(None, pipe.recv))
    await asyncio.gather(*(call.peer.close() for call in calls))
    if options.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)
    return {
        "sessions": options.n,
        "cpu_ms_per_session_second": round(1000 * cpu / clock / options.n, 2),
        "core_used": round(cpu / clock, 3),
        "heard_of_sent": round(heard_s / clock / options.n, 4),
        "arrived_of_sent": round(arrived / sum(each.sent for each in counters), 4),
        "lost": sum(each.lost for each in counters),
        "late_ms_p99": round(1000 * lateness.p99_s, 2),
        "late_ms_max": round(1000 * lateness.max_s, 2),
        "setup_cpu_ms": round(setup_ms, 2),
        "memory_kb_per_session": round(memory / options.n),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=50, help="calls at once")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate", type=int, default=24000, help="sample rate of the agent's voice")
    parser.add_argument("--loop", choices=["uvloop", "asyncio"], default="uvloop")
    parser.add_argument("--profile", action="store_true", help="print where the time goes (and slow it down)")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=client_process, args=(options.n, there, cores[1] if len(cores) > 1 else None), daemon=True
    )
    process.start()
    os.sched_setaffinity(0, {cores[0]})
    factory = uvloop.new_event_loop if options.loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        print(json.dumps(runner.run(measure(options, here))))
    process.join(timeout=10)


if __name__ == "__main__":
    main()
