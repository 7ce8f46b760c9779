"""The embedded asr model as any client of Triton sees it: sequences, inputs that are refused, metrics."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from orchestrator.errors import BackendRejectedError
from orchestrator.triton import tensors
from orchestrator.triton.client import TritonClient
from tests.engines.recordings import PAUSE, recording
from tests.model_repository.sequences import ask, asr_alone, new_sequence, silence, spoken
from tests.servers.triton import RunningTriton, run_triton
from tests.triton.metrics import settled_metric, until_metric


@pytest.fixture
async def client(triton: RunningTriton) -> AsyncIterator[TritonClient]:
    client = TritonClient(triton.grpc_url)
    yield client
    await client.close()


async def test_each_request_has_one_response_with_all_four_outputs(client: TritonClient) -> None:
    answer = await ask(client, new_sequence(), silence(), start=True, end=True)
    assert answer == {"transcript": b"", "stable_chars": 0, "is_final": True, "words": b"[]"}


async def test_empty_audio_is_refused_and_the_sequence_goes_on(client: TritonClient) -> None:
    sequence = new_sequence()
    with pytest.raises(BackendRejectedError, match="audio is empty"):
        await ask(client, sequence, silence(0), start=True)
    assert (await ask(client, sequence, silence(), end=True))["is_final"]


async def test_over_long_audio_is_refused_and_the_sequence_goes_on(client: TritonClient) -> None:
    sequence = new_sequence()
    with pytest.raises(BackendRejectedError, match="31 s long: one request takes at most 30 s"):
        await ask(client, sequence, silence(31 * 16_000), start=True)
    assert (await ask(client, sequence, silence(), end=True))["is_final"]


async def test_audio_of_an_odd_number_of_bytes_is_refused(client: TritonClient) -> None:
    request = tensors.request(
        "asr", {"audio": silence(100)}, parameters={"sequence_id": new_sequence(), "sequence_start": True}
    )
    request.raw_input_contents[0] = request.raw_input_contents[0][:-1]
    stream = client.open("asr")
    stream.write(request)
    with pytest.raises(BackendRejectedError, match="byte size"):
        await stream.read(5)
    stream.cancel()


async def test_samples_of_another_type_are_refused(client: TritonClient) -> None:
    with pytest.raises(BackendRejectedError, match="INT16"):
        await ask(client, new_sequence(), silence().astype(np.float32), start=True)


async def test_an_unknown_language_is_refused_by_name(client: TritonClient) -> None:
    klingon = {"language": np.array([[b"tlh"]], np.object_)}
    with pytest.raises(BackendRejectedError, match="unknown language 'tlh'; available: en"):
        await ask(client, new_sequence(), silence(), start=True, **klingon)


async def test_a_regional_kind_of_english_is_english(client: TritonClient) -> None:
    options = {"language": np.array([[b"en-GB"]], np.object_), "hotwords": np.array([[b"Triton"]], np.object_)}
    assert await ask(client, new_sequence(), silence(), start=True, end=True, **options)


async def test_a_sequence_without_start_is_refused(client: TritonClient) -> None:
    with pytest.raises(BackendRejectedError, match="must specify the START flag"):
        await ask(client, new_sequence(), silence())


async def test_a_request_outside_of_a_sequence_is_refused(client: TritonClient) -> None:
    with pytest.raises(BackendRejectedError, match="non-zero"):
        await ask(client, 0, silence())


async def test_starting_a_sequence_again_forgets_what_was_said(client: TritonClient) -> None:
    sequence = new_sequence()
    await ask(client, sequence, spoken(recording("weather.wav")), start=True)
    answer = await ask(client, sequence, silence(), start=True, end=True)
    assert answer["transcript"] == b""


async def test_sound_is_counted(triton: RunningTriton, client: TritonClient) -> None:
    name = "goassist_asr_audio_input_seconds_total"
    before = await settled_metric(triton.metrics_url, name)
    await ask(client, new_sequence(), silence(16_000), start=True, end=True)
    assert await until_metric(triton.metrics_url, name, before + 1) >= before + 1


async def test_a_sequence_that_is_silent_for_too_long_must_start_anew(tmp_path: Path) -> None:
    repository = asr_alone(tmp_path, **{"idle_microseconds: 60000000": "idle_microseconds: 1000000"})
    with run_triton(repository) as triton:
        client = TritonClient(triton.grpc_url)
        sequence = new_sequence()
        await ask(client, sequence, silence(), start=True)
        await asyncio.sleep(3)
        with pytest.raises(BackendRejectedError, match="must specify the START flag"):
            await ask(client, sequence, silence())
        assert await ask(client, sequence, silence(), start=True, end=True)
        await client.close()


async def test_a_caller_that_vanishes_in_mid_utterance_leaves_its_decoder_to_others(tmp_path: Path) -> None:
    decoders = 'key: "decoders" value { string_value: '
    with run_triton(asr_alone(tmp_path, **{f'{decoders}"6" }}': f'{decoders}"1" }}'})) as triton:
        vanishing = TritonClient(triton.grpc_url)
        await ask(vanishing, new_sequence(), spoken(recording("weather.wav")), start=True)
        await vanishing.close()
        client = TritonClient(triton.grpc_url)
        question = spoken(recording("what_time_is_it.wav") + PAUSE)
        answer = await ask(client, new_sequence(), question, start=True, end=True)
        assert answer["transcript"] == b"what time is it"
        await client.close()


async def test_an_utterance_that_never_ends_is_refused_further_sound(tmp_path: Path) -> None:
    limit = 'key: "max_utterance_s" value { string_value: '
    repository = asr_alone(tmp_path, **{f'{limit}"300" }}': f'{limit}"2" }}'})
    with run_triton(repository) as triton:
        client = TritonClient(triton.grpc_url)
        sequence = new_sequence()
        await ask(client, sequence, silence(30_000), start=True)
        with pytest.raises(BackendRejectedError, match="longer than 2 s: end the sequence"):
            await ask(client, sequence, silence(30_000))
        assert await ask(client, sequence, silence(1_000), end=True)
        await client.close()
