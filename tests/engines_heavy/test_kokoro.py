"""tts by engines/kokoro: the real path through espeak-ng and ONNX Runtime, a model that makes tones, a real Triton."""

import asyncio
import subprocess
import time
from collections.abc import Iterator

import numpy as np
import pytest

from orchestrator.errors import ConfigurationError
from tests.engines_heavy.conftest import Serve, configured, environment, tiny_weights
from tests.engines_heavy.inference import answer, call, metric, refusal, settled, until
from tests.servers.triton import RunningTriton

# ruff: noqa: RUF001  (phonetic letters look like others)

pytestmark = [pytest.mark.engines, pytest.mark.timeout(120)]
TEXT = "Hello, how are you today? I am fine."


@pytest.fixture(scope="module")
def server(serve: Serve) -> Iterator[RunningTriton]:
    weights = tiny_weights("kokoro.py", environment("kokoro"))
    with serve("tts", "kokoro", configuration=configured("tts", "cpu", model_path=str(weights))) as running:
        yield running


@pytest.fixture(scope="module")
def slow_server(serve: Serve) -> Iterator[RunningTriton]:
    weights = tiny_weights("kokoro.py", environment("kokoro"))
    configuration = configured("tts", "cpu", model_path=str(weights), model_file="onnx/slow.onnx", threads="1")
    with serve("tts", "kokoro", configuration=configuration) as running:
        yield running


async def spoken(server: RunningTriton, text: str = TEXT, **inputs: object) -> np.ndarray:
    chunks = await answer(server.grpc_url, "tts", text=text, **inputs)
    assert {int(chunk["sample_rate"][0]) for chunk in chunks} == {24_000}
    assert max(len(chunk["audio"]) for chunk in chunks) <= 4_800
    return np.concatenate([chunk["audio"] for chunk in chunks])


def pitch_hz(audio: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(audio.astype(float)))
    return float(np.argmax(spectrum) * 24_000 / len(audio))


async def test_a_voice_sounds_as_its_style_says(server: RunningTriton) -> None:
    assert pitch_hz(await spoken(server, voice="af_heart")) == pytest.approx(220, abs=2)
    assert pitch_hz(await spoken(server, voice="am_adam")) == pytest.approx(110, abs=2)


async def test_the_default_voice_is_the_first_of_the_language(server: RunningTriton) -> None:
    assert pitch_hz(await spoken(server)) == pytest.approx(220, abs=2)
    assert pitch_hz(await spoken(server, language="fr-FR")) == pytest.approx(440, abs=2)


async def test_silence_around_a_sentence_is_trimmed(server: RunningTriton) -> None:
    audio = await spoken(server, "Hello there.")
    audible = np.flatnonzero(np.abs(audio) > 300)
    assert 0 < audible[0] <= 500
    assert len(audio) - audible[-1] <= 2_500


async def test_twice_the_speed_is_half_the_sound(server: RunningTriton) -> None:
    silence = 480 + 2_400  # around the one sentence, whatever the speed
    usual, fast = [len(await spoken(server, "How are you today?", speed=speed)) - silence for speed in (1.0, 2.0)]
    assert fast == pytest.approx(usual / 2, rel=0.02)


async def test_languages_are_pronounced_each_in_its_way(server: RunningTriton) -> None:
    english = len(await spoken(server, "Les oiseaux chantent.", language="en"))
    french = len(await spoken(server, "Les oiseaux chantent.", language="fr", voice="af_heart"))
    assert english != french


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("It costs $20.", "It costs twenty dollars."),
        ("It costs $5.50.", "It costs five dollars and fifty cents."),
        ("$1.5 million", "1.5 million dollars"),
        ("on 12/25/2024", "on December 25th, 2024"),
        ("Dr. Smith and Mr. Jones", "Doctor Smith and Mister Jones"),
        ("No. 5 on Jan. 5", "number five on January fifth"),
        ("at 5 p.m. tomorrow", "at five PM tomorrow"),
        ("the U.S. Army", "the US Army"),
    ],
)
async def test_english_money_dates_and_abbreviations_are_read_as_words(
    server: RunningTriton, written: str, said: str
) -> None:
    assert np.array_equal(await spoken(server, written), await spoken(server, said))


async def test_a_british_voice_reads_the_day_before_the_month(server: RunningTriton) -> None:
    read = await spoken(server, "on 7/4/2024", voice="bf_emma")
    assert np.array_equal(read, await spoken(server, "on April 7th, 2024", voice="bf_emma"))
    assert not np.array_equal(read, await spoken(server, "on July 4th, 2024", voice="bf_emma"))


@pytest.mark.parametrize(
    ("text", "voice", "expected"),
    [
        ("the U.S.A now", "en-us", "ðə jˌuˌɛsˈA nˈW"),
        ("F.A.Q page.", "en-us", "ˌɛfˌAkjˈu pˈAʤ."),
        ("z.B. hier", "de", "ʦˌɛtbˈeː. hˈiːɾ"),
        ("3.14, end. Yes", "en-us", "θɹˈi pYnt wˈʌn fˈɔɹ, ˈɛnd. jˈɛs"),
    ],
)
def test_a_point_within_a_word_is_no_full_stop(text: str, voice: str, expected: str) -> None:
    program = "import sys; from engines.espeak import Espeak; print(Espeak().phonemes(*sys.argv[1:]))"
    command = [environment("kokoro") / "bin" / "python", "-c", program, text, voice]
    run = subprocess.run(command, check=True, capture_output=True, timeout=60, encoding="utf-8")
    assert run.stdout.strip() == expected


async def test_other_languages_read_money_in_their_own_way(server: RunningTriton) -> None:
    own = await spoken(server, "20 €", language="fr")
    assert np.array_equal(own, await spoken(server, "vingt euros", language="fr"))
    assert not np.array_equal(own, await spoken(server, "20 €", voice="ff_siwis", language="en"))


@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        ({"text": "  "}, "text is empty"),
        ({"text": "word " * 2_500}, "at most 10000"),
        ({"text": "Hi", "voice": "nobody"}, "available: af_heart"),
        ({"text": "Hi", "voice": "jf_alpha"}, "unknown voice 'jf_alpha'"),
        ({"text": "Hi", "language": "ja"}, "unknown language 'ja'"),
        ({"text": "Hi", "speed": 9.0}, "speed is 9"),
        ({"text": "Hi", "speed": float("nan")}, "speed is nan"),
        ({"text": True}, "text"),
        ({"voice": "af_heart"}, "text"),
    ],
)
async def test_input_that_cannot_be_spoken_is_refused_with_the_reason(
    server: RunningTriton, inputs: dict[str, object], complaint: str
) -> None:
    assert complaint in await refusal(server.grpc_url, "tts", **inputs)
    assert len(await spoken(server)) > 24_000


@pytest.mark.parametrize(
    "text", ["😀 🎉", "...", "你好", "<b>*Bold*</b> 3.14 [x](http://e.org) \u0000", "9" * 900, "a" * 3_000]
)
async def test_any_text_is_answered_and_the_next_request_works(server: RunningTriton, text: str) -> None:
    await answer(server.grpc_url, "tts", text=text)
    assert len(await spoken(server)) > 24_000


async def test_ten_thousand_characters_are_spoken_sentence_by_sentence(server: RunningTriton) -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 222
    begun = time.monotonic()
    async with call(server.grpc_url, "tts", {"text": text}) as request:
        await anext(request.responses)
        first_s = time.monotonic() - begun
        async for _ in request.responses:
            pass
    assert first_s < (time.monotonic() - begun) / 4


async def test_eight_requests_at_once_get_each_its_own_sound(server: RunningTriton) -> None:
    voices = {"af_heart": 220, "am_adam": 110, "bf_emma": 330, "ff_siwis": 440}
    sounds = await asyncio.gather(*(spoken(server, voice=voice, language="en") for voice in [*voices, *voices]))
    assert [pitch_hz(sound) for sound in sounds] == pytest.approx([*voices.values(), *voices.values()], abs=2)


async def test_a_caller_who_leaves_stops_the_model_in_mid_run(slow_server: RunningTriton) -> None:
    async with call(slow_server.grpc_url, "tts", {"text": "Hello there."}) as request:
        waiting = asyncio.ensure_future(anext(request.responses))
        _, pending = await asyncio.wait({waiting}, timeout=1.0)
        assert pending, "the slow model is not slow enough for this test"
        request.cancel()
        left_at = time.monotonic()
        await asyncio.wait({waiting})
        await until(lambda: metric(slow_server.metrics_url, "goassist_tts_cancelled_total") == 1, timeout_s=30)
    assert time.monotonic() - left_at < 5, "the model would work on for longer"


async def test_the_engine_counts_on_tritons_metrics_page(server: RunningTriton) -> None:
    def counted(name: str) -> float:
        return metric(server.metrics_url, name)

    before_s = await settled(lambda: counted("goassist_tts_audio_output_seconds_total"))
    audio_s = len(await spoken(server)) / 24_000
    await until(
        lambda: abs(counted("goassist_tts_audio_output_seconds_total") - before_s - audio_s) < 0.001, timeout_s=30
    )
    assert counted("goassist_tts_first_chunk_seconds_count") > 0
    assert counted("goassist_tts_real_time_factor") > 0


def test_missing_weights_are_an_error_that_says_how_to_get_them(serve: Serve) -> None:
    configuration = configured("tts", "cpu", model_path="/nowhere")
    with (
        pytest.raises(ConfigurationError, match="goassist models pull kokoro"),
        serve("tts", "kokoro", configuration=configuration),
    ):
        pass
