"""Each engine's first chunk, asked for directly and through Triton: what benchmarks/model_cost.py compares."""

import asyncio
import queue
import re
import statistics
import time
import urllib.request
import wave
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.model_cost import ROOT
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
COUNTED_WITHIN_S = 5.0
"""A request that has ended reaches the metrics page after 0.2 s (engines/metrics.py), on a busy machine later."""
Way = Callable[[], Awaitable[float]]
"""Asks once; seconds from the request to the first chunk."""


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds to the first chunk: of the engine, and of the client that asks through Triton.

    `own_s` is what the engine's own clock says of the same request, where it has one.
    """

    engine_s: float
    client_s: float
    own_s: float | None = None


@dataclass(frozen=True, slots=True)
class Compared:
    """An engine to compare: what is asked for, asking once (given the number of the pair), and what ends it."""

    what: str
    ask: Callable[[int], Awaitable[Took]]
    close: Callable[[], None]


async def compare(engine: str, url: str, metrics_url: str, weights: Path | None, pairs: int) -> dict[str, Any]:
    """The figures of one engine; `url` is host:port of Triton's gRPC, `metrics_url` its Prometheus page."""
    client = TritonClient(url)
    compared = in_triton(client, metrics_url) if engine == "vllm" else _BESIDE[engine](client, weights)
    for number in range(WARM_UP):
        await compared.ask(number)
    took = [await compared.ask(number) for number in range(pairs)]
    await client.close()
    compared.close()
    added = sorted(each.client_s - each.engine_s for each in took)
    own = [each.own_s for each in took if each.own_s is not None]
    by_itself = f"; {1e3 * statistics.median(own):.2f} ms by the engine's own clock" if own else ""
    return {
        "engine": engine,
        "what": compared.what + by_itself,
        "direct_ms": 1e3 * statistics.median(each.engine_s for each in took),
        "triton_ms": 1e3 * statistics.median(each.client_s for each in took),
        "added_ms": 1e3 * statistics.median(added),
        "added_p95_ms": 1e3 * added[len(added) * 95 // 100],
    }


def beside(what: str, direct: Way, through_triton: Way, close: Callable[[], None]) -> Compared:
    """An engine that runs a second time in this process: each is asked, the one first as often as the other."""

    async def ask(number: int) -> Took:
        if number % 2:
            engine_s = await direct()
            return Took(engine_s, await through_triton())
        client_s = await through_triton()
        return Took(await direct(), client_s)

    return Compared(what, ask, close)


async def _first(client: TritonClient, model: str, inputs: dict[str, tensors.Array]) -> float:
    begun = time.perf_counter()
    async with aclosing(client.stream(model, inputs, timeout_s=TIMEOUT_S)) as responses:
        await anext(responses)
        took = time.perf_counter() - begun
        async for _ in responses:  # to the end: what is cancelled may still compute
            pass
    return took


def _speech(client: TritonClient, engine: Any) -> Compared:
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
    return beside("tts: a sentence of nine words", direct, through_triton, engine.close)


def _flite(client: TritonClient, _: Path | None) -> Compared:
    from engines.flite import Flite

    return _speech(client, Flite())


def _kokoro(client: TritonClient, weights: Path | None) -> Compared:
    from engines.kokoro import Kokoro

    return _speech(client, Kokoro.from_parameters({"model_path": str(weights), "device": "cpu"}))


def _llm_inputs(sampling: str) -> dict[str, tensors.Array]:
    true = np.array([True])
    texts = {"text_input": PROMPT, "sampling_parameters": sampling}
    made: dict[str, tensors.Array] = {name: np.array([text.encode()], np.object_) for name, text in texts.items()}
    return made | {"stream": true, "exclude_input_in_output": true}


def _eliza(client: TritonClient, _: Path | None) -> Compared:
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

    return beside("llm: first word", direct, partial(_first, client, "llm", _llm_inputs(few)), lambda: None)


def in_triton(client: TritonClient, metrics_url: str, own_clock: str = "vllm:time_to_first_token_seconds") -> Compared:
    """A language model that runs in Triton alone: two vLLM on one machine's cores stand in each other's way.

    What it took of a request, from execute() to its first response, the model tells on Triton's metrics page; the
    engine's histogram `own_clock` is there, too. vLLM's runs from when it has the prompt to when it has the token.
    """
    inputs = _llm_inputs('{"max_tokens": 4, "temperature": 0, "ignore_eos": true}')
    clocks = ("goassist_llm_first_chunk_seconds", own_clock)

    async def ask(_: int) -> Took:
        before = await asyncio.to_thread(_read, metrics_url, clocks)
        client_s = await _first(client, "llm", inputs)
        deadline = time.monotonic() + COUNTED_WITHIN_S
        while time.monotonic() < deadline:
            counts, seconds = await asyncio.to_thread(_read, metrics_url, clocks) - before
            if all(counts == 1):
                return Took(float(seconds[0]), client_s, float(seconds[1]))
            await asyncio.sleep(0.02)
        raise TimeoutError(f"{metrics_url} has not counted one request in {' and '.join(clocks)}: who else asks?")

    return Compared("llm: first token", ask, lambda: None)


def _read(metrics_url: str, histograms: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """The counts and the sums of histograms, over all labels, 0 for one that is not there: [2, histograms]."""
    with urllib.request.urlopen(metrics_url, timeout=TIMEOUT_S) as page:
        text = page.read().decode()

    def total(name: str) -> float:
        values = re.findall(rf"^{re.escape(name)}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)
        return sum(map(float, values))

    return np.array([[total(f"{name}_{part}") for name in histograms] for part in ("count", "sum")])


def _recognition(client: TritonClient, engine: Transcriber[Any]) -> Compared:
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

    return beside("asr: flush after 1.1 s of speech", direct, through_triton, engine.close)


def _pocketsphinx(client: TritonClient, _: Path | None) -> Compared:
    from engines.pocketsphinx import Pocketsphinx

    return _recognition(client, Pocketsphinx.from_parameters({}))


def _whisper(client: TritonClient, weights: Path | None) -> Compared:
    from engines.faster_whisper import FasterWhisper
    from engines.whisper import Limits, Whisper

    assert weights is not None
    whisper = Whisper(weights, threads=1, limits=Limits(log_probability=-1e9, compression=1e9))
    return _recognition(client, FasterWhisper(whisper))


def _smart_turn(client: TritonClient, _: Path | None) -> Compared:
    from engines.smart_turn import SmartTurn

    engine = SmartTurn(ROOT / "models" / "turn" / "smart-turn-v3.0.onnx", threads=1)
    with wave.open(str(SPEECH)) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), np.int16)

    async def direct() -> float:
        begun = time.perf_counter()
        engine.completion([sound])
        return time.perf_counter() - begun

    through_triton = partial(_first, client, "turn", {"audio": sound[np.newaxis]})
    return beside("turn: 1.1 s of speech", direct, through_triton, lambda: None)


_BESIDE: dict[str, Callable[[TritonClient, Path | None], Compared]] = {
    "flite": _flite,
    "kokoro": _kokoro,
    "eliza": _eliza,
    "pocketsphinx": _pocketsphinx,
    "smart-turn": _smart_turn,
    "whisper": _whisper,
}
