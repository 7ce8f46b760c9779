"""tts by engines/xtts: the real XTTS-v2 code on a CPU, random weights, a real Triton."""

import asyncio
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from orchestrator.errors import ConfigurationError
from tests.engines_heavy.conftest import Serve, configured, environment, tiny_weights
from tests.engines_heavy.inference import answer, call, metric, refusal, settled, until
from tests.servers.triton import RunningTriton

pytestmark = [pytest.mark.engines, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def latents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("latents")


@pytest.fixture(scope="module")
def parameters(latents: Path) -> dict[str, str]:
    weights = tiny_weights("xtts.py", environment("xtts"))
    return {
        "engine": "xtts",
        "model_path": str(weights),
        "voices_path": str(weights / "voices"),
        "latents_path": str(latents),
        "top_k": "1",  # the most probable token each time: the same text gives the same sound
    }


@pytest.fixture(scope="module")
def server(serve: Serve, parameters: dict[str, str]) -> Iterator[RunningTriton]:
    configuration = configured("tts", "cpu", license_accepted="true", **parameters)
    with serve("tts", "xtts", configuration=configuration) as running:
        yield running


async def spoken(server: RunningTriton, text: str, **inputs: object) -> np.ndarray:
    chunks = await answer(server.grpc_url, "tts", text=text, **inputs)
    assert {int(chunk["sample_rate"][0]) for chunk in chunks} == {24_000}
    assert max(len(chunk["audio"]) for chunk in chunks) <= 4_800
    return np.concatenate([chunk["audio"] for chunk in chunks])


async def test_the_first_sound_arrives_before_the_last_is_made(server: RunningTriton) -> None:
    begun = time.monotonic()
    async with call(server.grpc_url, "tts", {"text": "Hello."}) as request:
        first = await anext(request.responses)
        first_s = time.monotonic() - begun
        count = len([response async for response in request.responses])
    assert first["audio"].size
    assert count >= 3
    assert first_s < (time.monotonic() - begun) / 2


async def test_the_latents_of_recordings_are_computed_once(server: RunningTriton, latents: Path) -> None:
    assert sorted(path.name.rpartition("-")[0] for path in latents.iterdir()) == ["high", "low"]


async def test_voices_recorded_and_built_in_sound_different(server: RunningTriton) -> None:
    sounds = [(await spoken(server, "Hi.", voice=voice)).tobytes() for voice in ("high", "low", "Built In")]
    assert len(set(sounds)) == 3


async def test_two_requests_at_once_each_get_what_they_get_alone(server: RunningTriton) -> None:
    texts = ("Hi.", "What is that over there?")
    alone = [await spoken(server, text) for text in texts]
    together = await asyncio.gather(*(spoken(server, text) for text in texts))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


async def test_a_caller_who_leaves_stops_the_engine_within_a_chunk(server: RunningTriton) -> None:
    cancelled = await settled(lambda: metric(server.metrics_url, "goassist_tts_cancelled_total"))
    text = "This is a rather long story. " * 20
    async with call(server.grpc_url, "tts", {"text": text}) as request:
        await anext(request.responses)
        request.cancel()
        await until(lambda: metric(server.metrics_url, "goassist_tts_cancelled_total") == cancelled + 1, timeout_s=10)


@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        ({"text": ""}, "text is empty"),
        ({"text": "word " * 2_500}, "at most 10000"),
        ({"text": True}, "text"),
        ({"voice": "high"}, "text"),
        ({"text": "Hi", "voice": "nobody"}, "available: high, low, Built In"),
        ({"text": "Hi", "language": "xx"}, "available: en, es, fr, de"),
        ({"text": "Hi", "speed": 9.0}, "speed is 9"),
    ],
)
async def test_input_that_cannot_be_spoken_is_refused_with_the_reason(
    server: RunningTriton, inputs: dict[str, object], complaint: str
) -> None:
    assert complaint in await refusal(server.grpc_url, "tts", **inputs)
    assert (await spoken(server, "Hi.")).size


@pytest.mark.parametrize("text", ["😀", "你好", "[STOP] ok [START]", "<b>*Bold*</b> \u0000", "a" * 400])
async def test_odd_text_is_answered_and_the_next_request_works(server: RunningTriton, text: str) -> None:
    await answer(server.grpc_url, "tts", text=text)
    assert (await spoken(server, "Hi.", language="en-US")).size


async def test_ten_thousand_characters_are_spoken_sentence_by_sentence(server: RunningTriton) -> None:
    async with call(server.grpc_url, "tts", {"text": "The quick brown fox jumps over the lazy dog. " * 222}) as request:
        assert (await anext(request.responses))["audio"].size
        request.cancel()
    assert (await spoken(server, "Hi.")).size


def recorded(path: Path, seconds: float) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes(np.random.default_rng(1).integers(-3_000, 3_000, int(24_000 * seconds), np.int16).tobytes())


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda path: recorded(path, 0.5), r"the voice .*anna\.wav has less than one second of sound"),
        (lambda path: path.write_text("not a recording"), r"cannot read the voice .*anna\.wav"),
        (lambda path: path.parent.rmdir(), "voices_path names .*, which is no folder"),
    ],
    ids=["short", "unreadable", "nowhere"],
)
def test_a_voice_that_cannot_be_taken_from_its_recording_is_named(
    serve: Serve, parameters: dict[str, str], tmp_path: Path, make: Callable[[Path], object], complaint: str
) -> None:
    (tmp_path / "voices").mkdir()
    make(tmp_path / "voices" / "anna.wav")
    changed = {**parameters, "voices_path": str(tmp_path / "voices"), "latents_path": str(tmp_path)}
    with (
        pytest.raises(ConfigurationError, match=complaint),
        serve("tts", "xtts", configuration=configured("tts", "cpu", license_accepted="true", **changed)),
    ):
        pass


def test_without_the_licence_the_model_does_not_load_and_names_the_alternative(
    serve: Serve, parameters: dict[str, str]
) -> None:
    configuration = configured("tts", "cpu", **parameters)
    with (
        pytest.raises(ConfigurationError, match=r"non-commercial.*Kokoro-82M"),
        serve("tts", "xtts", configuration=configuration),
    ):
        pass


async def test_the_environment_can_accept_the_licence_and_kept_latents_are_read(
    serve: Serve, parameters: dict[str, str], latents: Path
) -> None:
    kept = {path: path.stat().st_mtime_ns for path in latents.iterdir()}
    configuration = configured("tts", "cpu", **parameters)
    with serve("tts", "xtts", configuration=configuration, variables={"XTTS_LICENSE_ACCEPTED": "1"}) as running:
        assert (await spoken(running, "Hi.", voice="low")).size
    assert {path: path.stat().st_mtime_ns for path in latents.iterdir()} == kept
