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
from dataclasses import replace
from typing import Literal

from engines.decoding import Decoders, Utterance
from engines.errors import EngineError, EngineUnavailableError, InvalidInputError
from engines.transcriber import NOTHING, Ask, Hypothesis, Piece

LOGGER = logging.getLogger(__name__)
# Bounds that nearly halve the time, without measurable loss. Without its second pass over the words (fwdflat) the
# decoder would answer in half the time, and understand 'telomeres story' where a story is asked for.
SEARCH = {"maxhmmpf": 5000, "maxwpf": 20}
CLOSE_TIMEOUT_S = 5.0
BEHIND = 4  # utterances that wait for each worker: to decode 160 ms of speech takes one about 40 ms


class Queue:
    """An utterance and its pieces that are still to be answered."""

    def __init__(self) -> None:
        self.utterance = Utterance()
        self.waiting: deque[Piece[Queue]] = deque()
        self.scheduled: Literal["no", "yes", "urgently"] = "no"
        self.running = False
        self.forgotten = False
        self.known = NOTHING
        """What the last answer said, as a partial one."""


class Pocketsphinx:
    """Decodes utterances side by side in `workers` threads, with at most `decoders` decoders of 90 MB each.

    Utterances of which an answer is due at once go before those that only grow.
    """

    def __init__(self, *, workers: int, decoders: int) -> None:
        self._decoders = Decoders(SEARCH, max(workers, decoders))
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="pocketsphinx")
        self._lock = threading.RLock()
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
        """Queue the pieces; worker threads answer them, or, while those are behind, what is known already does."""
        with self._lock:
            for piece in pieces:
                piece.utterance.waiting.append(piece)
                if not piece.utterance.running:
                    self._push(piece.utterance, urgent=piece.ask is not Ask.PARTIAL)
                    self._answer_early(piece.utterance)

    def forget(self, utterance: Queue) -> None:
        """Free the utterance once what it has queued is answered."""
        with self._lock:
            utterance.forgotten = True
            if not utterance.running:
                self._push(utterance, urgent=False)

    def close(self) -> None:
        """Answer what waits with EngineUnavailableError and free the decoders."""
        self._closing = True
        with self._lock:
            jobs = set(self._jobs)
        wait(jobs, timeout=CLOSE_TIMEOUT_S)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._decoders.close()

    def _push(self, queue: Queue, *, urgent: bool) -> None:
        if queue.scheduled == "urgently" or (queue.scheduled == "yes" and not urgent):
            return
        queue.scheduled = "urgently" if urgent else "yes"
        heapq.heappush(self._ready, (not urgent, next(self._numbers), queue))
        job = self._pool.submit(self._serve_next)
        self._jobs.add(job)
        job.add_done_callback(self._finished)

    def _serve_next(self) -> None:
        with self._lock:
            _, _, queue = heapq.heappop(self._ready)
            if queue.scheduled == "no":  # an urgent entry was served before this one
                return
            queue.scheduled = "no"
            queue.running = True
            taken = [queue.waiting.popleft()] if queue.waiting else []
            while taken and taken[-1].ask is Ask.PARTIAL and queue.waiting:
                taken.append(queue.waiting.popleft())
        try:
            self._serve(queue, taken)
        finally:
            with self._lock:
                queue.running = False
                self._answer_early(queue)
                if queue.waiting or (queue.forgotten and queue.utterance.decoder is not None):
                    self._push(queue, urgent=any(piece.ask is not Ask.PARTIAL for piece in queue.waiting))

    def _answer_early(self, queue: Queue) -> None:
        """Answer what wants only a partial result and would wait behind other utterances; its sound stays queued."""
        if len(self._ready) <= BEHIND * self._workers:
            return
        for index, piece in enumerate(queue.waiting):
            if piece.ask is not Ask.PARTIAL:
                return
            if piece.answer is not _no_answer:
                queue.waiting[index] = replace(piece, answer=_no_answer)
                piece.answer(queue.known, 0.0)

    def _serve(self, queue: Queue, taken: Sequence[Piece[Queue]]) -> None:
        due = taken
        if taken and taken[-1].ask is not Ask.PARTIAL:
            # The last one is answered with what is found out, those before it with what is known.
            known, due = queue.utterance.answer(Ask.PARTIAL, self._decoders), taken[-1:]
            for piece in taken[:-1]:
                piece.answer(known, 0.0)
        answer: Hypothesis | BaseException = EngineUnavailableError("pocketsphinx failed; Triton's log says why")
        started_at = time.monotonic()
        try:
            answer = self._answer(queue, taken)
        except EngineError as error:
            answer = error
        finally:
            if isinstance(answer, Hypothesis):
                queue.known = replace(answer, is_final=False, words=())
            for piece in due:
                piece.answer(answer, (time.monotonic() - started_at) / len(due))

    def _answer(self, queue: Queue, taken: Sequence[Piece[Queue]]) -> Hypothesis:
        if self._closing:
            raise EngineUnavailableError("the asr model is being unloaded")
        if queue.forgotten:  # nobody wants to know: no work for it
            self._decoders.reclaim(queue.utterance)
            return queue.known
        sound = b"".join(piece.pcm16_16k for piece in taken)
        queue.utterance.hear(sound, self._decoders, in_haste=len(self._ready) > 0)
        answer = queue.utterance.answer(taken[-1].ask if taken else Ask.PARTIAL, self._decoders)
        if taken and taken[-1].ask is Ask.FINAL:
            self._decoders.reclaim(queue.utterance)
        return answer

    def _finished(self, job: "Future[None]") -> None:
        with self._lock:
            self._jobs.discard(job)
        if not job.cancelled() and (error := job.exception()):
            LOGGER.error("pocketsphinx failed", exc_info=error)


def _no_answer(answer: Hypothesis | BaseException, engine_s: float) -> None:
    """Of a piece that has had its answer."""
