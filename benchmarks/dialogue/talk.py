"""Performs a script on a call and notes what happened."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Any

import httpx

from benchmarks.caller import Caller, Network
from benchmarks.dialogue.line import FRAME_S, Ear, Lull, Microphone, Spoken
from benchmarks.dialogue.script import (
    SENTENCES_SO_FAR,
    Disturb,
    HearOut,
    Interrupt,
    Play,
    Say,
    Script,
    Step,
    beginnings,
)
from benchmarks.dialogue.sounds import Samples, Studio
from orchestrator.webrtc.ticker import Ticker

ANSWER_TIMEOUT_S = 8.0
QUIET_TIMEOUT_S = 90.0  # the longest answer takes 45 s
# Between two sentences of an answer it is quiet for less than this.
BETWEEN_ANSWERS_S = 1.2
# Longer than an answer pauses for a cough that falls between two sentences.
OVER_S = 2.5
# Sound that was on its way when a pause ended has not been caused by what came after it.
NETWORK_S = 0.06
# So much less sound is still the whole answer: soft frames at the edge of audibility, through Opus. Of 41 s between
# 0.3 s less and 0.4 s more are counted.
WHOLE_S = 0.12
WHOLE_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause in a sentence, and whether the agent took it for the end.

    `sentence_so_far`: whether by the words it could be; None where the words are not known.
    """

    length_s: float
    taken: bool
    sentence_so_far: bool | None = None


@dataclass(slots=True)
class Observed:
    """What a script brought to light. Times in seconds."""

    name: str
    pauses: list[Pause] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)  # the end of speech → the first sound of the answer
    missed: int = 0  # answers that never came
    stops: list[float] = field(default_factory=list)  # the onset of an interruption → the agent's last sound
    unstopped: int = 0
    resumed: list[tuple[str, bool]] = field(default_factory=list)  # false interruptions and whether the answer went on
    silences: list[float] = field(default_factory=list)  # how long the agent was silent because of one
    words: list[tuple[int, int]] = field(default_factory=list)  # words heard, words that the agent remembers
    lost: list[float] = field(default_factory=list)  # sound that is missing from answers after false interruptions
    late_s: float = 0.0  # of the caller's own frames, p99: what was measured is not better than that
    log: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CutShort:
    """An answer that was interrupted: what was heard of it, and what the agent remembers."""

    item_id: str
    heard: Samples
    kept: str


class Talk:
    """One call that goes through one script."""

    def __init__(self, script: Script, studio: Studio) -> None:
        self.observed = Observed(script.name)
        self.script, self._studio = script, studio
        self._sentences: dict[tuple[str | int, ...], list[Samples | int]] = {}
        for step in script.steps:
            self._prepare(step)
        self._ear = Ear()
        noise = studio.noise(script.noise, script.noise_db) if script.noise is not None else None
        self._microphone = Microphone(self._ear, noise=noise, echo_db=script.echo_db)
        self._events: list[tuple[float, dict[str, Any]]] = []
        self._told = asyncio.Event()
        self._began_s = time.monotonic()
        self._answer_s = 0.0  # when the present answer began
        # Judged after the call: synthesising the answers again takes time that the microphone does not have.
        self._cut_short: list[CutShort] = []
        self._said_whole: list[tuple[str, float, int]] = []  # a disturbance, sound heard, index of its verdict

    async def run(self, url: str, *, api: str = "realtime") -> None:
        """Call, follow the script, hang up. `api` is the caller's (caller.py): of 'offer' there are no events."""
        self._began_s = time.monotonic()
        async with httpx.AsyncClient(timeout=30) as http:
            caller = Caller(
                http,
                url,
                api=api,
                silence=[],
                network=Network(0.0, 0),
                microphone=self._microphone.next_payload,
                on_packet=self._ear.packet,
                on_event=self._event,
            )
            await caller.connect()
            ticker = Ticker()
            hang_up_microphone = ticker.add(caller.tick)
            try:
                await asyncio.sleep(1.0)  # a caller takes a breath
                for step in self.script.steps:
                    match step:
                        case Say():
                            await self._say(step)
                        case Play():
                            await self._play(step)
                        case Interrupt():
                            await self._interrupt(step)
                        case Disturb(sound, after_s):
                            await self._disturb(sound, after_s)
                        case HearOut():
                            await self._disturb(None, 0.0)
                await self._ear.quiet(0.5, timeout_s=2.0)
            finally:
                hang_up_microphone()
                self.observed.late_s = ticker.lateness().p99_s
                await caller.hang_up()

    def _prepare(self, step: Step) -> None:
        match step:
            case Say(parts):
                self._sentences[parts] = self._sentence(parts)
            case Interrupt(text):
                self._studio.said(self.script.voice, text)
            case Disturb(sound):
                self._studio.disturbance(sound, self.script.voice)

    def _sentence(self, parts: tuple[str | int, ...]) -> list[Samples | int]:
        said = self._studio.sentence(self.script.voice, [part for part in parts if isinstance(part, str)])
        return [part if isinstance(part, int) else said.pop(0) for part in parts]

    def _event(self, message: str) -> None:
        event = json.loads(message)
        self._events.append((time.monotonic(), event))
        self._told.set()
        match event["type"]:
            case "conversation.item.input_audio_transcription.completed":
                self._log(f"agent understood: {event['transcript']!r}")
            case "response.output_audio_transcript.done":
                self._log(f"agent says: {event['transcript']!r}")
            case "goassist.state":
                self._log(f"{event['previous']} → {event['state']}")
            case "response.done" if event["response"]["status"] == "failed":
                self._log(f"answer failed: {event['response']['status_details']['error']}")
            case "error" | "conversation.item.input_audio_transcription.failed":
                self._log(f"error: {event['error']['message']}")

    def _log(self, line: str) -> None:
        self.observed.log.append(f"{time.monotonic() - self._began_s:7.2f} s  {line}")

    async def _say(self, step: Say) -> None:
        text = " ".join(f"({part} ms)" if isinstance(part, int) else part for part in step.parts)
        so_far = [beginning in SENTENCES_SO_FAR for beginning in beginnings(step)]
        await self._speak(text, self._sentences[step.parts], so_far)

    async def _play(self, step: Play) -> None:
        places = [0, *chain.from_iterable(step.pauses), step.sound.size]
        sounds = [step.sound[begin:end] for begin, end in pairwise(places)]
        parts = [Lull(sound) if number % 2 else sound for number, sound in enumerate(sounds)]
        await self._speak(f"(recording {self.script.name})", parts, [None] * len(step.pauses))

    async def _speak(
        self, text: str, parts: Sequence[Samples | Lull | int], sentence_so_far: Sequence[bool | None]
    ) -> None:
        if not await self._ear.quiet(BETWEEN_ANSWERS_S, timeout_s=QUIET_TIMEOUT_S):
            self._log("the agent does not stop talking")
        self._log(f"caller says: {text}")
        spoken = await self._microphone.say(*parts)
        for (began_s, ended_s), so_far in zip(spoken.pauses, sentence_so_far, strict=True):
            # What comes until 200 ms after the pause was begun in it.
            taken = bool(self._ear.loud(began_s, ended_s + 0.2))
            self.observed.pauses.append(Pause(ended_s - began_s, taken, so_far))
            if taken:
                self._log(f"the agent took the pause of {(ended_s - began_s) * 1000:.0f} ms")
        await self._answer(spoken.end_s)

    async def _answer(self, since_s: float) -> None:
        first_s = await self._ear.first_loud(since_s, timeout_s=ANSWER_TIMEOUT_S)
        if first_s is None:
            self.observed.missed += 1
            self._log("no answer came")
        else:
            self.observed.delays.append(first_s - since_s)
            self._answer_s = first_s
            self._log(f"answered after {(first_s - since_s) * 1000:.0f} ms")

    async def _interrupt(self, step: Interrupt) -> None:
        await self._into_the_answer(step.after_s)
        self._log(f"caller interrupts: {step.text}")
        spoken = await self._microphone.say(self._studio.said(self.script.voice, step.text))
        truncated = await self._wait_for("conversation.item.truncated", spoken.onset_s, timeout_s=3.0)
        if truncated is None:
            self.observed.unstopped += 1
            self._log("the agent talked on")
            return
        stop_s = self._silent_after(spoken)
        self.observed.stops.append(stop_s - spoken.onset_s)
        heard = self._ear.sound(self._answer_s - 0.2, stop_s)
        self._cut_short.append(CutShort(truncated["item_id"], heard, truncated["transcript"]))
        self._log(f"silent {(stop_s - spoken.onset_s) * 1000:.0f} ms after the onset")
        if step.answered:
            await self._answer(max(spoken.end_s, stop_s + FRAME_S))

    async def _disturb(self, sound: Any, after_s: float) -> None:
        """Make a sound, or none but what the room returns, and see whether the answer comes to its end."""
        since_s = time.monotonic()
        name = sound or "echo"
        spoken = None
        if sound is not None:
            await self._into_the_answer(after_s)
            self._log(f"({sound})")
            since_s = time.monotonic()
            spoken = await self._microphone.say(self._studio.disturbance(sound, self.script.voice))
        last = sound is None or self.script.steps[-1] == Disturb(sound, after_s)
        if last:
            await self._ear.quiet(OVER_S, timeout_s=QUIET_TIMEOUT_S)
        else:
            await self._ear.first_loud(time.monotonic() + 0.2, timeout_s=2.0)
        cancelled = [
            event
            for at_s, event in self._events
            if at_s > since_s and event["type"] in ("output_audio_buffer.cleared", "conversation.item.truncated")
        ]
        resumed = not cancelled and bool(self._ear.loud((spoken.end_s if spoken else since_s) + NETWORK_S))
        if resumed and last:
            heard_s = len(self._ear.loud(self._answer_s - FRAME_S)) * FRAME_S
            self._said_whole.append((name, heard_s, len(self.observed.resumed)))
        self.observed.resumed.append((name, resumed))
        if spoken is not None and resumed:
            silence_s = self._longest_gap(spoken.onset_s, spoken.end_s + 1.5)
            self.observed.silences.append(silence_s)
            self._log(f"the answer went on, after {silence_s * 1000:.0f} ms at most")
        elif not resumed:
            self._log(f"the answer was lost to a {name}")

    def judge(self) -> None:
        """After the call: compare what was heard with how the answers sound when nobody disturbs them."""
        for cut in self._cut_short:
            place = (expected := self._studio.answer(self._text_of(cut.item_id))).place(cut.heard)
            if place is None:
                self._log("what was heard of the answer could not be found in it")
                continue
            heard, kept = expected.words_until(place.end_s), cut.kept.split()
            self.observed.words.append((len(heard), len(kept)))
            self._log(
                f"{len(heard)} words heard, to '… {' '.join(heard[-3:])}'; {len(kept)} kept, to '… {cut.kept[-20:]}'"
            )
        for name, heard_s, verdict in self._said_whole:
            texts = [
                event["transcript"] for _, event in self._events if event["type"].endswith("audio_transcript.done")
            ]
            expected_s = self._studio.answer(texts[-1]).loud_s() if texts else 0.0
            lost_s = max(0.0, expected_s - heard_s)
            self.observed.lost.append(lost_s)
            self._log(f"{heard_s:.2f} s of the answer were audible, {expected_s:.2f} s are when nobody disturbs it")
            if not expected_s or lost_s > max(WHOLE_S, WHOLE_SHARE * expected_s):
                self.observed.resumed[verdict] = name, False

    def _text_of(self, item_id: str) -> str:
        deltas = (event for _, event in self._events if event["type"] == "response.output_audio_transcript.delta")
        return "".join(event["delta"] for event in deltas if event["item_id"] == item_id)

    async def _into_the_answer(self, after_s: float) -> None:
        while True:
            remaining_s = self._answer_s + after_s - time.monotonic()
            if remaining_s <= 0:
                return
            await asyncio.sleep(remaining_s)

    def _silent_after(self, spoken: Spoken) -> float:
        """The agent's last sound since the onset before 200 ms of quiet."""
        last_s = spoken.onset_s
        for each in self._ear.loud(spoken.onset_s):
            if each.at_s - last_s > 0.2:
                break
            last_s = each.at_s
        return last_s

    def _longest_gap(self, since_s: float, until_s: float) -> float:
        times = [each.at_s for each in self._ear.loud(since_s, until_s)]
        return max((later - earlier for earlier, later in pairwise(times)), default=0.0)

    async def _wait_for(self, kind: str, since_s: float, *, timeout_s: float) -> dict[str, Any] | None:
        def found() -> dict[str, Any] | None:
            return next((event for at_s, event in self._events if at_s >= since_s and event["type"] == kind), None)

        return await self._until(found, timeout_s)

    async def _until(self, found: Callable[[], dict[str, Any] | None], timeout_s: float) -> dict[str, Any] | None:
        deadline = time.monotonic() + timeout_s
        while (event := found()) is None and time.monotonic() < deadline:
            self._told.clear()
            try:
                await asyncio.wait_for(self._told.wait(), max(0.01, deadline - time.monotonic()))
            except TimeoutError:
                break
        return event if event is not None else found()
