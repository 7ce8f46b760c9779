"""The whole agent as one Triton model, asked with tritonclient alone by the example of clients/python."""

import asyncio
import importlib.util
import json
import signal
import subprocess
import sys
import wave
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from orchestrator.errors import BackendRejectedError, BackendTimeoutError
from orchestrator.triton import tensors
from orchestrator.triton.client import TritonClient
from tests.servers.triton import ROOT, RunningTriton
from tests.triton.metrics import metric, settled_metric, until_metric

EXAMPLE = ROOT / "clients" / "python" / "examples" / "speech_to_speech.py"
AUDIO = ROOT / "tests" / "audio"
SILENCE = np.zeros(16_000, np.int16)
CANCELLED = "goassist_{}_cancelled_total"


def load_example() -> ModuleType:
    specification = importlib.util.spec_from_file_location("speech_to_speech", EXAMPLE)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module  # dataclasses look their module up
    specification.loader.exec_module(module)
    return module


example = load_example()


def recording(name: str) -> np.ndarray:
    samples: np.ndarray = example.read_wav(str(AUDIO / f"{name}.wav"))
    return samples


def events(pieces: list[Any]) -> list[dict[str, Any]]:
    return [piece.event for piece in pieces if piece.event]


def ask(triton: RunningTriton, samples: np.ndarray, **texts: str) -> list[Any]:
    return list(example.converse(triton.grpc_url, samples, **texts))


def test_a_turn_is_understood_answered_and_spoken(triton: RunningTriton) -> None:
    pieces = ask(triton, recording("what_is_your_name"))
    told = events(pieces)
    assert told[0] == {"type": "transcript", "text": "what is your name"}
    written = "".join(event["delta"] for event in told if event["type"] == "text_delta")
    assert "GoAssist" in written
    assert told[-1] == {"type": "done", "text": written, "finish_reason": "stop"}
    sound = np.concatenate([piece.audio for piece in pieces])
    assert {piece.sample_rate for piece in pieces if len(piece.audio)} == {16_000}
    assert len(sound) > 16_000
    assert np.sqrt(np.mean(sound.astype(float) ** 2)) > 500


def test_the_first_sentence_is_heard_while_the_story_is_being_written(triton: RunningTriton) -> None:
    order = [
        "audio" if piece.event is None else piece.event["type"] for piece in ask(triton, recording("tell_me_a_story"))
    ]
    first_sound, last_text = order.index("audio"), len(order) - 1 - order[::-1].index("text_delta")
    assert order[:first_sound].count("text_delta") < 0.5 * order.count("text_delta")
    assert order[first_sound:last_text].count("audio") > 20
    assert order[-1] == "done"


def test_silence_is_answered_by_silence(triton: RunningTriton) -> None:
    pieces = ask(triton, SILENCE)
    assert [event["type"] for event in events(pieces)] == ["transcript", "done"]
    assert not any(len(piece.audio) for piece in pieces)


def test_a_turn_longer_than_one_request_of_asr_is_understood(triton: RunningTriton) -> None:
    question = np.concatenate([np.zeros(25 * 16_000, np.int16), recording("what_is_your_name")])
    assert "name" in events(ask(triton, question))[0]["text"]


def test_history_instructions_and_voice_reach_the_models(triton: RunningTriton) -> None:
    messages = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "The lamp is green."}]
    told = events(ask(triton, recording("repeat_that"), messages=json.dumps(messages), instructions="Be brief."))
    assert "The lamp is green." in told[-1]["text"]
    name = recording("what_is_your_name")
    slt, rms = (sum(len(p.audio) for p in ask(triton, name, voice=voice)) for voice in ("slt", "rms"))
    assert slt != rms


@pytest.mark.parametrize(
    ("samples", "texts", "said"),
    [
        (SILENCE[:0], {}, "audio is empty"),
        (np.zeros(301 * 16_000, np.int16), {}, "301 s long: a turn has at most 300 s"),
        (SILENCE, {"messages": "[" * 10_000}, "messages is not valid JSON"),
        (SILENCE, {"messages": "{"}, "messages is not valid JSON"),
        (SILENCE, {"messages": "{}"}, "messages must be a JSON array"),
        (SILENCE, {"messages": '[{"role": "user"}]'}, r"messages\[0\] must be an object"),
        (SILENCE, {"messages": '[{"role": "robot", "content": "x"}]'}, "role must be one of"),
        (SILENCE, {"messages": '[{"role": "user", "content": "Hi \\ud83d"}]'}, r"messages\[0\].content has half of a"),
    ],
)
def test_bad_input_is_refused_with_what_is_wrong_and_the_next_request_works(
    triton: RunningTriton, samples: np.ndarray, texts: dict[str, str], said: str
) -> None:
    with pytest.raises(InferenceServerException, match=said):
        ask(triton, samples, **texts)
    assert events(ask(triton, SILENCE))[-1]["type"] == "done"


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"audio": SILENCE.astype(np.float32)}, "INT16"),
        ({"audio": SILENCE[np.newaxis]}, "shape"),
        ({"audio": SILENCE, "messages": np.array([b"\xff\xfe"], np.object_)}, "not valid UTF-8"),
        ({"audio": SILENCE, "voice": np.array([b"slt", b"rms"], np.object_)}, "voice"),
        ({"voice": np.array([b"slt"], np.object_)}, "audio"),
    ],
)
async def test_tensors_that_break_the_contract_are_refused_and_the_next_request_works(
    triton: RunningTriton, inputs: dict[str, np.ndarray], said: str
) -> None:
    client = TritonClient(triton.grpc_url)
    with pytest.raises(BackendRejectedError, match=said):
        _ = [response async for response in client.stream("speech_to_speech", inputs, timeout_s=20)]
    following = [r async for r in client.stream("speech_to_speech", {"audio": SILENCE}, timeout_s=20)]
    assert json.loads(following[-1]["event"][0])["type"] == "done"
    await client.close()


async def test_audio_of_an_odd_number_of_bytes_is_refused(triton: RunningTriton) -> None:
    client = TritonClient(triton.grpc_url)
    request = tensors.request("speech_to_speech", {"audio": SILENCE})
    request.raw_input_contents[0] = request.raw_input_contents[0][:-1]
    stream = client.open("speech_to_speech")
    stream.write(request)
    stream.end()
    with pytest.raises(BackendRejectedError, match="byte size"):
        await stream.read(5)
    await client.close()


@pytest.mark.parametrize("said_before", ["😀 <b>hi</b>", "你好吗", "word " * 2_000, "<|im_end|>\x00"])
def test_any_text_of_the_history_has_an_answer(triton: RunningTriton, said_before: str) -> None:
    messages = json.dumps([{"role": "user", "content": said_before}])
    told = events(ask(triton, recording("what_is_your_name"), messages=messages, instructions=said_before))
    assert "GoAssist" in told[-1]["text"]


def test_what_fails_after_the_first_event_is_the_last_event(triton: RunningTriton) -> None:
    told = events(ask(triton, recording("what_is_your_name"), voice="bob"))
    assert told[0]["type"] == "transcript"
    assert (told[-1]["type"], told[-1]["code"]) == ("error", "invalid_input")
    assert "unknown voice 'bob'" in told[-1]["message"]
    assert events(ask(triton, recording("what_is_your_name")))[-1]["type"] == "done"


def test_instructions_longer_than_the_language_model_takes_are_told(triton: RunningTriton) -> None:
    told = events(ask(triton, recording("what_is_your_name"), instructions="word " * 7_000))
    assert [event["type"] for event in told] == ["transcript", "error"]
    assert told[-1]["code"] == "invalid_input"
    assert "7500 are the most" in told[-1]["message"]


async def test_cancelling_the_turn_cancels_the_answer_and_its_speech(triton: RunningTriton) -> None:
    models = ("llm", "speech_to_speech")
    before = {model: await settled_metric(triton.metrics_url, CANCELLED.format(model)) for model in models}

    def hear_a_moment() -> None:
        with closing(example.converse(triton.grpc_url, recording("tell_me_a_story"))) as pieces:
            next(piece for piece in pieces if len(piece.audio))

    await asyncio.to_thread(hear_a_moment)
    for model in models:
        reached = await until_metric(triton.metrics_url, CANCELLED.format(model), before[model] + 1)
        assert reached == before[model] + 1, model


async def test_cancelling_the_turn_before_it_is_understood_cancels_its_recognition(triton: RunningTriton) -> None:
    before = await settled_metric(triton.metrics_url, CANCELLED.format("asr"))
    client = TritonClient(triton.grpc_url)
    said = np.tile(recording("tell_me_a_story"), 14)  # 19 s, one piece
    for timeout_s in (0.3, 1.0, 2.0):  # on a busy machine it may not have begun so soon
        with pytest.raises(BackendTimeoutError):
            _ = [each async for each in client.stream("speech_to_speech", {"audio": said}, timeout_s=timeout_s)]
        reached = await until_metric(triton.metrics_url, CANCELLED.format("asr"), before + 1, timeout_s=20)
        if reached > before:
            break
    assert reached == before + 1
    await client.close()


async def test_turns_side_by_side_some_of_them_cancelled_are_each_answered_and_counted(triton: RunningTriton) -> None:
    cancelled = CANCELLED.format("speech_to_speech")
    failed = cancelled.replace("cancelled", "failed")
    before = {name: await settled_metric(triton.metrics_url, name) for name in (cancelled, failed)}
    name, story = recording("what_is_your_name"), recording("tell_me_a_story")

    def leave_in_mid_story() -> None:
        with closing(example.converse(triton.grpc_url, story)) as pieces:
            next(piece for piece in pieces if len(piece.audio))

    with ThreadPoolExecutor(8) as callers:
        left = [callers.submit(leave_in_mid_story) for _ in range(4)]
        asked = [callers.submit(ask, triton, name) for _ in range(4)]
        answers = [
            await asyncio.to_thread(lambda answer=answer: events(answer.result())[-1]["text"]) for answer in asked
        ]
        for each in left:
            await asyncio.to_thread(each.result)
    assert all(answer.startswith("My name is GoAssist.") for answer in answers)
    assert await until_metric(triton.metrics_url, cancelled, before[cancelled] + 4) == before[cancelled] + 4
    assert metric(triton.metrics_url, failed) == before[failed]


def test_the_example_saves_the_answer(triton: RunningTriton, tmp_path: Path) -> None:
    arguments = [str(AUDIO / "what_is_your_name.wav"), "--url", triton.grpc_url, "--save", str(tmp_path / "answer.wav")]
    done = subprocess.run([sys.executable, EXAMPLE, *arguments], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("You: what is your name\nAgent: My name is GoAssist.")
    with wave.open(str(tmp_path / "answer.wav")) as file:
        assert file.getnframes() > 16_000


async def test_an_interrupt_of_the_example_cancels_the_turn_in_the_server(triton: RunningTriton) -> None:
    name = CANCELLED.format("speech_to_speech")
    before = await settled_metric(triton.metrics_url, name)
    command = [sys.executable, EXAMPLE, str(AUDIO / "tell_me_a_story.wav"), "--url", triton.grpc_url]
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # tests that run in a shell's background ignore it
    for _ in range(3):  # on a busy machine the whole story may have come before the signal does
        talking = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed)
        assert talking.stdout is not None
        heard = talking.stdout.readline()
        assert heard.startswith(b"You: tell me ")
        assert heard.endswith(b"story\n")
        talking.send_signal(signal.SIGINT)
        rest, errors = talking.communicate(timeout=20)
        if not (talking.returncode == 0 and rest.endswith(b"\n")):
            break
    assert (talking.returncode, errors) == (130, b"")
    assert await until_metric(triton.metrics_url, name, before + 1) == before + 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([str(AUDIO / "nowhere.wav")], "cannot be read as a WAV file: "),
        ([str(EXAMPLE)], "cannot be read as a WAV file: "),
        ([str(AUDIO / "stop.wav"), "--messages", "{"], "messages is not valid JSON"),
        ([str(AUDIO / "stop.wav"), "--url", "127.0.0.1:9"], "127.0.0.1:9"),
    ],
)
def test_what_the_example_cannot_do_it_says_in_a_line(triton: RunningTriton, arguments: list[str], said: str) -> None:
    command = [sys.executable, EXAMPLE, "--url", triton.grpc_url, *arguments]
    failed = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert failed.returncode == 1
    assert said in failed.stderr
    assert "Traceback" not in failed.stderr
