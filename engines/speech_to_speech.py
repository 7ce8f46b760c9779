"""A whole turn over the models asr, llm and tts: what was said, the answer while it is written, and its sound.

The answer is cut into phrases exactly as the orchestrator does it: orchestrator.core.phrases is pure and is used as it
is, as is the rendering of prompts, so that the two cannot differ.
"""

import json
import queue
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engines.audio import SAMPLE_RATE
from engines.calls import Calls, Inference, Outputs, Part, Tensors, new_sequence_id, text
from engines.errors import CancelledError, EngineError, InvalidInputError
from engines.serving import CANCEL_CHECK_S
from orchestrator.core.context import PROMPT_TOKENS
from orchestrator.core.history import Message
from orchestrator.core.phrases import PhraseSplitter
from orchestrator.errors import InvalidRequestError
from orchestrator.triton.prompt import ChatTemplate

Samples = npt.NDArray[np.int16]
ROLES = ("system", "user", "assistant")
# One request of asr takes at most 30 s of sound.
PIECE_SAMPLES = 20 * SAMPLE_RATE
MAX_TURN_S = 300  # as asr's max_utterance_s

_SILENCE: Samples = np.zeros(0, np.int16)
_CANCEL_ASR = {"audio": np.zeros((1, 1), np.int16)}
# Were it not understood as a cancellation, this would write one token.
_CANCEL_LLM = {"text_input": text("-"), "sampling_parameters": text('{"max_tokens": 1}')}
_CANCEL_TTS = {"text": text("-")}


def turn_audio(samples: Samples) -> Samples:
    """The input `audio`, checked; InvalidInputError where there is none, or more than MAX_TURN_S."""
    if not len(samples):
        raise InvalidInputError("audio is empty: send INT16 samples, 16 kHz mono, shape [number of samples]")
    if len(samples) > MAX_TURN_S * SAMPLE_RATE:
        raise InvalidInputError(f"audio is {len(samples) / SAMPLE_RATE:.0f} s long: a turn has at most {MAX_TURN_S} s")
    return samples


def history(messages: str, instructions: str) -> list[Message]:
    """The input `messages` behind the instructions; InvalidInputError says what is wrong with it."""
    try:
        found = json.loads(messages)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"messages is not valid JSON: {error}") from error
    if not isinstance(found, list):
        raise InvalidInputError('messages must be a JSON array of {"role": …, "content": …}')
    read = [Message("system", instructions)] if instructions else []
    for number, each in enumerate(found):
        if not isinstance(each, dict) or not isinstance(each.get("content"), str):
            raise InvalidInputError(f'messages[{number}] must be an object with "role" and a text "content"')
        if each.get("role") not in ROLES:
            raise InvalidInputError(f"messages[{number}].role must be one of {', '.join(ROLES)}")
        try:
            each["content"].encode()
        except UnicodeEncodeError as error:  # JSON may have it, no text that is sent on can
            raise InvalidInputError(f"messages[{number}].content has half of a surrogate pair: {error}") from error
        read.append(Message(each["role"], each["content"]))
    return read


def event_chunk(kind: str, **fields: Any) -> dict[str, Any]:
    """A response that carries an event."""
    return {"event": json.dumps({"type": kind, **fields}, ensure_ascii=False), "audio": _SILENCE, "sample_rate": 0}


def error_chunk(error: EngineError) -> dict[str, Any]:
    """A failure in the middle of a turn, as its last event."""
    code = "invalid_input" if isinstance(error, InvalidInputError) else "unavailable"
    return event_chunk("error", code=code, message=str(error))


@dataclass(frozen=True, slots=True)
class Agent:
    """How the models are asked."""

    calls: Calls
    template: ChatTemplate
    max_tokens: int
    temperature: float

    def turn(self, samples: Samples, messages: Sequence[Message], *, voice: str | None) -> "Turn":
        """The turn in which the user said `samples` after `messages`."""
        return Turn(self, samples, messages, voice)


class Turn:
    """One turn. Each model is read in a thread, since nothing else ends the wait for its next response.

    The writer takes down what was said and reads the answer; the speaker reads the sound of each phrase as soon as it
    is complete, while the answer is still being written.
    """

    def __init__(self, agent: Agent, samples: Samples, messages: Sequence[Message], voice: str | None) -> None:
        self._agent = agent
        self._samples = samples
        self._messages = messages
        self._voice = voice
        self._out: queue.SimpleQueue[dict[str, Any] | BaseException | None] = queue.SimpleQueue()
        self._phrases: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._text = ""
        self._finish_reason = "stop"
        self._lock = threading.Lock()
        self._stopped = False
        self._running: set[Inference] = set()

    def chunks(self, cancelled: Callable[[], bool]) -> Generator[dict[str, Any], None, None]:
        """Yield the responses as they come; closing stops all models. `cancelled` is asked while there are none.

        Raises CancelledError, or the EngineError that ended the turn.
        """
        pool = ThreadPoolExecutor(2, thread_name_prefix="speech_to_speech turn")
        for work in (self._write, self._speak):
            pool.submit(work).add_done_callback(self._ended)
        try:
            while not cancelled():
                try:
                    item = self._out.get(timeout=CANCEL_CHECK_S)
                except queue.Empty:
                    continue
                if item is None:
                    return
                if isinstance(item, BaseException):
                    raise item
                yield item
            raise CancelledError("the turn was cancelled")
        finally:
            self._stop()
            pool.shutdown(wait=False)

    def _ended(self, work: "Future[None]") -> None:
        if error := work.exception():
            self._out.put(error)  # raised where the turn is read

    def _write(self) -> None:
        said = self._transcript()
        self._out.put(event_chunk("transcript", text=said))
        if said:
            splitter = PhraseSplitter()
            for delta in self._answer(said):
                self._text += delta
                self._out.put(event_chunk("text_delta", delta=delta))
                for phrase in splitter.push(delta):
                    self._phrases.put(phrase.spoken)
            for phrase in splitter.finish():
                self._phrases.put(phrase.spoken)
        self._phrases.put(None)

    def _speak(self) -> None:
        while (phrase := self._phrases.get()) is not None:
            if not phrase.strip():
                continue
            inputs = {"text": text(phrase)} | ({"voice": text(self._voice)} if self._voice else {})
            for response in self._ask("tts", inputs, ["audio", "sample_rate"], _CANCEL_TTS):
                samples, sample_rate = response["audio"].reshape(-1), int(response["sample_rate"].reshape(-1)[0])
                self._out.put({"event": "", "audio": samples, "sample_rate": sample_rate})
        self._out.put(event_chunk("done", text=self._text, finish_reason=self._finish_reason))
        self._out.put(None)

    def _transcript(self) -> str:
        """What was said: one sequence of asr, in pieces of a size that it takes."""
        sequence_id = new_sequence_id()
        said = ""
        for start in range(0, len(self._samples), PIECE_SAMPLES):
            piece = self._samples[np.newaxis, start : start + PIECE_SAMPLES]
            last = start + PIECE_SAMPLES >= len(self._samples)
            part = Part(sequence_id, first=start == 0, last=last)
            for response in self._ask("asr", {"audio": piece}, ["transcript"], _CANCEL_ASR, part):
                said = response["transcript"].reshape(-1)[0].decode()
        return said.strip()

    def _answer(self, said: str) -> Generator[str, None, None]:
        try:
            messages = [*self._messages, Message("user", said)]
            prompt = self._agent.template.render(messages, max_tokens=PROMPT_TOKENS)
        except InvalidRequestError as error:
            raise InvalidInputError(str(error)) from error
        sampling = {"max_tokens": self._agent.max_tokens, "temperature": self._agent.temperature}
        inputs = {
            "text_input": text(prompt),
            "stream": np.array([True]),
            "exclude_input_in_output": np.array([True]),
            "return_finish_reason": np.array([True]),
            "sampling_parameters": text(json.dumps(sampling)),
        }
        for response in self._ask("llm", inputs, ["text_output", "finish_reason"], _CANCEL_LLM):
            if (reason := response["finish_reason"].reshape(-1)[0].decode()) != "None":
                self._finish_reason = reason
            if delta := "".join(part.decode() for part in response["text_output"].reshape(-1)):
                yield delta

    def _ask(
        self,
        model: str,
        inputs: Tensors,
        outputs: Sequence[str],
        cancel_inputs: Tensors,
        part: Part | None = None,
    ) -> Generator[Outputs, None, None]:
        inference = self._agent.calls(model, inputs, outputs, cancel_inputs=cancel_inputs, part=part)
        with self._lock:
            if self._stopped:
                raise CancelledError("the turn has ended")
            self._running.add(inference)
        try:
            yield from inference
        finally:
            with self._lock:
                self._running.discard(inference)
        if self._stopped:
            raise CancelledError("the turn has ended")

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            running = set(self._running)
        for inference in running:
            inference.cancel()
        self._phrases.put(None)
