"""The hearing side of a session: microphone → voice detection → endpointing and recognition → events.

The listener tells the conversation what the user does, in the order in which it was done: while the final
transcript of one utterance is awaited, what happens after it waits too.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import numpy as np

from orchestrator import echo
from orchestrator.backlog import Backlog
from orchestrator.core import endpointing, interruption
from orchestrator.core.endpointing import Began, Ended, Endpointer, FellSilent, Hesitated, Paused, Resumed
from orchestrator.core.endpointing_rules import SAMPLE_RATE, Rules
from orchestrator.core.events import (
    Event,
    InterruptionConfirmed,
    InterruptionRejected,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    TurnEnded,
)
from orchestrator.core.experience import Experience
from orchestrator.core.interruption import Interruption, Verdict
from orchestrator.core.replies import is_reply
from orchestrator.echo import EchoGuard
from orchestrator.echoed_beginning import EchoedBeginning
from orchestrator.errors import GoAssistError
from orchestrator.recent_sound import RecentSound
from orchestrator.recognition import Recognition
from orchestrator.triton.asr import Transcript, TritonAsr
from orchestrator.triton.turn import TritonTurn
from orchestrator.user_events import UserEvents
from orchestrator.user_turn import UserTurn
from orchestrator.vad import VoiceDetector

# What the microphone heard lately: the sound before an onset belongs to the utterance, and the end-of-turn model
# listens to the last 8 s.
HEARD_SAMPLES = 8 * SAMPLE_RATE
# Windows after which a voice is a person's for good: looking for an echo takes 1 ms of the loop's time.
PERSON_WINDOWS = 4
# So much at most is left of the agent's answer where words over it may be the reply to it.
LAST_MOMENTS = SAMPLE_RATE * 6 // 10


class ListenerObserver(Protocol):
    """What a listener needs of its session. Nothing here may block."""

    def next_turn(self) -> int:
        """A number for a new turn."""

    def deliver(self, event: Event) -> None:
        """An event for the conversation."""

    def awaiting_verdict(self) -> bool:
        """Whether playout is paused because of speech."""

    def played_lately_16k(self) -> bytes:
        """What the agent says at present, of which the microphone may hear an echo; nothing in silence."""

    def speech_started(self, turn: UserTurn) -> None:
        """The user speaks, and it is no cough."""

    def speech_stopped(self, turn: UserTurn) -> None:
        """The turn has ended; its transcript may still be awaited."""

    def understood(self, turn: UserTurn, transcript: Transcript) -> None:
        """A newer transcript of the turn, partial or final."""

    def recognition_failed(self, turn: UserTurn, error: GoAssistError) -> None:
        """The recogniser was lost or refused; the turn ends without words."""

    def interruption_judged(self, turn: UserTurn, confirmed: bool) -> None:
        """Whether speech that paused the agent was meant for it."""

    def turn_concluded(self, turn: UserTurn) -> None:
        """The turn's text is known; its end is the next event."""


class Listener:
    """Hears one user. `audio_received` takes the microphone; events go to `observer`."""

    def __init__(
        self,
        observer: ListenerObserver,
        *,
        recognizer: TritonAsr,
        detector: VoiceDetector,
        judge: TritonTurn | None = None,
        tasks: asyncio.TaskGroup,
        clock: Callable[[], float],
        rules: Rules,
        experience: Experience | None = None,
        interruption_rules: interruption.Rules | None = None,
        language: str | None = None,
        hotwords: str | None = None,
    ) -> None:
        self.language = language
        self.hotwords = hotwords
        self._observer = observer
        self._recognizer = recognizer
        self._judge = judge
        self._tasks = tasks
        self._clock = clock
        self._endpointer = Endpointer(rules, experience)
        self._interruption_rules = interruption_rules
        self._echo = EchoGuard()
        self._voice = detector.open(self._voice_detected)
        self._sound = RecentSound(HEARD_SAMPLES)
        self._backlog = Backlog(hear=self._hear, behind=lambda: self._voice.behind)
        self._turn: UserTurn | None = None
        self._ended: UserTurn | None = None  # the last one, while it is open whether it was to interrupt
        self._rejected: tuple[UserTurn, Interruption, int] | None = None  # the last one, while none follows, and when
        self._events = UserEvents(deliver=observer.deliver, concluded=observer.turn_concluded)

    @property
    def received_ms(self) -> int:
        """The session's audio clock."""
        return self._sound.received * 1000 // SAMPLE_RATE

    @property
    def turn(self) -> UserTurn | None:
        """The utterance that is being spoken, if any."""
        return self._turn

    def set_rules(self, rules: Rules) -> None:
        """Endpoint by other rules from the next window on."""
        self._endpointer.rules = rules

    def audio_received(self, pcm16_16k: bytes) -> None:
        """Sound from the microphone, in order."""
        self._backlog.add(pcm16_16k)

    async def caught_up(self) -> None:
        """Return once all sound received has been judged, so that a commit does not miss any of it."""
        await self._backlog.emptied()

    def commit(self) -> bool:
        """End the utterance on the client's request, which has to ask for an answer; False where nothing was said."""
        if self._turn is not None:
            self._turn.by_client = True
        signals = self._endpointer.end(self._sound.received)
        self._act_all(signals)
        return bool(signals)

    def commit_silence(self, since: int) -> None:
        """The client ends an utterance that began at sample `since`, and in which nobody was heard."""
        turn = UserTurn(self._observer.next_turn(), since, by_client=True, text="")
        turn.last_speech = turn.ended_at = self._sound.received
        turn.ended_clock_s = self._clock()
        self._events.end(turn)
        self._events.go_on()

    def drop(self) -> None:
        """Forget the open utterance: to the conversation it ends without words."""
        self._endpointer.reset()
        self._rejected = None
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.interruption = None
            turn.recognition.drop()
            self.deliver_in_order(TurnEnded(turn.number, ""))

    def agent_finished(self, said: str) -> None:
        """The agent has `said` its answer. What it rejected in the last moments of that may be a reply."""
        rejected, self._rejected = self._rejected, None
        if rejected is None or self._turn is not None:
            return
        turn, judged, rejected_at = rejected
        if (heard := turn.newest) is None or not heard.is_final or self._guessed(heard) or not judged.is_speakers:
            return
        if self._sound.received - rejected_at <= LAST_MOMENTS and is_reply(heard.text, to=said):
            self._reply(turn, heard.text)

    def deliver_in_order(self, event: Event) -> None:
        """Deliver an event of the user's, after the transcripts that were asked for before it."""
        self._events.add(event)

    def close(self) -> None:
        """Stop hearing; closing twice is harmless. The turns' tasks are the task group's to cancel."""
        self._voice.close()
        self._backlog.forget()
        self._sound.forget()

    def _hear(self, pcm16_16k: bytes) -> None:
        self._sound.add(pcm16_16k)
        if self._turn is not None:
            self._turn.recognition.hear(pcm16_16k)
        self._voice.push(pcm16_16k)

    def _voice_detected(self, probability: float, level_db: float, end_sample: int) -> None:
        self._act_all(self._endpointer.push(probability, level_db, end_sample))
        turn = self._turn or self._ended
        if turn is not None and turn.interruption is not None:
            # A turn that has ended is silent, and its words may be late.
            voice = turn is self._turn and self._endpointer.voice
            echoes = voice and turn.not_echo < PERSON_WINDOWS and self._hears_itself()
            turn.not_echo += voice and not echoes
            self._decide(turn, turn.interruption.push(voice, echo=echoes, distant=self._endpointer.distant))
        self._backlog.catch_up()

    def _act_all(self, signals: Sequence[endpointing.Signal]) -> None:
        for signal in signals:
            self._act(signal)

    def _act(self, signal: endpointing.Signal) -> None:
        match signal:
            case Began(at) if self._hears_others():
                self._endpointer.dismiss()
            case Began(at):
                self._begin(at)
            case Hesitated():
                assert self._turn is not None
                self._turn.recognition.hesitated()
                self._speculate_on_partial(self._turn)
            case FellSilent(since):
                assert self._turn is not None
                self._ask_judge(self._turn, since)
            case Paused(since):
                assert self._turn is not None
                self._turn.last_speech = since
                self._turn.recognition.ask()
                self._endpointer.expect_words()
                if self._turn.interruption is not None:
                    self._turn.interruption.expect_words()
            case Resumed():
                assert self._turn is not None
                self._turn.recognition.went_on()
                self.deliver_in_order(SpeechResumed(self._turn.number))
            case Ended(last_speech, at):
                self._end(last_speech, at)

    def _speculate_on_partial(self, turn: UserTurn) -> None:
        """Words that will not change need not be asked for."""
        newest = turn.newest
        if turn.interruption is None and newest is not None and newest.stable_chars >= len(newest.text):
            self.deliver_in_order(SpeechPaused(turn.number, newest.text))

    def _ask_judge(self, turn: UserTurn, since: int) -> None:
        """Ask the end-of-turn model, if there is one, about the silence that began at sample `since`."""
        if self._judge is not None and self._endpointer.rules.fixed_ms is None:
            self._endpointer.expect_opinion()
            self._tasks.create_task(self._await_opinion(self._judge, turn, since), name="judge turn")

    async def _await_opinion(self, judge: TritonTurn, turn: UserTurn, since: int) -> None:
        pause = turn.recognition.pause
        opinion = await judge.completion(self._sound.since(max(turn.began_at, since - HEARD_SAMPLES)))
        if turn is self._turn and pause == turn.recognition.pause:
            self._act_all(self._endpointer.judge(opinion))

    def _hears_others(self) -> bool:
        """Whether, while the agent speaks, what sounds like speech is not its user's: its own voice, a far one."""
        is_far = self._endpointer.faint and bool(self._observer.played_lately_16k())
        return is_far or self._hears_itself()

    def _hears_itself(self) -> bool:
        """Whether what sounds like speech is the agent's own voice, come back from the user's loudspeaker."""
        played = self._observer.played_lately_16k()
        if not played:
            return False
        microphone = self._sound.since(self._sound.received - echo.LONGEST)
        return self._echo.hears_agent(np.frombuffer(microphone, "<i2"), np.frombuffer(played, "<i2"))

    def _begin(self, at: int) -> None:
        self._rejected = None
        self._turn = turn = UserTurn(self._observer.next_turn(), at)
        turn.recognition = recognition = Recognition(
            self._recognizer.utterance(
                language=self.language, hotwords=self.hotwords, on_partial=partial(self._partial, turn)
            ),
            heard=partial(self._heard, turn),
            paused=partial(self._paused, turn),
            concluded=partial(self._conclude, turn),
            failed=partial(self._fail, turn),
        )
        if self._echo.delay is not None and self._observer.played_lately_16k():
            beginning = EchoedBeginning(self._sound, self._observer.played_lately_16k, self._echo.delay)
            turn.began_at = max(at, beginning.at)
            recognition.keep(beginning, turn.began_at)
        else:
            recognition.hear(self._sound.since(at))
        self.deliver_in_order(SpeechStarted(turn.number))
        if self._observer.awaiting_verdict():
            turn.interruption = Interruption(self._interruption_rules, is_rest=self._endpointer.is_rest)
        else:
            self._announce(turn)
        self._tasks.create_task(recognition.run(), name=f"hear turn {turn.number}")

    def _end(self, last_speech: int, at: int) -> None:
        turn = self._turn
        assert turn is not None
        self._finish_hearing(turn, last_speech, at)
        if turn.announced:
            self._observer.speech_stopped(turn)
        self._events.end(turn)

    def _finish_hearing(self, turn: UserTurn, last_speech: int, at: int) -> None:
        self._turn, self._ended = None, turn
        turn.last_speech, turn.ended_at, turn.ended_clock_s = last_speech, at, self._clock()
        turn.recognition.finish()

    def _announce(self, turn: UserTurn) -> None:
        """Tell the client that the user speaks to the agent, or has spoken."""
        turn.announced = True
        self._observer.speech_started(turn)
        if turn.ended_clock_s is not None:
            self._observer.speech_stopped(turn)

    def _decide(self, turn: UserTurn, verdict: Verdict | None) -> None:
        if verdict is None or turn.interruption is None:
            return
        judged, turn.interruption = turn.interruption, None
        if not self._observer.awaiting_verdict() and judged.is_speakers:
            # Nothing is interrupted any more, by a cancellation of the client's: what is said is a turn like any other.
            self._announce(turn)
            return
        self._observer.interruption_judged(turn, verdict is Verdict.CONFIRMED)
        # A verdict concerns what is being played now: it overtakes whatever waits for a transcript.
        if verdict is Verdict.CONFIRMED:
            self._observer.deliver(InterruptionConfirmed(turn.number))
            self._announce(turn)
        else:
            self._observer.deliver(InterruptionRejected(turn.number))
            turn.doubted = judged if judged.awaited else None
            self._leave(turn)
            self._rejected = turn, judged, self._sound.received

    def _leave(self, turn: UserTurn) -> None:
        """The agent goes on over what was said. Nothing waits for its words, but they count when they come."""
        if turn is self._turn:
            if self._endpointer.distant:
                self._endpointer.beware()
            if turn.doubted is None:
                self.drop()
            else:
                self._endpointer.reset()
                self._finish_hearing(turn, turn.last_speech, self._sound.received)
                self.deliver_in_order(TurnEnded(turn.number, ""))
        elif turn.doubted is not None:
            turn.text = ""
            self._events.go_on()

    def _reply(self, turn: UserTurn, text: str) -> None:
        """What the agent went on over replies to it: as another turn, its own being over, it begins and ends now."""
        reply = UserTurn(self._observer.next_turn(), turn.began_at, last_speech=turn.last_speech, text=text)
        reply.ended_at, reply.ended_clock_s = self._sound.received, self._clock()
        self.deliver_in_order(SpeechStarted(reply.number))
        self._announce(reply)
        self._events.end(reply)
        self._events.go_on()

    def _interrupt_late(self, turn: UserTurn, text: str) -> None:
        """What the agent went on over was meant for it: to the conversation it begins and ends now."""
        turn.number, turn.text = self._observer.next_turn(), text
        self._observer.deliver(SpeechStarted(turn.number))
        self._observer.interruption_judged(turn, True)
        self._observer.deliver(InterruptionConfirmed(turn.number))
        self._announce(turn)
        self._events.end(turn)

    def _partial(self, turn: UserTurn, transcript: Transcript) -> None:
        self._heard(turn, transcript)
        self._weigh(turn, transcript)

    def _heard(self, turn: UserTurn, transcript: Transcript) -> None:
        turn.newest = transcript
        if turn.interruption is not None:
            text, final, guessed = transcript.text, transcript.is_final, self._guessed(transcript)
            self._decide(turn, turn.interruption.hear(text, final=final, guessed=guessed))
        if turn.announced:
            self._observer.understood(turn, transcript)

    def _guessed(self, transcript: Transcript) -> bool:
        """Whether the recogniser is not sure of its words."""
        return interruption.is_guess(transcript.text, transcript.confidence, self._endpointer.rules)

    def _weigh(self, turn: UserTurn, transcript: Transcript) -> None:
        """What the words mean for the turn's end, which may be now."""
        if turn is self._turn:
            final = transcript.is_final
            self._act_all(self._endpointer.hear(transcript.text, transcript.confidence, final=final))

    def _paused(self, turn: UserTurn, transcript: Transcript) -> None:
        if turn.interruption is None:
            self.deliver_in_order(SpeechPaused(turn.number, transcript.text))
        self._weigh(turn, transcript)

    def _fail(self, turn: UserTurn, error: GoAssistError) -> None:
        self._observer.recognition_failed(turn, error)
        if self._turn is turn:
            self._end(turn.last_speech, self._sound.received)
            self._endpointer.reset()

    def _conclude(self, turn: UserTurn, transcript: Transcript | None) -> None:
        """The turn's text is known for good; without a transcript it has none."""
        text = transcript.text if transcript is not None else ""
        guessed = transcript is not None and self._guessed(transcript)
        doubted, turn.doubted = turn.doubted, None
        if turn.interruption is not None:
            self._decide(turn, turn.interruption.conclude(text, guessed=guessed))
        elif (
            doubted is not None and self._turn is None and doubted.conclude(text, guessed=guessed) is Verdict.CONFIRMED
        ):
            self._interrupt_late(turn, text)
        if turn.text is None:
            turn.text = text
        self._events.go_on()
