"""Speech recognition by pocketsphinx: English, no download, on a CPU.

An utterance is decoded while it is spoken. Its cepstra are normalised by their means, which are not known in the
beginning: as it grows they are measured, and the rest is decoded with better ones (engines/decoding.py), so that the
answer at its end takes only the best path through the words. docs/models.md has the figures.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

from engines.decoding import Decoders, Utterance
from engines.errors import EngineError, EngineUnavailableError, InvalidInputError
from engines.transcriber import NOTHING, Ask, Hypothesis, Piece

LOGGER = logging.getLogger(__name__)
# Bounds that nearly halve the time, without measurable loss. The second pass over the words (fwdflat) would double the
# time to the answer: of recorded people it gets as many words wrong (24.7 % with, 24.5 % without it), of synthetic
# voices some fewer (2.4 %, 3.0 %).
SEARCH = {"maxhmmpf": 5000, "maxwpf": 20, "fwdflat": 0}
CLOSE_TIMEOUT_S = 5.0
BEHIND = 4  # utterances that wait for each worker: to decode 160 ms of speech takes one about 40 ms
# Of the threads for what only grows: nobody waits for it, and it takes most of the time. An answer that is due, the
# end-of-turn model and voice frames go before it.
BACKGROUND_NICENESS = 5
LOWEST_PRIORITY = 19


@dataclass(frozen=True, slots=True, eq=False)
class _Lane:
    """Threads, and the utterances that wait for one of them: the first come is served first."""

    pool: ThreadPoolExecutor
    ready: "deque[Queue]" = field(default_factory=deque)


class Queue:
    """An utterance and its pieces that are still to be answered."""

    def __init__(self) -> None:
        self.utterance = Utterance()
        self.waiting: deque[Piece[Queue]] = deque()
        self.scheduled: _Lane | None = None  # where it waits for a thread
        self.running = False
        self.forgotten = False
        self.known = NOTHING
        """What the last answer said, as a partial one."""


class Pocketsphinx:
    """Decodes utterances side by side, with at most `decoders` decoders of 90 MB each.

    Utterances of which an answer is due at once have `workers` threads of their own, so that they do not wait for
    those that only grow, which have as many with a lower priority.
    """

    def __init__(self, *, workers: int, decoders: int) -> None:
        self._decoders = Decoders(SEARCH, max(workers, decoders))
        self._workers = workers
        self._urgent = _Lane(ThreadPoolExecutor(workers, thread_name_prefix="answering"))
        self._growing = _Lane(ThreadPoolExecutor(workers, thread_name_prefix="growing", initializer=_yield_to_others))
        self._lock = threading.RLock()
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
        for lane in (self._urgent, self._growing):
            lane.pool.shutdown(wait=False, cancel_futures=True)
        self._decoders.close()

    def _push(self, queue: Queue, *, urgent: bool) -> None:
        lane = self._urgent if urgent else self._growing
        if queue.scheduled in (self._urgent, lane):
            return
        queue.scheduled = lane
        lane.ready.append(queue)
        job = lane.pool.submit(self._serve_next, lane)
        self._jobs.add(job)
        job.add_done_callback(self._finished)

    def _serve_next(self, lane: _Lane) -> None:
        with self._lock:
            queue = lane.ready.popleft()
            if queue.scheduled is not lane:  # it became urgent
                return
            queue.scheduled = None
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
        if self._waiting <= BEHIND * self._workers:
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
        queue.utterance.hear(sound, self._decoders)
        answer = queue.utterance.answer(taken[-1].ask if taken else Ask.PARTIAL, self._decoders)
        if taken and taken[-1].ask is Ask.FINAL:
            self._decoders.reclaim(queue.utterance)
        return answer

    @property
    def _waiting(self) -> int:
        """How many utterances wait for a thread."""
        return len(self._urgent.ready) + len(self._growing.ready)

    def _finished(self, job: "Future[None]") -> None:
        with self._lock:
            self._jobs.discard(job)
        if not job.cancelled() and (error := job.exception()):
            LOGGER.error("pocketsphinx failed", exc_info=error)


def _yield_to_others() -> None:
    thread = threading.get_native_id()
    niceness = os.getpriority(os.PRIO_PROCESS, thread) + BACKGROUND_NICENESS
    os.setpriority(os.PRIO_PROCESS, thread, min(niceness, LOWEST_PRIORITY))


def _no_answer(answer: Hypothesis | BaseException, engine_s: float) -> None:
    """Of a piece that has had its answer."""
