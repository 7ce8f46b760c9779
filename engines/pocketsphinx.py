"""Speech recognition by pocketsphinx: English, no download, on a CPU.

An utterance is decoded while it is spoken. Its cepstra are normalised by their means, which are not known in the
beginning: as it grows it is decoded again with better ones (engines/decoding.py), so that the answer at its end
takes only the decoder's last pass. Against decoding the whole utterance at its end that is four times as fast
and as accurate; docs/models.md has the figures.
"""

import heapq
import itertools
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from engines.decoding import Decoders, Utterance
from engines.errors import EngineError, EngineUnavailableError, InvalidInputError
from engines.transcriber import Ask, Hypothesis, Piece

LOGGER = logging.getLogger(__name__)
SEARCH = {"maxhmmpf": 5000, "maxwpf": 20}  # bounds that nearly halve the time, without measurable loss
CLOSE_TIMEOUT_S = 5.0


class Queue:
    """An utterance and its pieces that are still to be answered."""

    def __init__(self) -> None:
        self.utterance = Utterance()
        self.waiting: deque[Piece[Queue]] = deque()
        self.running = False
        self.forgotten = False


class Pocketsphinx:
    """Decodes utterances side by side in `workers` threads, with at most `decoders` decoders of 90 MB each.

    Utterances of which an answer is due at once go before those that only grow.
    """

    def __init__(self, *, workers: int, decoders: int) -> None:
        self._decoders = Decoders(SEARCH, max(workers, decoders))
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="pocketsphinx")
        self._lock = threading.Lock()
        self._ready: list[tuple[bool, int, Queue]] = []
        self._numbers = itertools.count()
        self._jobs: set[Future[None]] = set()
        self._closing = False

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> "Pocketsphinx":
        """`workers`: threads, by default one a core; `decoders`: by default 6, at least one a worker."""
        workers = int(parameters.get("workers", 0)) or max(2, len(os.sched_getaffinity(0)))
        return cls(workers=workers, decoders=int(parameters.get("decoders", 6)))

    def open(self, *, language: str | None, hotwords: str | None) -> Queue:
        """A new utterance. Hotwords have no effect: the vocabulary is fixed."""
        if language and language.replace("_", "-").split("-")[0].lower() != "en":
            raise InvalidInputError(f"unknown language {language!r}; available: en")
        return Queue()

    def transcribe(self, pieces: Sequence[Piece[Queue]]) -> None:
        """Queue the pieces; worker threads answer them."""
        with self._lock:
            for piece in pieces:
                piece.utterance.waiting.append(piece)
                if not piece.utterance.running:
                    self._push(piece.utterance, urgent=piece.ask is not Ask.PARTIAL)

    def forget(self, utterance: Queue) -> None:
        """Free the utterance once what it has queued is answered."""
        with self._lock:
            utterance.forgotten = True
            if not utterance.running:
                self._push(utterance, urgent=False)

    def close(self) -> None:
        """Answer what waits with EngineUnavailableError and free the decoders."""
        self._closing = True
        wait(set(self._jobs), timeout=CLOSE_TIMEOUT_S)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._decoders.close()

    def _push(self, queue: Queue, *, urgent: bool) -> None:
        # An entry whose pieces another one has taken along is found empty.
        heapq.heappush(self._ready, (not urgent, next(self._numbers), queue))
        job = self._pool.submit(self._serve_next)
        self._jobs.add(job)
        job.add_done_callback(self._finished)

    def _serve_next(self) -> None:
        with self._lock:
            _, _, queue = heapq.heappop(self._ready)
            if queue.running or not (queue.waiting or queue.forgotten):
                return
            queue.running = True
            taken = [queue.waiting.popleft()] if queue.waiting else []
            while taken and taken[-1].ask is Ask.PARTIAL and queue.waiting:
                taken.append(queue.waiting.popleft())
        answer: Hypothesis | BaseException = EngineUnavailableError("pocketsphinx failed; Triton's log says why")
        started_at = time.monotonic()
        try:
            answer = self._answer(queue, taken)
        except EngineError as error:
            answer = error
        finally:
            # The pieces that were waiting together share one computation and its answer.
            for piece in taken:
                piece.answer(answer, (time.monotonic() - started_at) / len(taken))
            with self._lock:
                queue.running = False
                if queue.waiting or (queue.forgotten and queue.utterance.decoder is not None):
                    self._push(queue, urgent=any(piece.ask is not Ask.PARTIAL for piece in queue.waiting))

    def _answer(self, queue: Queue, taken: Sequence[Piece[Queue]]) -> Hypothesis:
        if self._closing:
            raise EngineUnavailableError("the asr model is being unloaded")
        for piece in taken:
            queue.utterance.hear(piece.pcm16_16k, self._decoders)
        answer = queue.utterance.answer(taken[-1].ask if taken else Ask.PARTIAL, self._decoders)
        if queue.forgotten or (taken and taken[-1].ask is Ask.FINAL):
            self._decoders.reclaim(queue.utterance)
        return answer

    def _finished(self, job: "Future[None]") -> None:
        self._jobs.discard(job)
        if not job.cancelled() and (error := job.exception()):
            LOGGER.error("pocketsphinx failed", exc_info=error)
