"""Whisper over CTranslate2 on a GPU, for `benchmarks/engines_gpu.py`: calls, batches, and the project's own engine.

A model with random weights writes without end. A call of CTranslate2 is given a fixed number of tokens here; the
engine has its own limit, which is three times what people say, so that its figures are those of the worst case.
"""

import json
import os
import statistics
import time
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import ctranslate2
import numpy as np
import numpy.typing as npt

from benchmarks.asr import CHUNK_BYTES, CHUNK_S, SPEECH, p95
from benchmarks.gpu_whisper_weights import make_base, make_turbo
from engines.audio import BYTES_PER_S
from engines.faster_whisper import FasterWhisper
from engines.transcriber import Ask, Piece
from engines.whisper import Limits, Whisper

TOKENS = 24
STREAMS = 16
"""Windows that are decoded in one call and one after another, and streams of the engine."""
BATCHES = (1, 8, 16, 32, 64, 128)
PERIOD_S = 0.5
"""Each stream is decoded again twice a second: a batch that takes longer cannot keep up."""
ROUNDS = 6
"""Each stream says a second, asks for the best hypothesis, waits for it, and goes on: so often."""
PACE_STREAMS = (16, 50, 100)
PACE_S = 6.4
PACE_UTTERANCES = 2
REPEATS = 10

Floats = npt.NDArray[np.float32]
Figures = dict[str, Any]


def figures(folder: Path, *, rehearsal: bool) -> Iterator[Figures]:
    """All of them, a dictionary for each line."""
    # A new cache, so that the first call is that of a new machine.
    os.environ["CUDA_CACHE_PATH"] = str(folder / "compiled")
    base = make_base(folder, rehearsal=rehearsal)
    turbo = make_turbo(folder, base, rehearsal=rehearsal)
    for weights in (base, turbo):
        model = Model(weights, rehearsal=rehearsal)
        yield {"model": weights.name, "part": "first calls", **first_calls(model)}
        yield {"model": weights.name, "part": "windows", **windows(model, repeats=2 if rehearsal else REPEATS)}
        if weights == turbo:
            for size in BATCHES[:2] if rehearsal else BATCHES:
                yield {"model": weights.name, "part": "batch", **batch(model, size)}
        model.close()
        yield {"model": weights.name, "part": "engine", **engine_batching(weights, rehearsal=rehearsal)}
    for streams in (2,) if rehearsal else PACE_STREAMS:
        for ends in ("together", "spread"):
            yield {"model": "turbo", "part": "pace", **pace(turbo, streams, ends, rehearsal=rehearsal)}


def milliseconds(seconds: float) -> float:
    """Rounded to tenths."""
    return round(1e3 * seconds, 1)


# CTranslate2 itself ------------------------------------------------------------------------------------------------


class Model:
    """CTranslate2's model, which writes TOKENS tokens about each window."""

    def __init__(self, weights: Path, *, rehearsal: bool) -> None:
        begun = time.perf_counter()
        self._model = ctranslate2.models.Whisper(str(weights), **device(rehearsal))
        self.load_s = time.perf_counter() - begun
        self._mels = json.loads((weights / "preprocessor_config.json").read_text())["feature_size"]
        added = json.loads((weights / "tokenizer.json").read_text())["added_tokens"]
        ids = {each["content"]: each["id"] for each in added}
        self._prompt = [ids["<|startoftranscript|>"], ids["<|notimestamps|>"]]
        self._end = ids["<|endoftext|>"]

    def noise(self, count: int) -> Floats:
        """As many windows of 30 s."""
        return np.random.default_rng(1).standard_normal((count, self._mels, 3_000)).astype(np.float32)

    def call(self, features: Floats) -> float:
        """Seconds that a call for all of these windows takes."""
        begun = time.perf_counter()
        results = self._model.generate(
            ctranslate2.StorageView.from_array(features),
            [self._prompt] * len(features),
            beam_size=1,
            max_length=2 * TOKENS,  # CTranslate2 writes half of it
            suppress_tokens=[self._end],
        )
        took_s = time.perf_counter() - begun
        written = {len(result.sequences_ids[0]) for result in results}
        if written != {TOKENS}:
            raise RuntimeError(f"windows got {written} tokens and not {TOKENS}")
        return took_s

    def close(self) -> None:
        """Free the device's memory."""
        self._model.unload_model()


def device(rehearsal: bool) -> dict[str, Any]:
    """Where the model is, and in which numbers."""
    return {"device": "cpu", "compute_type": "int8"} if rehearsal else {"device": "cuda", "compute_type": "float16"}


def first_calls(model: Model) -> Figures:
    """The first call compiles CTranslate2's kernels where it has none for this GPU."""
    first_s, next_s = (model.call(model.noise(1)) for _ in range(2))
    return {
        "load_s": round(model.load_s, 1), "first_call_ms": milliseconds(first_s), "next_call_ms": milliseconds(next_s),
    }  # fmt: skip


def windows(model: Model, *, repeats: int) -> Figures:
    """STREAMS windows that come at once, decoded one after another and in one call: until each is answered."""
    features = model.noise(STREAMS)
    rows: list[Figures] = []
    for parts in ([features[number : number + 1] for number in range(STREAMS)], [features]):
        ends: list[float] = []
        wall_s = 0.0
        for round_ in range(repeats + 1):
            at_s = 0.0
            for part in parts:
                at_s += model.call(part)
                if round_:  # the first one warms up
                    ends += [at_s] * len(part)
            wall_s += at_s if round_ else 0.0
        rows.append({
            "calls": len(parts), "per_s": round(STREAMS * repeats / wall_s, 1),
            "p50_ms": milliseconds(statistics.median(ends)), "p95_ms": milliseconds(p95(ends)),
        })  # fmt: skip
    return {"windows": STREAMS, "rows": rows, **times(rows)}


def times(rows: list[Figures]) -> Figures:
    """How often the second row has the first one's throughput, and the first one the second's p95."""
    first, second = rows
    return {
        "throughput_times": round(second["per_s"] / first["per_s"], 2),
        "p95_times": round(first["p95_ms"] / second["p95_ms"], 2),
    }


def batch(model: Model, size: int) -> Figures:
    """The time that one call for so many windows takes, and whether each stream can have one every period."""
    features = model.noise(size)
    slowest_s = p95([model.call(features) for _ in range(6)][1:])
    return {"windows": size, "p95_ms": milliseconds(slowest_s), "keeps_up": slowest_s <= PERIOD_S}


# The project's engine ----------------------------------------------------------------------------------------------


class Streams:
    """Callers who speak to one engine side by side, and how long they waited."""

    def __init__(self, weights: Path, *, max_batch: int, rehearsal: bool) -> None:
        # Random weights are never sure of anything.
        doubtful = Limits(log_probability=-1e9, compression=1e9)
        self._whisper = Whisper(weights, limits=doubtful, **device(rehearsal))
        self.windows = 0
        self._engine = FasterWhisper(self._whisper, max_batch=max_batch, counted=self._count)
        self._warmed = self._whisper.calls
        self.waits: dict[Ask, list[float]] = {Ask.PARTIAL: [], Ask.FLUSH: [], Ask.FINAL: []}

    def _count(self, number: int) -> None:
        self.windows += number

    @property
    def calls(self) -> int:
        """Calls of CTranslate2, without those that the engine warms up with."""
        return self._whisper.calls - self._warmed

    def close(self) -> None:
        """Free the model's memory."""
        self._engine.close()

    def together(self, count: int, speak: Callable[[int], None]) -> float:
        """Let so many streams speak, each in a thread of its own; the seconds that they took."""
        begun = time.perf_counter()
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(speak, range(count)))
        return time.perf_counter() - begun

    def speak(self, pieces: list[tuple[bytes, Ask]], *, every_s: float | None) -> None:
        """One utterance: a piece every so often, or each when the one before it is answered."""
        utterance = self._engine.open(language=None, hotwords=None)
        answers: SimpleQueue[BaseException | None] = SimpleQueue()

        def send(sound: bytes, ask: Ask) -> None:
            sent = time.perf_counter()

            def answer(outcome: Any, _: float) -> None:
                self.waits[ask].append(time.perf_counter() - sent)
                answers.put(outcome if isinstance(outcome, BaseException) else None)

            self._engine.transcribe([Piece(utterance, sound, ask, answer)])

        begun, unanswered = time.perf_counter(), 0
        for number, (sound, ask) in enumerate(pieces):
            if every_s is not None:
                time.sleep(max(0.0, begun + number * every_s - time.perf_counter()))
            send(sound, ask)
            unanswered += 1
            if every_s is None:
                unanswered -= _taken(answers, 1)
        _taken(answers, unanswered)


def _taken(answers: "SimpleQueue[BaseException | None]", count: int) -> int:
    for _ in range(count):
        if (failure := answers.get(timeout=60)) is not None:
            raise failure
    return count


def speech(seconds: float) -> bytes:
    """So much of a recording, which begins again where it ends."""
    with wave.open(str(SPEECH)) as file:
        sound = file.readframes(file.getnframes())
    return bytes(islice(cycle(sound), int(seconds * BYTES_PER_S) // 2 * 2))


def engine_batching(weights: Path, *, rehearsal: bool) -> Figures:
    """The engine with max_batch 1 and STREAMS, streams that always have a request under way."""
    rounds = 2 if rehearsal else ROUNDS
    sound = speech(rounds)
    pieces = [(sound[n * BYTES_PER_S : (n + 1) * BYTES_PER_S], Ask.FLUSH) for n in range(rounds)]
    rows: list[Figures] = []
    for size in (1, STREAMS):
        streams = Streams(weights, max_batch=size, rehearsal=rehearsal)
        wall_s = streams.together(STREAMS, lambda _, to=streams: to.speak(pieces, every_s=None))  # type: ignore[misc]
        waits = streams.waits[Ask.FLUSH]
        rows.append({
            "max_batch": size, "calls": streams.calls, "windows": streams.windows,
            "per_s": round(streams.windows / wall_s, 2),
            "p50_ms": milliseconds(statistics.median(waits)), "p95_ms": milliseconds(p95(waits)),
        })  # fmt: skip
        streams.close()
    return {"streams": STREAMS, "rows": rows, **times(rows)}


def pace(weights: Path, count: int, ends: str, *, rehearsal: bool) -> Figures:
    """Streams that speak in real time. Their ends fall within half a second, or anywhere, which is as callers do."""
    seconds = 1.6 if rehearsal else PACE_S
    sound = speech(seconds)
    cuts = range(0, len(sound), CHUNK_BYTES)
    pieces = [(sound[at : at + CHUNK_BYTES], Ask.FINAL if at == cuts[-1] else Ask.PARTIAL) for at in cuts]
    streams = Streams(weights, max_batch=64, rehearsal=rehearsal)
    over_s, utterances = (PERIOD_S, 1) if ends == "together" else (seconds, 1 if rehearsal else PACE_UTTERANCES)

    def speak(number: int) -> None:
        time.sleep(over_s * number / count)
        for _ in range(utterances):
            streams.speak(pieces, every_s=CHUNK_S)

    wall_s = streams.together(count, speak)
    partial, final = streams.waits[Ask.PARTIAL], streams.waits[Ask.FINAL]
    row = {
        "streams": count, "ends": ends,
        "partial_p50_ms": milliseconds(statistics.median(partial)), "partial_p95_ms": milliseconds(p95(partial)),
        "final_p50_ms": milliseconds(statistics.median(final)), "final_p95_ms": milliseconds(p95(final)),
        "calls": streams.calls, "windows": streams.windows, "wall_s": round(wall_s, 1),
    }  # fmt: skip
    streams.close()
    return row
