"""Recognition by Triton's `asr` model: one utterance is one sequence over one gRPC stream."""

import asyncio
import json
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np

from orchestrator.errors import BackendTimeoutError, BackendUnavailableError, GoAssistError
from orchestrator.triton import tensors
from orchestrator.triton.client import InferenceStream, TritonClient

SAMPLE_RATE = 16_000
CHUNK_BYTES = 2 * SAMPLE_RATE * 160 // 1000
# The final transcript of a long utterance may be decoded anew on a busy CPU.
FINAL_TIMEOUT_S = 20.0
# Leaving an utterance waits so long for its stream's end.
CLOSE_TIMEOUT_S = 1.0
# Sound that the model has not answered for; more means that it is stuck.
BACKLOG_BYTES = 60 * 2 * SAMPLE_RATE
LAST_WORDS = 4
# END must carry sound: 10 ms of silence where none is left.
SILENCE = bytes(2 * SAMPLE_RATE // 100)


@dataclass(frozen=True, slots=True)
class Word:
    """One recognised word; times in seconds from the utterance's first sample."""

    text: str
    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True, slots=True)
class Transcript:
    """The whole utterance as understood so far; its first `stable_chars` characters will not change."""

    text: str
    stable_chars: int
    is_final: bool
    words: tuple[Word, ...]

    @property
    def confidence(self) -> float | None:
        """The mean probability (0 to 1) of the last words, which tell whether a sentence is complete.

        None where the model tells none; 0 of a partial transcript that may still change.
        """
        if not self.is_final:
            return None if self.stable_chars >= len(self.text) else 0.0
        last = self.words[-LAST_WORDS:]
        return sum(word.probability for word in last) / len(last) if last else None


class TritonAsr:
    """Recognises utterances."""

    def __init__(self, client: TritonClient, *, model: str = "asr") -> None:
        self._client = client
        self._model = model

    def utterance(
        self,
        *,
        on_partial: Callable[[Transcript], None],
        language: str | None = None,
        hotwords: str | None = None,
    ) -> "Utterance":
        """A new utterance, to be entered as an async context manager; sound may be sent before."""
        options = {"language": language, "hotwords": hotwords}
        first = {name: _text(value) for name, value in options.items() if value}
        return Utterance(self._client.open(self._model), self._model, first, on_partial)


class Utterance:
    """One utterance while it is spoken. `on_partial` is called with each newer transcript, from the reading task.

    Leaving it without `finish` tells the model to forget the sequence. A model that fails makes `flush` and `finish`
    raise its GoAssistError. What `on_partial` raises ends the utterance, and comes out of leaving it.
    """

    def __init__(
        self,
        stream: InferenceStream,
        model: str,
        first: Mapping[str, tensors.Array],
        on_partial: Callable[[Transcript], None],
    ) -> None:
        self._stream = stream
        self._model = model
        self._first = dict(first)  # inputs of the sequence's first request only
        self._on_partial = on_partial
        self.sequence_id = random.getrandbits(62) + 1
        self._buffer = bytearray()
        self._requests = 0
        self._unanswered: deque[int] = deque()  # bytes of each request on its way
        self._asked: dict[str, asyncio.Future[Transcript]] = {}
        self._ended = False
        self._error: GoAssistError | None = None
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._reader = asyncio.create_task(self._read(), name="read transcripts")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._reader is not None
        try:
            if self._requests and not self._ended and self._error is None:
                self._write(SILENCE, end=True, parameters={"discard": True})
            self._stream.end()
            # Also when this task is being cancelled: a stream that ends by itself frees the model's decoder at once,
            # and a server before 2.57 can crash when one with a running request is closed.
            await asyncio.wait({self._reader}, timeout=CLOSE_TIMEOUT_S)
            if self._reader.done():
                self._reader.result()
        finally:
            self._reader.cancel()
            self._stream.cancel()

    def send(self, pcm16_16k: bytes) -> None:
        """More sound; never blocks. Sound after an error is dropped, since `flush` and `finish` will raise it."""
        if self._ended or self._error is not None:
            return
        self._buffer += pcm16_16k
        if len(self._buffer) >= CHUNK_BYTES:
            self.hand_over()

    def hand_over(self) -> None:
        """Give the model what was sent so far, so that it need not begin with that when it is asked; never blocks."""
        if self._buffer and not self._ended and self._error is None:
            self._write(self._take())
            if sum(self._unanswered) > BACKLOG_BYTES:
                self._fail(BackendTimeoutError(f"the model '{self._model}' is a minute behind"))

    async def flush(self) -> Transcript:
        """The best hypothesis for all sound sent so far; the sequence stays open."""
        return await self._ask(self._take() or SILENCE, flush=True)

    async def finish(self) -> Transcript:
        """End the utterance: the final transcript."""
        transcript = await self._ask(self._take() or SILENCE, end=True)
        self._stream.end()
        return transcript

    def _take(self) -> bytes:
        sound = bytes(self._buffer)
        self._buffer.clear()
        return sound

    async def _ask(self, pcm16_16k: bytes, *, flush: bool = False, end: bool = False) -> Transcript:
        if self._error is not None:
            raise self._error
        answer: asyncio.Future[Transcript] = asyncio.get_running_loop().create_future()
        self._asked[self._write(pcm16_16k, flush=flush, end=end)] = answer
        try:
            async with asyncio.timeout(FINAL_TIMEOUT_S):
                return await answer
        except TimeoutError as error:
            raise BackendTimeoutError(f"the model '{self._model}' gave no final transcript in time") from error

    def _write(
        self,
        pcm16_16k: bytes,
        *,
        flush: bool = False,
        end: bool = False,
        parameters: Mapping[str, bool] | None = None,
    ) -> str:
        inputs: dict[str, tensors.Array] = {"audio": np.frombuffer(pcm16_16k, "<i2")[np.newaxis]}
        if flush:
            inputs["flush"] = np.array([[True]])
        control = {"sequence_id": self.sequence_id, "sequence_start": self._requests == 0, "sequence_end": end}
        if self._requests == 0:
            inputs |= self._first
        request_id = str(self._requests)
        self._stream.write(
            tensors.request(self._model, inputs, request_id=request_id, parameters={**control, **(parameters or {})})
        )
        self._requests += 1
        self._ended = end
        self._unanswered.append(len(pcm16_16k))
        return request_id

    async def _read(self) -> None:
        try:
            # The silence between two answers is the speaker's: only `_ask` has a deadline.
            while (response := await self._stream.read(None)) is not None:
                if tensors.is_final(response) and self._unanswered:
                    self._unanswered.popleft()
                if response.outputs:
                    self._understood(_transcript(tensors.outputs(response)), self._asked.pop(response.id, None))
            self._fail(BackendUnavailableError(f"the model '{self._model}' ended the utterance early"))
        except GoAssistError as error:
            self._fail(error)
        finally:
            if self._error is None:
                self._fail(BackendUnavailableError("nobody reads the transcripts any more"))

    def _understood(self, transcript: Transcript, asked: asyncio.Future[Transcript] | None) -> None:
        if asked is None:
            if not self._ended:
                self._on_partial(transcript)
        elif not asked.done():
            asked.set_result(transcript)

    def _fail(self, error: GoAssistError) -> None:
        self._error = error
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(error)
        self._asked.clear()


def _text(value: str) -> tensors.Array:
    return np.array([[value.encode()]], dtype=np.object_)


def _transcript(outputs: Mapping[str, tensors.Array]) -> Transcript:
    values = {name: array.ravel().tolist()[0] for name, array in outputs.items()}
    words = json.loads(values["words"])
    return Transcript(
        text=values["transcript"].decode(),
        stable_chars=values["stable_chars"],
        is_final=values["is_final"],
        words=tuple(Word(each["word"], each["start_s"], each["end_s"], each["probability"]) for each in words),
    )
