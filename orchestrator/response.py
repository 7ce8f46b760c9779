"""One answer of the agent: language model → phrases → speech synthesis → output.

A held response is prepared in silence and its words and sound wait; `release` lets them out. Text, phrases and
sound flow through bounded queues, so that a slow listener holds back the models and nothing grows.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from orchestrator.config import SessionConfig
from orchestrator.core.functions import FunctionCall
from orchestrator.core.heard import HeardText
from orchestrator.core.history import Message
from orchestrator.core.phrases import Phrase, PhraseSplitter
from orchestrator.errors import GoAssistError
from orchestrator.models import Generation, Models
from orchestrator.triton.tts import AudioChunk

# Phrases that wait for synthesis: enough to prefetch, few enough that a cancelled answer wasted little.
QUEUED_PHRASES = 4
# Sound that a held response may prepare; its first sentence is what hides the latency.
HELD_AUDIO_S = 4.0


class AudioOutput(Protocol):
    """Where the agent's sound goes: the WebRTC playout, or the WebSocket. Frames are paced there."""

    @property
    def played_s(self) -> float:
        """Seconds of the present response's sound that the listener was sent."""

    def begin(self, turn: int) -> None:
        """The next sound belongs to the response of `turn`."""

    def write(self, pcm16: bytes, sample_rate: int) -> None:
        """INT16 mono sound at `sample_rate` Hz."""

    def end(self) -> None:
        """The response's sound is complete."""

    def pause(self) -> None:
        """Fall silent, lose nothing."""

    def resume(self) -> None:
        """Go on after a pause."""

    def clear(self) -> None:
        """Throw away what was not played yet."""

    def leave(self) -> None:
        """The response counts as over, but what is left of it is played before the next one."""

    def recent_16k(self) -> bytes:
        """What was played last, INT16 mono at 16 kHz: what an echo would be made of."""

    async def room(self) -> None:
        """Return once there is room for more sound."""


@dataclass(slots=True)
class Timings:
    """When things happened, in seconds of the session's clock; None where they did not."""

    started: float
    first_text: float | None = None
    first_phrase: float | None = None
    first_audio: float | None = None


class Response:
    """Generates and speaks the answer of `turn` to the chat that `messages` gives.

    `run` is the task; cancelling it cancels the models' streams.
    """

    def __init__(
        self,
        turn: int,
        messages: Callable[[], Awaitable[Sequence[Message]]],
        *,
        models: Models,
        config: SessionConfig,
        output: AudioOutput,
        on_text: Callable[[str], None],
        on_audio: Callable[[AudioChunk], None],
        clock: Callable[[], float],
        held: bool = False,
    ) -> None:
        self.turn = turn
        self.text = ""
        self.calls: list[FunctionCall] = []  # that it makes once it is complete
        self.heard = HeardText(config.speed)
        self.generated = False  # the text is complete
        self.cut_short = False  # because it had reached its limit of tokens
        self.speculative = held
        self.timings = Timings(clock())
        self._messages = messages
        self._models = models
        self.config = config
        self._output = output
        self._on_text = on_text
        self._on_audio = on_audio
        self._clock = clock
        self._held_audio: list[AudioChunk] = []
        self._generation: Generation | None = None
        self._silenced = False
        self._released = asyncio.Event()
        if not held:
            self._released.set()
        self._phrases: asyncio.Queue[Phrase | None] = asyncio.Queue(QUEUED_PHRASES)

    @property
    def input_tokens(self) -> int:
        """Of the prompt."""
        return self._generation.input_tokens if self._generation is not None else 0

    @property
    def output_tokens(self) -> int:
        """Written so far."""
        return self._generation.output_tokens if self._generation is not None else 0

    @property
    def held_audio_s(self) -> float:
        """Seconds of sound that wait for the release."""
        return sum(len(chunk.pcm16) / 2 / chunk.sample_rate for chunk in self._held_audio)

    def release(self) -> None:
        """Let out what was held; from now on everything goes straight to the listener."""
        self._released.set()
        if self.text:
            self._on_text(self.text)
        for chunk in self._held_audio:
            self._play(chunk)
        self._held_audio.clear()

    def silence(self) -> None:
        """Let nothing out any more: what the models have sent may still be read while they are cancelled."""
        self._silenced = True

    async def run(self) -> None:
        """Generate and speak until all sound is handed over. Raises GoAssistError when a model fails."""
        failures: list[Exception] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._generate(), name=f"generate turn {self.turn}")
                tasks.create_task(self._speak(), name=f"speak turn {self.turn}")
        except* GoAssistError as group:
            failures.extend(group.exceptions)  # not raised in here: early Pythons 3.11 would wrap it in a group
        if failures:
            raise failures[0]
        await self._released.wait()

    async def _generate(self) -> None:
        splitter = PhraseSplitter()
        self._generation = generation = self._models.llm.generate(
            await self._messages(),
            max_tokens=self.config.max_output_tokens,
            temperature=self.config.temperature,
            functions=self.config.functions,
        )
        async with aclosing(generation) as deltas:
            async for delta in deltas:
                if self.timings.first_text is None:
                    self.timings.first_text = self._clock()
                if isinstance(delta, FunctionCall):
                    self.calls.append(delta)
                    continue
                self.text += delta
                if self._released.is_set() and not self._silenced:
                    self._on_text(delta)
                for phrase in splitter.push(delta):
                    await self._phrases.put(phrase)
        self.generated, self.cut_short = True, generation.finish_reason == "length"
        for phrase in splitter.finish():
            await self._phrases.put(phrase)
        await self._phrases.put(None)

    async def _speak(self) -> None:
        while (phrase := await self._phrases.get()) is not None:
            if self.config.modality == "audio":
                self.heard.begin(phrase.text)
                if phrase.spoken:
                    await self._synthesize(phrase.spoken)
                self.heard.complete()

    async def _synthesize(self, text: str) -> None:
        if self.timings.first_phrase is None:
            self.timings.first_phrase = self._clock()
        chunks = self._models.tts.synthesize(
            text, voice=self.config.voice, language=self.config.language, speed=self.config.speed
        )
        async with aclosing(chunks):
            async for chunk in chunks:
                if self.timings.first_audio is None:
                    self.timings.first_audio = self._clock()
                self.heard.add(len(chunk.pcm16) / 2 / chunk.sample_rate)
                if not self._released.is_set():
                    self._held_audio.append(chunk)
                    if self.held_audio_s >= HELD_AUDIO_S:
                        await self._released.wait()
                else:
                    self._play(chunk)
                    await self._output.room()

    def _play(self, chunk: AudioChunk) -> None:
        if self._silenced:
            return
        self._on_audio(chunk)
        self._output.write(chunk.pcm16, chunk.sample_rate)
