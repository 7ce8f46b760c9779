"""A stand-in recogniser: what it is asked for comes after 30 ms; always the same sentence, once a word's worth of voice
was heard."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from engines.serving import Model, Request

FINAL_S = 0.030
SENTENCE = "could you tell me the weather for this afternoon"
WORD_S = 0.25
VOICE_RMS = 200.0
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
