"""orchestrator/triton/asr.py with the embedded model. What the model itself promises: tests/model_repository."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from orchestrator.errors import BackendRejectedError, BackendUnavailableError
from orchestrator.triton.asr import Transcript, TritonAsr
from orchestrator.triton.client import TritonClient
from tests.end_to_end.words import word_error_rate, words
from tests.engines.recordings import PAUSE, SENTENCES, recording
from tests.model_repository.sequences import ask, asr_alone, silence
from tests.servers.triton import RunningTriton, run_triton


@pytest.fixture
async def client(triton: RunningTriton) -> AsyncIterator[TritonClient]:
    client = TritonClient(triton.grpc_url)
    yield client
    await client.close()


@pytest.fixture
def asr(client: TritonClient) -> TritonAsr:
    return TritonAsr(client)


async def recognise(asr: TritonAsr, pcm16_16k: bytes) -> Transcript:
    async with asr.utterance(on_partial=lambda _: None) as utterance:
        utterance.send(pcm16_16k)
        return await utterance.finish()


async def test_sentences_of_four_voices_are_understood(asr: TritonAsr) -> None:
    rates = []
    for sentence in SENTENCES:
        transcript = await recognise(asr, recording(sentence["file"]) + PAUSE)
        rates.append(word_error_rate(sentence["text"], transcript.text))
    assert sum(rates) / len(rates) <= 0.15


async def test_the_final_transcript_carries_its_words_in_time(asr: TritonAsr) -> None:
    sound = recording("what_time_is_it.wav") + PAUSE
    transcript = await recognise(asr, sound)
    assert transcript.is_final
    assert transcript.stable_chars == len(transcript.text)
    assert transcript.text == " ".join(word.text for word in transcript.words)
    assert all(0 < word.probability <= 1 for word in transcript.words)
    assert 0.2 < transcript.words[0].start_s < 0.5  # the recording begins with 0.3 s of silence
    assert transcript.words[-1].end_s < len(sound) / 32_000
    assert all(one.end_s <= other.start_s for one, other in zip(transcript.words, transcript.words[1:], strict=False))


async def test_partials_grow_while_one_speaks_and_their_stable_part_never_changes(asr: TritonAsr) -> None:
    partials: list[Transcript] = []
    sound = recording("history_of_music.wav") + PAUSE
    async with asr.utterance(on_partial=partials.append) as utterance:
        for start in range(0, len(sound), 640):
            utterance.send(sound[start : start + 640])
            await asyncio.sleep(0.02)
        final = await utterance.finish()
    assert len(partials) > 5
    assert not any(partial.is_final for partial in partials)
    assert len(words(partials[-1].text)) >= 4
    for earlier, later in zip(partials, [*partials[1:], final], strict=True):
        assert later.stable_chars >= earlier.stable_chars
        assert later.text[: earlier.stable_chars] == earlier.text[: earlier.stable_chars]


async def test_what_is_handed_over_is_answered_before_more_is_said(asr: TritonAsr) -> None:
    answered = asyncio.Event()
    async with asr.utterance(on_partial=lambda _: answered.set()) as utterance:
        utterance.send(PAUSE[:3_200])  # less than is sent at a time
        utterance.hand_over()
        async with asyncio.timeout(30):
            await answered.wait()
        utterance.hand_over()  # nothing is left
        assert (await utterance.finish()).text == ""


async def test_a_flush_answers_for_all_sound_so_far_and_end_repeats_it(asr: TritonAsr) -> None:
    async with asr.utterance(on_partial=lambda _: None) as utterance:
        utterance.send(recording("what_is_your_name.wav") + PAUSE)
        flushed = await utterance.flush()
        utterance.send(PAUSE)
        final = await utterance.finish()
    assert flushed.is_final
    assert word_error_rate("what is your name", flushed.text) <= 0.25
    assert (final.text, final.words) == (flushed.text, flushed.words)
    assert final.stable_chars == len(final.text)


async def test_an_utterance_goes_on_after_a_flush(asr: TritonAsr) -> None:
    async with asr.utterance(on_partial=lambda _: None) as utterance:
        utterance.send(recording("tell_me_a_story.wav") + PAUSE)
        first = await utterance.flush()
        utterance.send(recording("thank_you.wav") + PAUSE)
        final = await utterance.finish()
    assert word_error_rate("tell me a story", first.text) <= 0.25
    assert word_error_rate("tell me a story thank you very much for your help", final.text) <= 0.2
    assert final.words[-1].start_s > first.words[-1].end_s


async def test_many_utterances_at_once_keep_their_own_words(asr: TritonAsr) -> None:
    chosen = SENTENCES[:8]
    transcripts = await asyncio.gather(*(recognise(asr, recording(sentence["file"]) + PAUSE) for sentence in chosen))
    rates = [
        word_error_rate(sentence["text"], transcript.text)
        for sentence, transcript in zip(chosen, transcripts, strict=True)
    ]
    assert sum(rates) / len(rates) <= 0.15


@pytest.mark.parametrize("level", [0, 300, 3_000])
async def test_silence_and_noise_have_no_words(asr: TritonAsr, level: int) -> None:
    noise = np.random.default_rng(1).normal(0, level, 32_000).astype(np.int16).tobytes()
    transcript = await recognise(asr, noise)
    assert (transcript.text, transcript.words) == ("", ())


async def test_speech_longer_than_half_a_minute_is_understood_from_beginning_to_end(asr: TritonAsr) -> None:
    said = SENTENCES[:17]
    async with asr.utterance(on_partial=lambda _: None) as utterance:
        for sentence in said:
            utterance.send(recording(sentence["file"]) + PAUSE)
        transcript = await utterance.finish()
    assert transcript.words[-1].end_s > 30
    assert word_error_rate(" ".join(sentence["text"] for sentence in said), transcript.text) <= 0.15


async def test_leaving_an_utterance_closes_its_sequence(triton: RunningTriton, client: TritonClient) -> None:
    async with TritonAsr(client).utterance(on_partial=lambda _: None) as utterance:
        utterance.send(recording("weather.wav"))
        await utterance.flush()
        sequence = utterance.sequence_id
    with pytest.raises(BackendRejectedError, match="START"):
        await ask(client, sequence, silence())


async def test_cancelling_the_task_of_an_utterance_closes_its_sequence(client: TritonClient) -> None:
    listening = asyncio.Event()
    sequences: list[int] = []

    async def listen() -> None:
        async with TritonAsr(client).utterance(on_partial=lambda _: listening.set()) as utterance:
            utterance.send(recording("weather.wav"))
            sequences.append(utterance.sequence_id)
            await asyncio.Event().wait()

    task = asyncio.create_task(listen())
    await listening.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(BackendRejectedError, match="START"):
        await ask(client, sequences[0], silence())


async def test_a_lost_server_fails_the_open_utterance(tmp_path: Path) -> None:
    with run_triton(asr_alone(tmp_path)) as triton:
        client = TritonClient(triton.grpc_url)
        utterance = TritonAsr(client).utterance(on_partial=lambda _: None)
        await utterance.__aenter__()
        utterance.send(recording("weather.wav"))
        await utterance.flush()
    with pytest.raises(BackendUnavailableError):
        await utterance.finish()
    await utterance.__aexit__(None, None, None)
    await client.close()


async def test_an_error_of_whoever_reads_partials_ends_the_utterance_and_is_not_lost(asr: TritonAsr) -> None:
    told = asyncio.Event()

    def broken(_: Transcript) -> None:
        told.set()
        raise ZeroDivisionError

    async def ask() -> None:
        async with asr.utterance(on_partial=broken) as utterance:
            utterance.send(recording("what_time_is_it.wav"))
            await told.wait()
            with pytest.raises(BackendUnavailableError):
                await utterance.finish()

    async with asyncio.timeout(10):  # and not the recogniser's deadline
        with pytest.raises(ZeroDivisionError):
            await ask()
    assert (await recognise(asr, recording("what_time_is_it.wav") + PAUSE)).text == "what time is it"
