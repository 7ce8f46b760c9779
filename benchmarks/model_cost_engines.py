"""Each engine's first chunk, asked for directly and through Triton: what benchmarks/model_cost.py compares."""

import asyncio
import queue
import statistics
import time
import wave
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.model_cost import ROOT, vllm_arguments
from engines.transcriber import Ask, Hypothesis, Piece, Transcriber
from orchestrator.core.history import Message
from orchestrator.triton import tensors
from orchestrator.triton.asr import SILENCE, TritonAsr
from orchestrator.triton.client import TritonClient
from orchestrator.triton.prompt import ChatTemplate

WARM_UP = 5
TEXT = "The train leaves in ten minutes from platform nine."
PROMPT = ChatTemplate().render([Message("user", "What can you do?")])
SPEECH = ROOT / "tests" / "audio" / "what_time_is_it.wav"
TIMEOUT_S = 60.0
Way = Callable[[], Awaitable[float]]
"""Asks once; seconds from the request to the first chunk."""


async def compare(engine: str, url: str, weights: Path | None, pairs: int) -> dict[str, Any]:
    """Ask both ways in turn, the one first as often as the other."""
    client = TritonClient(url)
    # In a thread, as in Triton: vLLM would join an event loop that runs where it is made, and answer there.
    what, direct, through_triton, close = await asyncio.to_thread(_WAYS[engine], client, weights)
    took: dict[Way, list[float]] = {direct: [], through_triton: []}
    for number in range(-WARM_UP, pairs):
        for way in (direct, through_triton) if number % 2 else (through_triton, direct):
            seconds = await way()
            if number >= 0:
                took[way].append(1e3 * seconds)
    added = sorted(triton - alone for triton, alone in zip(took[through_triton], took[direct], strict=True))
    await client.close()
    close()
    return {
        "engine": engine,
        "what": what,
        "direct_ms": statistics.median(took[direct]),
        "triton_ms": statistics.median(took[through_triton]),
        "added_ms": statistics.median(added),
        "added_p95_ms": added[len(added) * 95 // 100],
    }


async def _first(client: TritonClient, model: str, inputs: dict[str, tensors.Array]) -> float:
    begun = time.perf_counter()
    async with aclosing(client.stream(model, inputs, timeout_s=TIMEOUT_S)) as responses:
        await anext(responses)
        took = time.perf_counter() - begun
        async for _ in responses:  # to the end: what is cancelled may still compute
            pass
    return took


Ways = tuple[str, Way, Way, Callable[[], None]]


def _speech(client: TritonClient, engine: Any) -> Ways:
    async def direct() -> float:
        begun = time.perf_counter()
        sound = engine.synthesize(TEXT, voice=None, language=None, speed=1.0)
        while not len(next(sound)):  # Kokoro says with an empty chunk that it is still at work
            pass
        took = time.perf_counter() - begun
        for _ in sound:
            pass
        return took

    through_triton = partial(_first, client, "tts", {"text": np.array([TEXT.encode()], np.object_)})
    return "tts: a sentence of nine words", direct, through_triton, engine.close


def _flite(client: TritonClient, _: Path | None) -> Ways:
    from engines.flite import Flite

    return _speech(client, Flite())


def _kokoro(client: TritonClient, weights: Path | None) -> Ways:
    from engines.kokoro import Kokoro

    return _speech(client, Kokoro.from_parameters({"model_path": str(weights), "device": "cpu"}))


def _llm_inputs(sampling: str) -> dict[str, tensors.Array]:
    true = np.array([True])
    texts = {"text_input": PROMPT, "sampling_parameters": sampling}
    made: dict[str, tensors.Array] = {name: np.array([text.encode()], np.object_) for name, text in texts.items()}
    return made | {"stream": true, "exclude_input_in_output": true}


def _eliza(client: TritonClient, _: Path | None) -> Ways:
    from engines import sampling
    from engines.eliza import Eliza

    eliza, few = Eliza(), '{"max_tokens": 8}'

    async def direct() -> float:
        begun = time.perf_counter()
        words = eliza.generate(PROMPT, sampling.parse(few))
        next(words)
        took = time.perf_counter() - begun
        for _ in words:
            pass
        return took

    return "llm: first word", direct, partial(_first, client, "llm", _llm_inputs(few)), lambda: None


def _vllm(client: TritonClient, weights: Path | None) -> Ways:
    from engines.vllm_backend import sampling
    from engines.vllm_backend.engine import Engine

    assert weights is not None
    engine, few = Engine(vllm_arguments(weights)), '{"max_tokens": 4, "temperature": 0, "ignore_eos": true}'

    async def answer() -> float:
        begun = time.perf_counter()
        outputs = engine.generate(PROMPT, sampling.sampling(sampling.parsed(few), stream=True))
        async with aclosing(outputs):
            await anext(outputs)
            took = time.perf_counter() - begun
            async for _ in outputs:
                pass
        return took

    async def direct() -> float:
        return await asyncio.wrap_future(engine.submit(answer()))

    return "llm: first token", direct, partial(_first, client, "llm", _llm_inputs(few)), engine.close


def _recognition(client: TritonClient, engine: Transcriber[Any]) -> Ways:
    with wave.open(str(SPEECH)) as file:
        sound = file.readframes(file.getnframes())

    def answered(utterance: Any, pcm16_16k: bytes, ask: Ask) -> None:
        answers: queue.SimpleQueue[Hypothesis | BaseException] = queue.SimpleQueue()
        engine.transcribe([Piece(utterance, pcm16_16k, ask, lambda answer, _: answers.put(answer))])
        if isinstance(answer := answers.get(timeout=TIMEOUT_S), BaseException):
            raise answer

    async def direct() -> float:
        utterance = engine.open(language=None, hotwords=None)
        answered(utterance, sound, Ask.PARTIAL)
        begun = time.perf_counter()
        answered(utterance, SILENCE, Ask.FLUSH)
        took = time.perf_counter() - begun
        engine.forget(utterance)
        return took

    async def through_triton() -> float:
        partial_result = asyncio.Event()
        async with TritonAsr(client).utterance(on_partial=lambda _: partial_result.set()) as utterance:
            utterance.send(sound)
            await partial_result.wait()
            begun = time.perf_counter()
            await utterance.flush()
            return time.perf_counter() - begun

    return "asr: flush after 1.1 s of speech", direct, through_triton, engine.close


def _pocketsphinx(client: TritonClient, _: Path | None) -> Ways:
    from engines.pocketsphinx import Pocketsphinx

    return _recognition(client, Pocketsphinx.from_parameters({}))


def _whisper(client: TritonClient, weights: Path | None) -> Ways:
    from engines.faster_whisper import FasterWhisper
    from engines.whisper import Limits, Whisper

    assert weights is not None
    whisper = Whisper(weights, threads=1, limits=Limits(log_probability=-1e9, compression=1e9))
    return _recognition(client, FasterWhisper(whisper))


def _smart_turn(client: TritonClient, _: Path | None) -> Ways:
    from engines.smart_turn import SmartTurn

    engine = SmartTurn(ROOT / "models" / "turn" / "smart-turn-v3.2-cpu.onnx", threads=1)
    with wave.open(str(SPEECH)) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), np.int16)

    async def direct() -> float:
        begun = time.perf_counter()
        engine.completion([sound])
        return time.perf_counter() - begun

    through_triton = partial(_first, client, "turn", {"audio": sound[np.newaxis]})
    return "turn: 1.1 s of speech", direct, through_triton, lambda: None


_WAYS: dict[str, Callable[[TritonClient, Path | None], Ways]] = {
    "flite": _flite,
    "kokoro": _kokoro,
    "eliza": _eliza,
    "vllm": _vllm,
    "pocketsphinx": _pocketsphinx,
    "smart-turn": _smart_turn,
    "whisper": _whisper,
}
