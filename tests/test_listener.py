"""orchestrator/listener.py with the real recogniser and voice detector: what it tells the endpointer."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

from benchmarks.dialogue.sounds import Studio
from orchestrator.core import interruption
from orchestrator.core.endpointing_rules import Rules
from orchestrator.core.events import Event, TurnEnded
from orchestrator.errors import GoAssistError
from orchestrator.listener import Listener
from orchestrator.triton import asr
from orchestrator.triton.asr import Transcript, TritonAsr
from orchestrator.triton.client import TritonClient
from orchestrator.triton.turn import TritonTurn
from orchestrator.user_turn import UserTurn
from orchestrator.vad import VoiceDetector
from tests.engines.recordings import recording
from tests.servers.triton import RunningTriton

FRAME_S = 0.02
QUIET = np.random.default_rng(0).normal(0, 6, 320).astype("<i2").tobytes()


@dataclass
class Heard:
    """A session that only keeps what its listener tells."""

    speaking: bool = False  # the agent is, and waits for the verdict on what it hears
    played: bytes = b""  # what it said lately
    told: list[str] = field(default_factory=list)
    verdicts: list[bool] = field(default_factory=list)
    partials: int = 0
    turns: int = 0

    @property
    def ended(self) -> list[str]:
        return [each for each in self.told if each.startswith("ended: ") and each != "ended: "]

    def next_turn(self) -> int:
        self.turns += 1
        return self.turns

    def deliver(self, event: Event) -> None:
        if isinstance(event, TurnEnded):
            self.told.append(f"ended: {event.text}")

    def awaiting_verdict(self) -> bool:
        return self.speaking

    def played_lately_16k(self) -> bytes:
        return self.played

    def speech_started(self, turn: UserTurn) -> None:
        self.told.append("started")

    def speech_stopped(self, turn: UserTurn) -> None:
        self.told.append("stopped")

    def understood(self, turn: UserTurn, transcript: Transcript) -> None:
        if transcript.is_final:
            self.told.append(f"understood: {transcript.text}")
        else:
            self.partials += 1

    def recognition_failed(self, turn: UserTurn, error: GoAssistError) -> None:
        raise error

    def interruption_judged(self, turn: UserTurn, confirmed: bool) -> None:
        self.verdicts.append(confirmed)

    def turn_concluded(self, turn: UserTurn) -> None:
        pass


# However late these come.
BY_WORDS = interruption.Rules(lasting_ms=30_000, silence_ms=400, patience_ms=30_000, awaited_ms=30_000)


@asynccontextmanager
async def listening(
    triton: RunningTriton,
    heard: Heard,
    rules: Rules,
    *,
    judge: bool = False,
    interruption_rules: interruption.Rules = BY_WORDS,
) -> AsyncIterator[Listener]:
    client = TritonClient(triton.grpc_url)
    try:
        async with asyncio.TaskGroup() as tasks:
            listener = Listener(
                heard,
                recognizer=TritonAsr(client),
                judge=TritonTurn(client) if judge else None,
                detector=VoiceDetector(),
                tasks=tasks,
                clock=time.monotonic,
                rules=rules,
                interruption_rules=interruption_rules,
            )
            yield listener
            listener.drop()
            listener.close()
    finally:
        await client.close()


async def say(listener: Listener, pcm16_16k: bytes) -> None:
    """Speak in real time."""
    for start in range(0, len(pcm16_16k), len(QUIET)):
        listener.audio_received(pcm16_16k[start : start + len(QUIET)])
        await asyncio.sleep(FRAME_S)


async def be_quiet_until(listener: Listener, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await say(listener, QUIET)


async def test_a_turn_does_not_end_before_the_recogniser_has_answered_about_its_pause(triton: RunningTriton) -> None:
    at_once = Rules(unheard_ms=160, unclear_ms=160, trailing_ms=160, dictated_ms=160, complete_ms=160, words_ms=30_000)
    heard = Heard()
    async with listening(triton, heard, at_once) as listener:
        await say(listener, QUIET * 25 + recording("what_time_is_it.wav"))
        await be_quiet_until(listener, lambda: "ended: what time is it" in heard.told)
    assert heard.told == ["started", "understood: what time is it", "stopped", "ended: what time is it"]


@pytest.mark.parametrize(("rest_ms", "meant"), [(5_000, True), (0, False)])
async def test_one_word_is_meant_where_it_is_the_rest_of_the_turn_that_has_just_ended(
    triton: RunningTriton, rest_ms: int, meant: bool
) -> None:
    studio = Studio()
    one_word = studio.said("slt", "London.").tobytes()
    studio.close()
    heard = Heard()
    async with listening(triton, heard, Rules(cut_off_ms=5_000, rest_ms=rest_ms)) as listener:
        await say(listener, QUIET * 25 + recording("what_time_is_it.wav"))
        await be_quiet_until(listener, lambda: "ended: what time is it" in heard.told)
        heard.speaking = True
        await say(listener, QUIET * 10 + one_word)
        await be_quiet_until(listener, lambda: bool(heard.verdicts))
    assert heard.verdicts == [meant]


async def test_a_recording_that_comes_all_at_once_is_heard_as_it_was_spoken(triton: RunningTriton) -> None:
    heard = Heard()
    sentences = [recording("what_time_is_it.wav"), recording("what_is_your_name.wav")]
    async with listening(triton, heard, Rules(fixed_ms=500)) as listener:
        listener.audio_received(QUIET * 25 + (QUIET * 40).join([*sentences, b""]))
        async with asyncio.timeout(10):
            await listener.caught_up()
        await be_quiet_until(listener, lambda: len(heard.ended) == 2)
    assert heard.ended == ["ended: what time is it", "ended: what is your name"]


async def test_the_recogniser_has_the_sound_before_it_is_asked_about_the_pause(
    triton: RunningTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asr, "CHUNK_BYTES", 1 << 30)  # nothing is sent while one speaks
    heard = Heard()
    async with listening(triton, heard, Rules(pause_ms=20_000, fixed_ms=20_000)) as listener:
        await say(listener, QUIET * 25 + recording("what_time_is_it.wav"))
        await be_quiet_until(listener, lambda: heard.partials > 0)
        assert heard.told == ["started"], "it was not asked yet"


async def test_the_end_of_turn_model_is_asked_before_the_silence_is_a_pause(
    triton: RunningTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    completion, in_pause = TritonTurn.completion, list[bool]()

    async def asked(self: TritonTurn, pcm16_16k: bytes) -> float | None:
        in_pause.append(listener._endpointer.in_pause)
        return await completion(self, pcm16_16k)

    monkeypatch.setattr(TritonTurn, "completion", asked)
    async with listening(triton, Heard(), Rules(judge_ms=90, pause_ms=300), judge=True) as listener:
        await say(listener, QUIET * 25 + recording("what_time_is_it.wav"))
        await be_quiet_until(listener, lambda: bool(in_pause))
    assert not in_pause[0]


@pytest.mark.parametrize(("plausible", "meant"), [(0.0, True), (1.1, False)])
async def test_a_question_is_meant_though_its_words_were_half_guessed(
    triton: RunningTriton, plausible: float, meant: bool
) -> None:
    heard = Heard(speaking=True)
    async with listening(triton, heard, Rules(trusted=1.1, plausible=plausible)) as listener:
        await say(listener, QUIET * 25 + recording("what_time_is_it.wav"))
        await be_quiet_until(listener, lambda: bool(heard.verdicts))
    assert heard.verdicts == [meant]


@pytest.mark.parametrize("fixed_ms", [200, 30_000])
@pytest.mark.parametrize(("said", "meant"), [("stop", True), ("huh", False)])
async def test_a_verdict_does_not_wait_for_words_that_are_late_but_these_count_when_they_come(
    triton: RunningTriton, monkeypatch: pytest.MonkeyPatch, fixed_ms: int, said: str, meant: bool
) -> None:
    answered = asyncio.Event()

    async def late(self: asr.Utterance) -> Transcript:
        await answered.wait()
        return Transcript(said, len(said), True, ())

    monkeypatch.setattr(asr.Utterance, "flush", late)
    monkeypatch.setattr(asr.Utterance, "finish", late)
    studio = Studio()
    cough = studio.disturbance("cough", "slt").tobytes()
    studio.close()
    heard = Heard(speaking=True)
    patient = interruption.Rules(lasting_ms=30_000, patience_ms=1000, awaited_ms=1000)
    async with listening(triton, heard, Rules(fixed_ms=fixed_ms), interruption_rules=patient) as listener:
        await say(listener, QUIET * 25 + cough)
        await be_quiet_until(listener, lambda: bool(heard.verdicts))
        assert heard.verdicts == [False]
        answered.set()
        if meant:
            await be_quiet_until(listener, lambda: "ended: stop" in heard.told)
    assert heard.verdicts == ([False, True] if meant else [False])
    assert [each for each in heard.told if each != "ended: "] == (
        ["started", "stopped", "ended: stop"] if meant else []
    )


async def test_words_over_the_agents_echo_are_understood_without_it(triton: RunningTriton) -> None:
    agent = np.frombuffer(recording("about_yourself.wav"), "<i2")
    person = np.frombuffer(recording("stop.wav"), "<i2")
    person = person[np.argmax(np.abs(person) > 500) :]
    late, onset, silent = 1920, 18_000, 21_200  # the echo, the person's onset, the agent for its sake
    microphone = np.random.default_rng(0).normal(0, 6, onset + person.size)
    microphone[late : late + silent] += agent[:silent] / 10
    microphone[onset:] += person
    played = np.pad(agent[:silent], (0, microphone.size))
    heard = Heard(speaking=True)
    async with listening(triton, heard, Rules()) as listener:
        for start in range(0, microphone.size, 320):
            heard.played = played[max(0, start + 320 - 24_000) : start + 320].tobytes()
            await say(listener, microphone[start : start + 320].astype("<i2").tobytes())
        await be_quiet_until(listener, lambda: bool(heard.verdicts))
        await be_quiet_until(listener, lambda: listener.turn is None)
    assert heard.verdicts == [True]
    assert "ended: stop" in heard.told
