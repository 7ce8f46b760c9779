"""The microphone's pace and its silence."""

import asyncio
import time

import av
import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError
from goassist_client.microphone import MicrophoneTrack
from goassist_client.sound import level_dbfs


def decoded(packets: list[av.Packet]) -> np.ndarray:
    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate, decoder.layout, decoder.format = 48_000, "mono", "s16"
    frames = [frame for packet in packets for frame in decoder.decode(av.Packet(bytes(packet)))]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


async def test_packets_come_every_20_ms_on_a_48_khz_clock() -> None:
    track = MicrophoneTrack()
    began = time.monotonic()
    packets = [await track.recv() for _ in range(26)]
    assert time.monotonic() - began == pytest.approx(0.5, abs=0.05)
    assert [packet.pts for packet in packets] == [960 * index for index in range(26)]
    assert level_dbfs(decoded(packets)) < -80


async def test_a_track_that_was_held_up_catches_up() -> None:
    track = MicrophoneTrack()
    await track.recv()
    await asyncio.sleep(0.2)
    began = time.monotonic()
    for _ in range(9):
        await track.recv()
    assert time.monotonic() - began < 0.1


async def test_what_is_played_is_sent_once_and_its_end_is_told() -> None:
    track = MicrophoneTrack()
    playing = track.play((8000 * np.sin(np.arange(4800) * 0.2)).astype(np.int16))
    packets = [await track.recv() for _ in range(25)]
    sound = decoded(packets)
    assert level_dbfs(sound[4800:14400]) == pytest.approx(-15, abs=2)
    assert level_dbfs(sound[16000:]) < -60
    assert playing.ended.done()
    assert await playing.ended == pytest.approx(time.monotonic() - 0.2, abs=0.1)


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
