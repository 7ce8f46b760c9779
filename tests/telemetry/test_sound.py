"""What detection and reception count is shown, of calls that have ended, too."""

import asyncio
import re

import numpy as np
import pytest

from orchestrator.telemetry.metrics import Metrics
from orchestrator.vad import SAMPLE_RATE, VoiceDetector
from orchestrator.webrtc.plane import MediaPlane
from tests.webrtc.caller import HOST, Callee, Caller, Network, connect, eventually, hang_up, is_rtp


def values(metrics: Metrics) -> dict[str, float]:
    page = metrics.exposition().decode()
    return {name: float(value) for name, value in re.findall(r"^goassist_(\w+) (\S+)$", page, re.MULTILINE)}


def test_there_are_zeros_before_anything_was_counted() -> None:
    shown = values(Metrics())
    assert {name: shown[name] for name in shown if name.startswith(("vad_", "rtp_"))} == {
        "vad_windows_total": 0,
        "vad_calls_total": 0,
        "vad_seconds_total": 0,
        "rtp_packets_received_total": 0,
        "rtp_packets_lost_total": 0,
        "rtp_packets_concealed_total": 0,
        "rtp_silence_seconds_total": 0,
    }


async def test_the_cost_of_voice_detection_is_shown() -> None:
    metrics, detector, plane = Metrics(), VoiceDetector(), MediaPlane(hosts=[HOST])
    metrics.watch_sound(detector=detector, received=plane.received)
    judged = [0]

    def report(probability: float, level_db: float, at_sample: int) -> None:
        judged[0] += 1

    noise = np.random.default_rng(1).integers(-3000, 3000, SAMPLE_RATE, np.int16).tobytes()
    streams = [detector.open(report) for _ in range(3)]
    for stream in streams:
        stream.push(noise)
    async with asyncio.timeout(10):
        while any(stream.behind for stream in streams):
            await asyncio.sleep(0.01)
    shown = values(metrics)
    assert shown["vad_windows_total"] == judged[0] == 3 * (SAMPLE_RATE // 512)
    assert 0 < shown["vad_calls_total"] < shown["vad_windows_total"], "calls of three were judged together"
    assert shown["vad_seconds_total"] == detector.busy_s > 0


def losing(network: Network, data: bytes, address: object) -> None:
    """Every tenth packet of sound does not come."""
    if not (is_rtp(data) and network.sent % 10 == 0):
        network.forward(data, address)


async def test_what_calls_received_stays_counted_when_they_end() -> None:
    metrics, plane = Metrics(), MediaPlane(hosts=[HOST])
    metrics.watch_sound(detector=VoiceDetector(), received=plane.received)
    sums = []
    for _ in range(2):
        caller, callee = Caller(), Callee(plane)
        await connect(caller, callee)
        caller.put_behind(losing)
        before = values(metrics)["rtp_packets_lost_total"]
        await eventually(lambda before=before: values(metrics)["rtp_packets_lost_total"] >= before + 3)  # type: ignore[misc]
        await hang_up(caller, callee)
        counters = callee.peer.counters
        assert counters is not None
        sums.append(counters)
        shown = values(metrics)
        assert shown["rtp_packets_received_total"] == sum(each.received for each in sums)
        assert shown["rtp_packets_lost_total"] == sum(each.lost for each in sums)
        assert shown["rtp_packets_concealed_total"] == sum(each.concealed for each in sums) > 0
        assert shown["rtp_silence_seconds_total"] == sum(each.silence_s for each in sums)


@pytest.mark.parametrize("passes", [0, 4, 6, 9, 12, 15])
async def test_a_call_that_ends_while_it_is_negotiated_is_not_kept(passes: int) -> None:
    plane, caller = MediaPlane(hosts=[HOST]), Caller()
    callee = Callee(plane)
    answering = asyncio.create_task(callee.peer.answer(await caller.offer()))
    for _ in range(passes):  # of the event loop
        await asyncio.sleep(0)
    await callee.peer.close()
    await asyncio.gather(answering, return_exceptions=True)
    await caller.close()
    assert not plane.received._going
