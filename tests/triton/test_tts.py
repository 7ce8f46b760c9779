import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import numpy as np
import pytest

from orchestrator.errors import BackendRejectedError, BackendUnavailableError
from orchestrator.triton.client import TritonClient
from orchestrator.triton.tts import AudioChunk, TritonTts
from tests.servers.triton import RunningTriton
from tests.triton.metrics import settled_metric, until_metric

FOX = "The quick brown fox jumps over the lazy dog."
LONG = " ".join([FOX] * 200)
CANCELLED = "goassist_tts_cancelled_total"


@pytest.fixture
async def tts(triton: RunningTriton) -> AsyncIterator[TritonTts]:
    client = TritonClient(triton.grpc_url)
    yield TritonTts(client)
    await client.close()


async def say(tts: TritonTts, text: str, voice: str | None = None, speed: float = 1.0) -> list[AudioChunk]:
    return [chunk async for chunk in tts.synthesize(text, voice=voice, speed=speed)]


def sound(chunks: list[AudioChunk]) -> np.ndarray:
    return np.frombuffer(b"".join(chunk.pcm16 for chunk in chunks), "<i2").astype(np.float64)


async def test_speech_comes_in_chunks_of_at_most_200_ms(tts: TritonTts) -> None:
    chunks = await say(tts, FOX)
    assert {chunk.sample_rate for chunk in chunks} == {16_000}
    assert all(0 < len(chunk.pcm16) <= 6_400 for chunk in chunks)
    assert 1.5 < len(sound(chunks)) / 16_000 < 5
    assert np.sqrt(np.mean(sound(chunks) ** 2)) > 500


async def test_the_first_chunk_comes_before_the_speech_is_complete(tts: TritonTts) -> None:
    loop = asyncio.get_running_loop()
    await say(tts, FOX)
    started = loop.time()
    async with aclosing(tts.synthesize(" ".join([FOX] * 20))) as chunks:
        await anext(chunks)
        first_s = loop.time() - started
        async for _ in chunks:
            pass
    assert first_s < 0.25 * (loop.time() - started)


async def test_closing_speech_cancels_it_in_triton(triton: RunningTriton, tts: TritonTts) -> None:
    before = await settled_metric(triton.metrics_url, CANCELLED)
    async with aclosing(tts.synthesize(LONG)) as chunks:
        await anext(chunks)
    assert await until_metric(triton.metrics_url, CANCELLED, before + 1) == before + 1
    async with asyncio.timeout(20):
        assert await say(tts, "Hi.")


async def test_five_voices_at_once_each_say_their_own(tts: TritonTts) -> None:
    texts = ["One.", "One, two, three.", "One, two, three, four, five, six.", FOX, f"{FOX} {FOX}"]
    alone = [await say(tts, text, "kal16") for text in texts]  # the voice whose sound is always the same
    together = await asyncio.gather(*(say(tts, text, "kal16") for text in texts))
    assert [sound(chunks).tobytes() for chunks in together] == [sound(chunks).tobytes() for chunks in alone]


async def test_voice_speed_and_language_reach_the_engine(tts: TritonTts) -> None:
    normal, fast = await say(tts, FOX, "kal16"), await say(tts, FOX, "kal16", speed=2.0)
    assert len(sound(fast)) < 0.7 * len(sound(normal))
    assert len(sound(await say(tts, FOX, "rms"))) != len(sound(normal))
    with pytest.raises(BackendRejectedError, match="unknown language 'fr'; available: en"):
        await anext(tts.synthesize(FOX, language="fr"))


@pytest.mark.parametrize(
    ("text", "voice", "speed", "said"),
    [
        ("", None, 1.0, "text is empty"),
        ("hi", "bob", 1.0, "unknown voice 'bob'; available: slt, rms, awb, kal16"),
        ("hi", None, 0.0, "speed"),
        ("hi", None, float("nan"), "speed"),
        ("x" * 10_001, None, 1.0, "at most 10000"),
        ("你好", None, 1.0, "no Latin letter"),
    ],
)
async def test_bad_input_is_answered_with_what_is_wrong_and_the_next_request_works(
    tts: TritonTts, text: str, voice: str | None, speed: float, said: str
) -> None:
    with pytest.raises(BackendRejectedError, match=said):
        await say(tts, text, voice, speed)
    assert await say(tts, "Hi.")


@pytest.mark.parametrize("text", ["😀", "...", "*"])
async def test_a_text_without_a_word_ends_without_sound(tts: TritonTts, text: str) -> None:
    assert await say(tts, text) == []


async def test_ten_thousand_characters_are_spoken(tts: TritonTts) -> None:
    text = LONG[:9_990] if len(LONG) > 9_990 else LONG
    async with asyncio.timeout(60):
        assert len(sound(await say(tts, text, "kal16"))) / 16_000 > 300


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"text": np.array([b"hi"], object), "speed": np.array([1], np.int32)}, "speed"),  # wrong type
        ({"text": np.array([b"hi", b"ho"], object)}, "text"),  # two texts
        ({"text": np.array([b"\xff\xfe"], object)}, "UTF-8"),
        ({"voice": np.array([b"slt"], object)}, "text"),  # no text
    ],
)
async def test_tensors_that_break_the_contract_are_refused(
    triton: RunningTriton, inputs: dict[str, np.ndarray], said: str
) -> None:
    client = TritonClient(triton.grpc_url)
    with pytest.raises(BackendRejectedError, match=said):
        _ = [response async for response in client.stream("tts", inputs, timeout_s=5)]
    await client.close()


async def test_sound_and_first_chunks_are_counted(triton: RunningTriton, tts: TritonTts) -> None:
    sound_s, first_chunks = "goassist_tts_audio_output_seconds_total", "goassist_tts_first_chunk_seconds_count"
    before = {name: await settled_metric(triton.metrics_url, name) for name in (sound_s, first_chunks)}
    seconds = len(sound(await say(tts, FOX))) / 16_000
    assert await until_metric(triton.metrics_url, first_chunks, before[first_chunks] + 1) == before[first_chunks] + 1
    counted = await until_metric(triton.metrics_url, sound_s, before[sound_s] + seconds - 0.01)
    assert counted - before[sound_s] == pytest.approx(seconds, abs=0.01)


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    client = TritonClient("127.0.0.1:9")
    with pytest.raises(BackendUnavailableError):
        await anext(TritonTts(client).synthesize("hi"))
    await client.close()
