"""The microphone's pace and its silence, on a clock that goes on only while the track waits for it."""

import asyncio
from types import SimpleNamespace

import av
import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError
from goassist_client import microphone
from goassist_client.microphone import MicrophoneTrack
from goassist_client.sound import level_dbfs


def decoded(packets: list[av.Packet]) -> np.ndarray:
    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate, decoder.layout, decoder.format = 48_000, "mono", "s16"
    frames = [frame for packet in packets for frame in decoder.decode(av.Packet(bytes(packet)))]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


class Clock:
    """What the track takes for the time: nobody else on the machine makes it late."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now_s += seconds
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    loop = SimpleNamespace(sleep=clock.sleep, get_running_loop=asyncio.get_running_loop)
    monkeypatch.setattr(microphone, "time", SimpleNamespace(monotonic=clock.monotonic))
    monkeypatch.setattr(microphone, "asyncio", loop)
    return clock


async def test_packets_come_every_20_ms_on_a_48_khz_clock(clock: Clock) -> None:
    track = MicrophoneTrack()
    came: list[float] = []
    packets = []
    for _ in range(26):
        packets.append(await track.recv())
        came.append(clock.now_s)
    assert came == pytest.approx([1000 + 0.02 * index for index in range(26)])
    assert [packet.pts for packet in packets] == [960 * index for index in range(26)]
    assert level_dbfs(decoded(packets)) < -80


async def test_a_track_that_was_held_up_catches_up(clock: Clock) -> None:
    track = MicrophoneTrack()
    await track.recv()
    clock.now_s += 0.21
    for _ in range(10):
        await track.recv()
    assert clock.now_s == pytest.approx(1000.21), "what is overdue comes at once"
    await track.recv()
    assert clock.now_s == pytest.approx(1000.22), "and the next at its time"


async def test_what_is_played_is_sent_once_and_its_end_is_told(clock: Clock) -> None:
    track = MicrophoneTrack()
    playing = track.play((8000 * np.sin(np.arange(4800) * 0.2)).astype(np.int16))
    packets = [await track.recv() for _ in range(25)]
    sound = decoded(packets)
    assert level_dbfs(sound[4800:14400]) == pytest.approx(-15, abs=2)
    assert level_dbfs(sound[16000:]) < -60
    assert playing.ended.done()
    assert await playing.ended == pytest.approx(1000.3), "0.3 s of sound"


async def test_sound_after_a_long_silence_is_whole() -> None:
    track = MicrophoneTrack()
    silence = [await track.recv() for _ in range(40)]
    playing = track.play((8000 * np.sin(np.arange(4800) * 0.2)).astype(np.int16))
    sound = [await track.recv() for _ in range(15)]
    assert playing.ended.done()
    heard = decoded(silence + sound)
    assert level_dbfs(heard[: 40 * 960]) < -80
    assert level_dbfs(heard[43 * 960 : 54 * 960]) == pytest.approx(-15, abs=2)


async def test_a_live_source_is_asked_while_nothing_is_played() -> None:
    asked = 0

    def live() -> np.ndarray:
        nonlocal asked
        asked += 1
        return np.zeros(320, np.int16)

    track = MicrophoneTrack(live)
    track.play(np.ones(640, np.int16))
    for _ in range(5):
        await track.recv()
    assert asked == 3


async def test_stopping_tells_whoever_waits_for_the_end() -> None:
    track = MicrophoneTrack()
    playing = track.play(np.ones(16000, np.int16))
    await track.recv()
    track.stop()
    assert await playing.ended is None
    with pytest.raises(MediaStreamError):
        await track.recv()
