"""A real session and playout whose models and voice detector do just what a test says, in the order it says.

For what depends on that order: words that come late, sound that was made and not read, a model that is lost in between.
What the models themselves do is tested with the real ones.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from orchestrator import notifications as told
from orchestrator.config import SessionConfig, TurnDetection
from orchestrator.core.functions import NO_FUNCTIONS, FunctionCall, Functions
from orchestrator.core.history import Item, Message
from orchestrator.core.phrases import PhraseSplitter
from orchestrator.errors import GoAssistError
from orchestrator.models import Models
from orchestrator.session import Session
from orchestrator.triton.asr import Transcript
from orchestrator.triton.tts import AudioChunk
from orchestrator.vad import WINDOW_BYTES, WINDOW_SAMPLES, Report
from orchestrator.webrtc.playout import Playout

RATE = 24_000
CHUNK = AudioChunk(b"\1\1" * (RATE // 5), RATE)  # 200 ms
VOICE_DB, SILENCE_DB = -20.0, -60.0


class Generation:
    """An answer that is written at once, word by word."""

    def __init__(self, words: AsyncGenerator[str | FunctionCall, None], finish_reason: str) -> None:
        self.input_tokens = 1
        self.output_tokens = 0
        self.finish_reason: str | None = finish_reason
        self._words = words

    def __aiter__(self) -> "Generation":
        return self

    async def __anext__(self) -> str | FunctionCall:
        word = await anext(self._words)
        self.output_tokens += 1
        return word

    async def aclose(self) -> None:
        await self._words.aclose()


class Llm:
    """Writes `text`, and makes `calls`, to every prompt, once `go_on` is set; `leaving` is awaited where cancelled."""

    calls_functions = True

    def __init__(self) -> None:
        self.text = "One two three four five."
        self.calls: list[FunctionCall] = []
        self.offered: list[Functions] = []  # with each prompt
        self.limits: list[int | None] = []  # of its answer's tokens
        self.prompts: list[Sequence[Message]] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.finish_reason = "stop"
        self.leaving: asyncio.Event | None = None
        self.error: GoAssistError | None = None  # once it may go on

    def generate(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int | None,
        temperature: float,
        functions: Functions = NO_FUNCTIONS,
    ) -> Generation:
        self.prompts.append(messages)
        self.offered.append(functions)
        self.limits.append(max_tokens)
        return Generation(self._write(), self.finish_reason)

    def count_tokens(self, messages: Sequence[Message], functions: Functions = NO_FUNCTIONS) -> int:
        return 0

    async def _write(self) -> AsyncGenerator[str | FunctionCall, None]:
        try:
            for word in self.text.split():
                yield f"{word} "
            for call in self.calls:
                yield call
            await self.go_on.wait()
            if self.error is not None:
                raise self.error
        finally:
            if self.leaving is not None:
                await self.leaving.wait()


class Tts:
    """Speaks every phrase for `seconds`; its sound is there before it is asked for, as unread responses are."""

    def __init__(self) -> None:
        self.seconds = 1.0
        self.error: GoAssistError | None = None

    async def synthesize(
        self, text: str, *, voice: str | None, language: str | None, speed: float
    ) -> AsyncGenerator[AudioChunk, None]:
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        for _ in range(round(self.seconds * 5)):
            yield CHUNK


class Utterance:
    """Is understood as `text` whenever it is asked, once `answers` is set."""

    def __init__(self, on_partial: Callable[[Transcript], None]) -> None:
        self.on_partial = on_partial
        self.text = ""
        self.answers = asyncio.Event()
        self.answers.set()
        self.flush_error: GoAssistError | None = None
        self.end_error: GoAssistError | None = None
        self.sound = bytearray()
        self.flushed: list[str] = []
        self.entered = self.left = False

    async def __aenter__(self) -> "Utterance":
        self.entered = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.left = True

    def send(self, pcm16_16k: bytes) -> None:
        self.sound += pcm16_16k

    def hand_over(self) -> None:
        pass

    async def flush(self) -> Transcript:
        text = self.text  # of what was said when it was asked
        await self.answers.wait()
        if self.flush_error is not None:
            raise self.flush_error
        self.flushed.append(text)
        return final(text)

    async def finish(self) -> Transcript:
        await self.answers.wait()
        if self.end_error is not None:
            raise self.end_error
        return final(self.text)


class Asr:
    """Gives each new utterance to `prepare`."""

    def __init__(self) -> None:
        self.utterances: list[Utterance] = []
        self.prepare: Callable[[Utterance], None] = lambda _: None

    def utterance(self, *, on_partial: Callable[[Transcript], None], **_: object) -> Utterance:
        utterance = Utterance(on_partial)
        self.prepare(utterance)
        self.utterances.append(utterance)
        return utterance


class Voice:
    """Reports what the test says, not what is pushed."""

    def __init__(self, report: Report) -> None:
        self.behind = self.closed = False
        self._report = report
        self._end_sample = 0

    def push(self, pcm16_16k: bytes) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def window(self, *, voice: bool, level_db: float) -> None:
        self._end_sample += WINDOW_SAMPLES
        if not self.closed:
            self._report(0.9 if voice else 0.0, level_db, self._end_sample)


class Detector:
    voice: Voice

    def open(self, report: Report) -> Voice:
        self.voice = Voice(report)
        return self.voice


class Call:
    """A session, what it told, and its sound at the pace of the test: a window of 32 ms takes two frames of it."""

    def __init__(self, config: SessionConfig, *, client_plays: bool) -> None:
        self.asr, self.llm, self.tts, self.detector = Asr(), Llm(), Tts(), Detector()
        self.told: list[told.Notification] = []
        self.playout = Playout(
            on_started=lambda turn: self.session.playback_started(turn),
            on_finished=lambda turn: self.session.playback_finished(turn),
        )
        self.session = Session(
            "sess_1",
            models=Models(*cast(Any, (self.asr, self.llm, self.tts))),
            detector=cast(Any, self.detector),
            config=config,
            output=self.playout,
            notify=self.told.append,
            client_plays=client_plays,
        )

    @property
    def state(self) -> str:
        return self.session.state.value

    def said(self, kind: type[told.Notification]) -> list[Any]:
        """What was told of that kind."""
        return [each for each in self.told if isinstance(each, kind)]

    @property
    def committed(self) -> list[str]:
        return [each.text for each in self.said(told.TranscriptCompleted)]

    @property
    def memory(self) -> list[tuple[str, str]]:
        """Role and text of every item."""
        return [(item.role, item.text) for item in self.session.history]

    async def settle(self) -> None:
        """Let every task do what it can without time passing."""
        for _ in range(50):
            await asyncio.sleep(0)

    async def play(self, seconds: float) -> float:
        """Let so much time pass for the listener; returns how much sound that was."""
        before = self.playout.played_s
        for _ in range(round(seconds * 50)):
            self.playout.next_frame()
            await asyncio.sleep(0)
        return self.playout.played_s - before

    async def hear(self, seconds: float, *, voice: bool, level_db: float | None = None) -> None:
        """The microphone brings a voice, or silence; the agent's sound goes on meanwhile."""
        level_db = level_db if level_db is not None else VOICE_DB if voice else SILENCE_DB
        for number in range(round(seconds / 0.032)):
            self.session.audio_received(bytes(WINDOW_BYTES))
            self.detector.voice.window(voice=voice, level_db=level_db)
            await self.play(0.04 if number % 2 else 0.02)
            await asyncio.sleep(0)

    async def answer(self, question: str = "Tell me a story.") -> None:
        """Let the agent answer a typed question, up to its first sound."""
        self.session.add_item(Item(f"item_{len(self.told)}", "user", question))
        self.session.request_response()
        await self.settle()
        await self.play(0.1)
        assert self.state == "speaking"


def final(text: str) -> Transcript:
    return Transcript(text, len(text), True, ())


def phrases(text: str) -> int:
    """How many phrases are made of it, each of which is spoken for `Tts.seconds`."""
    splitter = PhraseSplitter()
    return len([*splitter.push(text), *splitter.finish()])


def waiting(silence_ms: int = 500, **fields: Any) -> SessionConfig:
    """Turns end after that much silence, whatever was said."""
    return SessionConfig(turn_detection=TurnDetection(silence_duration_ms=silence_ms, **fields))


@asynccontextmanager
async def call(config: SessionConfig | None = None, *, client_plays: bool = False) -> AsyncIterator[Call]:
    """A call that lives to the end of the test, or fails it."""
    made = Call(config or waiting(), client_plays=client_plays)
    running = asyncio.create_task(made.session.run())
    await asyncio.sleep(0)
    try:
        yield made
        assert not running.done(), "the call has ended by itself"
    finally:
        made.session.close("The test is over.")
        await running
