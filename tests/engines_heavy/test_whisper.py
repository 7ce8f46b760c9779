"""asr by engines/faster_whisper: real faster-whisper and CTranslate2 on random weights, in a real Triton."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from orchestrator.errors import BackendRejectedError, ConfigurationError
from orchestrator.triton import tensors
from orchestrator.triton.asr import Transcript, TritonAsr
from orchestrator.triton.client import TritonClient
from tests.engines_heavy.conftest import Serve, configured, environment, tiny_weights
from tests.engines_heavy.inference import metric, settled
from tests.engines_heavy.utterances import RATE, Heard, pieces, recording, utterance
from tests.servers.triton import MODEL_REPOSITORY, RunningTriton

pytestmark = [pytest.mark.engines, pytest.mark.timeout(120)]
SENTENCES = ("tell_me_a_story", "weather", "history_of_music")
SILENCE = np.zeros(RATE // 100, np.int16)
# Random weights are never sure of anything and repeat themselves.
LANGUAGES = ((), (("language", "en"),), (("language", "de-AT"),))
BELIEVED = {"log_prob_threshold": "-1000", "compression_ratio_threshold": "1000", "threads": "1"}
# What a model's file is given to fail in ways that Whisper's own libraries do.
BREAKS = """
from engines.whisper import Whisper
decode = Whisper.decode

def fail(whisper, windows):
    if any(window.hotwords for window in windows):
        raise ValueError("told to fail")
    return decode(whisper, windows)

Whisper.decode = fail
"""
# As a GPU of 64 places that is slow, 0.1 s a window, and tells of each call how many of its windows had their words
# timed, which are those of who has ended, and how many not.
CROWDED = """
import time
from engines.whisper import Whisper
decode = Whisper.decode

def slow(whisper, windows):
    time.sleep(0.1 * len(windows))
    timed = sum(window.timed for window in windows)
    with open({path!r}, "a") as calls:
        print(timed, len(windows) - timed, file=calls)
    return decode(whisper, windows)

Whisper.decode = slow
"""
MISALIGNS = """
from faster_whisper import WhisperModel

def fail(*arguments):
    raise IndexError("told to fail")

WhisperModel.find_alignment = fail
"""


def configuration(**parameters: str) -> str:
    weights = tiny_weights("whisper.py", environment("whisper"))
    return configured("asr", "cpu", **{"model_path": str(weights), **BELIEVED, **parameters})


@pytest.fixture(scope="module")
def server(serve: Serve) -> Iterator[RunningTriton]:
    with serve("asr", "whisper", configuration=configuration()) as running:
        yield running


async def transcribed(server: RunningTriton, sound: np.ndarray, **options: str) -> Heard:
    """The final transcript of sound that is sent as fast as it is answered."""
    async with utterance(server.grpc_url, **options) as spoken:
        for piece in pieces(sound):
            await spoken.say(piece)
        return await spoken.say(SILENCE, end=True)


async def whole(server: RunningTriton, name: str, **options: str) -> Heard:
    """The final transcript of a recording that is sent in one request."""
    async with utterance(server.grpc_url, **options) as spoken:
        return await spoken.say(recording(name), end=True)


async def test_words_settle_while_one_speaks_and_never_change_again(server: RunningTriton) -> None:
    async with utterance(server.grpc_url) as spoken:
        heard = [await spoken.say(piece) for piece in pieces(recording(*SENTENCES))]
        final = await spoken.say(SILENCE, end=True)
    assert not any(each.is_final for each in heard)
    for earlier, later in zip(heard, [*heard[1:], final], strict=True):
        assert later.stable_chars >= earlier.stable_chars
        assert later.text[: earlier.stable_chars] == earlier.text[: earlier.stable_chars]
    assert heard[-1].stable_chars > 0
    assert len({each.text for each in heard}) > 5
    assert final.is_final
    assert final.stable_chars == len(final.text)


async def test_the_final_transcript_has_times_and_probabilities(server: RunningTriton) -> None:
    sound = recording(*SENTENCES)
    final = await transcribed(server, sound)
    assert "".join(word["word"] for word in final.words) == final.text.replace(" ", "")
    starts = [word["start_s"] for word in final.words]
    assert starts == sorted(starts)
    for word in final.words:
        assert 0 <= word["start_s"] <= word["end_s"] <= len(sound) / RATE + 0.1
        assert 0 < word["probability"] <= 1


async def test_flush_answers_for_all_sound_and_the_utterance_goes_on(server: RunningTriton) -> None:
    first, second, third = pieces(recording(*SENTENCES), 2.0)[:3]
    async with utterance(server.grpc_url) as spoken:
        await spoken.say(first)
        flushed = await spoken.say(second, flush=True)
        assert flushed.is_final
        assert flushed.words[-1]["end_s"] > 2.5
        later = await spoken.say(third)
        assert later.text[: flushed.stable_chars] == flushed.text[: flushed.stable_chars]
        final = await spoken.say(SILENCE, end=True)
        assert len(final.text) > len(flushed.text)


async def test_an_end_without_more_speech_is_answered_by_what_the_flush_found(server: RunningTriton) -> None:
    async with utterance(server.grpc_url) as spoken:
        flushed = await spoken.say(recording("weather"), flush=True)
        calls = await settled(lambda: metric(server.metrics_url, "goassist_asr_decode_batches_total"))
        final = await spoken.say(SILENCE, end=True)
    assert (final.text, final.words) == (flushed.text, flushed.words)
    assert await settled(lambda: metric(server.metrics_url, "goassist_asr_decode_batches_total")) == calls


async def test_sixteen_utterances_share_calls_and_get_each_its_own_transcript(server: RunningTriton) -> None:
    names = ("weather", "what_date", "read_books", "help_me")

    def counted() -> tuple[float, float]:
        batches = metric(server.metrics_url, "goassist_asr_decode_batches_total")
        return batches, metric(server.metrics_url, "goassist_asr_decoded_windows_total")

    expected = [await whole(server, name) for name in names]
    assert len({each.text for each in expected}) > 1
    await settled(lambda: counted()[1])
    before = counted()
    together = await asyncio.gather(*(whole(server, name) for name in names * 4))
    await settled(lambda: counted()[1])
    batches, windows = (after - earlier for after, earlier in zip(counted(), before, strict=True))
    assert [each.text for each in together] == [each.text for each in expected] * 4
    assert windows == 16
    assert batches <= 8


async def test_an_utterance_of_more_than_thirty_seconds_is_transcribed_to_its_end(server: RunningTriton) -> None:
    sound = recording(*SENTENCES, "history_of_music", seconds=35.0)
    stable = 0
    async with utterance(server.grpc_url) as spoken:
        for piece in pieces(sound, 1.0):
            heard = await spoken.say(piece)
            assert heard.stable_chars >= stable
            stable = heard.stable_chars
        final = await spoken.say(SILENCE, end=True)
    assert final.text[:stable] == heard.text[:stable]
    assert final.words[0]["start_s"] < 3
    assert final.words[-1]["end_s"] > 32
    ends = [word["end_s"] for word in final.words]
    assert ends == sorted(ends)


async def test_a_long_utterance_in_two_requests_is_decoded_in_parts(server: RunningTriton) -> None:
    sound = recording(*SENTENCES, seconds=55.0)
    async with utterance(server.grpc_url) as spoken:
        await spoken.say(sound[: 29 * RATE])
        final = await spoken.say(sound[29 * RATE :], end=True)
    assert final.words[-1]["end_s"] > 50


@pytest.mark.parametrize("level", [0, 10, 3_000], ids=["silence", "a quiet room", "loud steady noise"])
async def test_what_holds_no_voice_is_an_empty_transcript_and_is_never_decoded(
    server: RunningTriton, level: int
) -> None:
    noise = np.random.default_rng(1).normal(0, 1, 4 * RATE)
    calls = await settled(lambda: metric(server.metrics_url, "goassist_asr_decode_batches_total"))
    final = await transcribed(server, (noise * level).astype(np.int16))
    assert (final.text, final.words, final.is_final) == ("", [], True)
    assert await settled(lambda: metric(server.metrics_url, "goassist_asr_decode_batches_total")) == calls


async def test_speech_after_a_long_silence_keeps_its_time(server: RunningTriton) -> None:
    sound = np.concatenate([np.zeros(20 * RATE, np.int16), recording("weather")])
    final = await transcribed(server, sound)
    assert 18.5 < final.words[0]["start_s"] < 20.5
    assert final.words[-1]["end_s"] <= len(sound) / RATE + 0.1


async def test_hypotheses_that_the_model_doubts_or_repeats_are_not_believed(serve: Serve) -> None:
    doubted = configuration(no_speech_threshold="-1", log_prob_threshold="0")
    with serve("asr", "whisper", configuration=doubted) as doubting:
        assert (await transcribed(doubting, recording("weather"))).text == ""
    with serve("asr", "whisper", configuration=configuration(compression_ratio_threshold="0.1")) as strict:
        assert (await transcribed(strict, recording("weather"))).text == ""


async def test_hotwords_change_what_is_expected_and_utterances_with_others_are_served_beside(
    server: RunningTriton,
) -> None:
    sound = recording(*SENTENCES)
    plain, hot, other = await asyncio.gather(
        transcribed(server, sound),
        transcribed(server, sound, hotwords="GoAssist, Triton"),
        transcribed(server, sound, language="en-US", hotwords="barge-in"),
    )
    assert plain.text
    assert len({plain.text, hot.text, other.text}) == 3


async def test_whispers_own_marks_among_the_hotwords_are_left_out(server: RunningTriton) -> None:
    marked = "<|startofprev|>GoAssist,<|startoftranscript|><|0.00|> Triton<|endoftext|>"
    plain = await transcribed(server, recording("weather"), hotwords="GoAssist, Triton")
    assert (await transcribed(server, recording("weather"), hotwords=marked)).text == plain.text


async def test_whatever_fails_is_told_and_the_next_utterance_works(serve: Serve) -> None:
    source = (MODEL_REPOSITORY / "asr" / "1" / "model.py").read_text()
    with serve("asr", "whisper", configuration=configuration(), files={"model.py": source + BREAKS}) as running:
        for _ in range(2):
            with pytest.raises(InferenceServerException, match="UNAVAILABLE: Whisper failed: told to fail"):
                await transcribed(running, recording("weather"), hotwords="fail")
            assert (await transcribed(running, recording("weather"))).words


async def test_who_ends_waits_for_few_partial_results(serve: Serve, tmp_path: Path) -> None:
    source = (MODEL_REPOSITORY / "asr" / "1" / "model.py").read_text()
    told = tmp_path / "calls"
    slow = source + CROWDED.format(path=str(told))
    with serve("asr", "whisper", configuration=configuration(max_batch="64"), files={"model.py": slow}) as running:

        async def speak(number: int) -> Heard:
            await asyncio.sleep(0.05 * number)
            async with utterance(running.grpc_url) as spoken:
                sent = pieces(recording("weather"))
                for piece in sent:
                    spoken.send(piece)
                    await asyncio.sleep(len(piece) / RATE)
                spoken.send(SILENCE, end=True)
                return [await spoken.answer() for _ in range(len(sent) + 1)][-1]

        assert all(each.words for each in await asyncio.gather(*map(speak, range(12))))
    calls = [tuple(map(int, line.split())) for line in told.read_text().splitlines()]
    assert not [call for call in calls if all(call)], "somebody who has ended was decoded with partial results"
    assert max(partial for _, partial in calls) <= 3
    assert sum(ended for ended, _ in calls) >= 12


async def test_words_that_cannot_be_aligned_go_without_their_times(serve: Serve) -> None:
    source = (MODEL_REPOSITORY / "asr" / "1" / "model.py").read_text()
    with serve("asr", "whisper", configuration=configuration(), files={"model.py": source + MISALIGNS}) as running:
        final = await transcribed(running, recording("weather"))
    assert final.text
    assert final.words == []


async def test_a_multilingual_model_finds_the_language_or_takes_the_one_that_is_named(serve: Serve) -> None:
    weights = tiny_weights("whisper.py", environment("whisper")) / "multilingual"
    with serve("asr", "whisper", configuration=configuration(model_path=str(weights))) as running:
        texts = {options: (await whole(running, "weather", **dict(options))).text for options in LANGUAGES}
        with pytest.raises(InferenceServerException, match="available: de, en"):
            await whole(running, "weather", language="fr")
    detected, english, german = texts.values()
    assert english != german
    assert detected in (english, german)
    configured_so = configuration(model_path=str(weights), language="de")
    with serve("asr", "whisper", configuration=configured_so) as running:
        assert (await whole(running, "weather")).text == german


async def test_beams_are_searched_and_a_hotword_of_the_configuration_is_for_all(serve: Serve) -> None:
    with serve("asr", "whisper", configuration=configuration(beam_size="3", hotwords="GoAssist")) as running:
        assert (await transcribed(running, recording("weather"))).words


async def test_the_orchestrators_client_gets_partial_and_final_transcripts(server: RunningTriton) -> None:
    client = TritonClient(server.grpc_url)
    partial: list[Transcript] = []
    sound = recording(*SENTENCES).tobytes()
    async with TritonAsr(client).utterance(on_partial=partial.append, language="en") as spoken:
        spoken.send(sound)
        flushed = await spoken.flush()
        final = await spoken.finish()
    await client.close()
    assert flushed.is_final
    assert flushed.text == final.text
    assert final.words


@pytest.mark.parametrize(
    ("options", "sound", "complaint"),
    [
        ({}, np.zeros(0, np.int16), "audio is empty"),
        ({}, np.zeros(31 * RATE, np.int16), "31 s long"),
        ({"language": "tlh"}, np.zeros(160, np.int16), "unknown language 'tlh'; available: en"),
        ({}, np.zeros(160, np.float32), "FP32"),
    ],
)
async def test_input_that_cannot_be_served_is_refused_and_the_next_utterance_works(
    server: RunningTriton, options: dict[str, str], sound: np.ndarray, complaint: str
) -> None:
    async with utterance(server.grpc_url, **options) as spoken:
        with pytest.raises(InferenceServerException, match=complaint):
            await spoken.say(sound)
    assert (await transcribed(server, recording("weather"))).text


async def test_audio_of_an_odd_number_of_bytes_is_refused_and_the_next_utterance_works(server: RunningTriton) -> None:
    client = TritonClient(server.grpc_url)
    control = {"sequence_id": 1 << 50, "sequence_start": True, "sequence_end": True}
    request = tensors.request("asr", {"audio": np.zeros((1, 100), np.int16)}, parameters=control)
    request.raw_input_contents[0] = request.raw_input_contents[0][:-1]
    stream = client.open("asr")
    stream.write(request)
    stream.end()
    with pytest.raises(BackendRejectedError, match="byte size"):
        await stream.read(5)
    await client.close()
    assert (await transcribed(server, recording("weather"))).text


async def test_a_caller_that_is_silent_for_too_long_must_start_anew(serve: Serve) -> None:
    idle = configuration(idle_s="1").replace("idle_microseconds: 60000000", "idle_microseconds: 1000000")
    with serve("asr", "whisper", configuration=idle) as running:
        async with utterance(running.grpc_url) as spoken:
            await spoken.say(recording("weather"))
            await asyncio.sleep(3)
            with pytest.raises(InferenceServerException, match="START"):
                await spoken.say(SILENCE)
        assert (await transcribed(running, recording("weather"))).text


async def test_a_sequence_without_a_start_is_refused(server: RunningTriton) -> None:
    async with utterance(server.grpc_url) as spoken:
        with pytest.raises(InferenceServerException, match=r"(?i)start"):
            await spoken.say(recording("weather"), start=False)


async def test_weights_that_are_not_there_are_told_with_the_command_that_gets_them(serve: Serve) -> None:
    missing = configured("asr", "cpu", model_path="models/nowhere/faster-whisper-base.en")
    with (
        pytest.raises(ConfigurationError, match=r"goassist models pull faster-whisper-base\.en"),
        serve("asr", "whisper", configuration=missing),
    ):
        pass


async def test_a_device_that_is_not_there_is_told(serve: Serve) -> None:
    with (
        pytest.raises(ConfigurationError, match="on cuda as float16"),
        serve("asr", "whisper", configuration=configuration(device="cuda", compute_type="float16")),
    ):
        pass
