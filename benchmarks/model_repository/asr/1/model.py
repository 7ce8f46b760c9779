"""A stand-in recogniser: always the same sentence, a fixed time after it is asked for, once a word was heard."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from engines.serving import Model, Request

sys.path.append(str(Path(__file__).parents[4]))  # Triton's Python heeds no PYTHONPATH
from benchmarks.standins import FINAL_S, SENTENCE, VOICE_RMS, WORD_S

SAMPLE_RATE = 16_000


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self._model = Model(args)
        self._voiced_s: dict[int, float] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(128)

    def execute(self, requests: list[object]) -> None:
        for request in self._model.open(requests):
            samples = request.samples("audio").astype(np.float32)
            sequence = request.sequence_id
            with self._lock:
                if request.starts_sequence:
                    self._voiced_s[sequence] = 0.0
                if samples.size and np.sqrt(samples @ samples / samples.size) > VOICE_RMS:
                    self._voiced_s[sequence] += samples.size / SAMPLE_RATE
                voiced_s = self._voiced_s[sequence]
                if request.ends_sequence:
                    del self._voiced_s[sequence]
            asked = request.ends_sequence or request.flag("flush", False)
            if asked:
                self._pool.submit(self._answer_later, request, voiced_s)
            else:
                self._answer(request, voiced_s, final=False)

    def finalize(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _answer_later(self, request: Request, voiced_s: float) -> None:
        time.sleep(FINAL_S)
        self._answer(request, voiced_s, final=True)

    def _answer(self, request: Request, voiced_s: float, *, final: bool) -> None:
        text = SENTENCE if voiced_s >= WORD_S else ""
        chunk = {"transcript": text, "stable_chars": len(text), "is_final": final, "words": "[]"}
        request.finish(chunk)
