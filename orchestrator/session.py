"""One call: owns its tasks, and carries out what the conversation decides.

Sound comes in through `audio_received` and goes out through the `output`; what happens is told to `notify`. All
methods but `run` are synchronous, take effect at once and are called on the event loop.
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import assert_never

from orchestrator import notifications as told
from orchestrator.answer import TurnEnd
from orchestrator.config import SessionConfig
from orchestrator.conversation_items import ConversationItems
from orchestrator.core import events as core
from orchestrator.core.actions import MAX_KEPT_EVENTS
from orchestrator.core.conversation import Conversation
from orchestrator.core.experience import Experience
from orchestrator.core.functions import NO_FUNCTIONS
from orchestrator.core.history import History, Item
from orchestrator.core.idleness import Idleness
from orchestrator.core.pressure import Level
from orchestrator.economy import Economy
from orchestrator.errors import GoAssistError, InvalidRequestError
from orchestrator.listener import Listener
from orchestrator.models import Models
from orchestrator.recollection import Recollection
from orchestrator.requests import ACTIVE, ACTIVE_CODE, Request, Requests
from orchestrator.response import AudioOutput
from orchestrator.speaker import Messages, Speaker
from orchestrator.triton.asr import Transcript
from orchestrator.turn_rules import endpointing_rules, policy
from orchestrator.user_turn import UserTurn
from orchestrator.vad import SAMPLE_RATE, VoiceDetector

LEAST_COMMIT_MS = 100  # so much sound an utterance has at least in the API, whatever is heard in it
# What the language model answers where the user says nothing for too long.
SILENT = Item(
    "",
    "user",
    "(The user has been silent for a while. In the language of the conversation, ask in a few words whether they are "
    "there, or help them go on.)",
)


class _ClosedError(Exception):
    """Leaves the task group, which cancels what is left in it."""


class Session:
    """A conversation with one user. `run` lives as long as the call; `close` ends it."""

    def __init__(
        self,
        session_id: str,
        *,
        models: Models,
        detector: VoiceDetector,
        config: SessionConfig,
        output: AudioOutput,
        notify: Callable[[told.Notification], None],
        experience: Experience | None = None,
        client_plays: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`client_plays`: it is sent sound as fast as it is made, and what `output` plays is a guess: a WebSocket."""
        self.id = session_id
        self.config = config
        self.history = History()
        self.close_reason: str | None = None
        self._notify = notify
        self._clock = clock
        self._tag = secrets.token_hex(6)
        self._tasks = asyncio.TaskGroup()
        self._closed = asyncio.Event()
        self._economy = Economy()
        self._conversation = Conversation(policy(config))
        self._events: deque[core.Event] = deque()
        self._delivering = False
        self._turns = 0
        self._ended: dict[int, TurnEnd] = {}  # the user's last turns
        self._taken_ms = 0  # the user's sound up to here was committed or cleared
        self._client_plays = client_plays
        self._requests = Requests()
        self._idleness = Idleness()
        self._cancel_reason: told.CancelReason = "turn_detected"
        self._recollection = Recollection(self.history, models.llm, tasks=self._tasks, notify=notify)
        self._recollection.check(config)
        self._speaker = Speaker(
            tag=self._tag,
            history=self.history,
            models=models,
            output=output,
            tasks=self._tasks,
            notify=notify,
            deliver=self.deliver,
            clock=clock,
        )
        self.calls_functions = models.llm.calls_functions
        self._items = ConversationItems(
            self.history, tag=self._tag, untold=lambda: self._speaker.untold_item_id, notify=notify
        )
        self._listener = Listener(
            self,
            recognizer=models.asr,
            detector=detector,
            judge=models.turn,
            tasks=self._tasks,
            clock=clock,
            rules=endpointing_rules(config),
            experience=experience,
            language=config.language,
            hotwords=config.hotwords,
        )

    async def run(self) -> None:
        """Hold the call until it is closed; every task of the call has ended when this returns."""
        try:
            async with self._tasks:
                await self._closed.wait()
                raise _ClosedError
        except* _ClosedError:
            pass
        finally:
            self._listener.close()

    def close(self, reason: str) -> None:
        """End the call. Closing twice is harmless."""
        if self.close_reason is None:
            self.close_reason = reason
            self.deliver(core.HungUp())

    # What the transport brings.

    def audio_received(self, pcm16_16k: bytes) -> None:
        """Sound from the microphone: INT16 mono at 16 kHz, in order, without holes."""
        if self.close_reason is None:
            self._listener.audio_received(pcm16_16k)
            self._watch_silence()

    async def caught_up(self) -> None:
        """Return once all sound received has been judged: a commit before would miss some of it."""
        await self._listener.caught_up()

    def playback_started(self, turn: int) -> None:
        """The output sent the first sample of a response."""
        self._speaker.playback_started(turn)

    def playback_finished(self, turn: int) -> None:
        """The output sent the last sample of a response."""
        self._speaker.playback_finished(turn)

    # What the client asks for. InvalidRequestError says why it cannot be.

    @property
    def state(self) -> core.State:
        """The conversation's state."""
        return self._conversation.state

    @property
    def response_id(self) -> str | None:
        """The id of the response that is generated or played now."""
        return self._speaker.response_id

    def configure(self, config: SessionConfig) -> None:
        """Change the configuration; it holds from the next window, turn and response on."""
        self._recollection.check(config)
        changed = _of_answers(config) != _of_answers(self.config)
        self.config = config
        if changed:
            self.deliver(core.PromptChanged())
        self._economize()
        self._listener.set_rules(endpointing_rules(config))
        self._listener.language, self._listener.hotwords = config.language, config.hotwords

    def pressed(self, level: Level) -> None:
        """The process is under that much pressure from now on."""
        self._economy.level = level
        self._economize()

    def add_item(self, item: Item, after: str | None = None) -> None:
        """Add a typed item to the conversation, or what came of a function call."""
        self._items.add(item, after)
        if item.role == "user":
            self._idleness.heard()
        self.deliver(core.PromptChanged())

    def delete_item(self, item_id: str) -> None:
        """Remove an item from the conversation."""
        self._items.delete(item_id)
        self.deliver(core.PromptChanged())

    def truncate_item(self, item_id: str, audio_end_ms: int) -> None:
        """Keep of the latest answer what its first `audio_end_ms` say: the client has played no more."""
        self._speaker.keep_heard(item_id, audio_end_ms / 1000)
        self.deliver(core.PromptChanged())

    def request_response(
        self,
        *,
        config: SessionConfig | None = None,
        metadata: Mapping[str, str] | None = None,
        client_event_id: str | None = None,
    ) -> None:
        """Answer the conversation as it stands, after the transcripts that are still awaited, with `config` if given.

        What is complete is played to its end first. While a response is being made InvalidRequestError refuses another;
        one that is refused later is told by its `client_event_id`.
        """
        if self._speaker.generating:
            raise InvalidRequestError(ACTIVE, code=ACTIVE_CODE)
        if self._client_plays:
            self._speaker.finish_playing()
        if config is not None:
            self._recollection.check(config)
        turn = self.next_turn()
        self._requests.add(turn, Request(config or self.config, metadata, client_event_id))
        self._listener.deliver_in_order(core.ResponseRequested(turn))

    def cancel_response(self, response_id: str | None = None) -> None:
        """Silence and cancel the response of that id, or whichever there is."""
        current = self._speaker.response_id
        if current is None or response_id not in (None, current):
            raise InvalidRequestError(
                "Cancellation failed: there is no such active response",
                param="response_id",
                code="response_cancel_not_active",
            )
        self._cancel_reason = "client_cancelled"
        self.deliver(core.CancelRequested())
        self._cancel_reason = "turn_detected"

    def clear_output(self) -> None:
        """Silence the agent, if it speaks."""
        if self._speaker.busy:
            self.cancel_response()

    def commit_audio(self) -> None:
        """The user's utterance is over (push-to-talk), though nobody be heard in it."""
        if not self._listener.commit():
            if self._listener.received_ms - self._taken_ms < LEAST_COMMIT_MS:
                raise InvalidRequestError(
                    f"less than {LEAST_COMMIT_MS} ms of sound came since the last commit or clear",
                    code="input_audio_buffer_commit_empty",
                )
            self._listener.commit_silence(self._taken_ms * SAMPLE_RATE // 1000)
        self._taken_ms = self._listener.received_ms

    def clear_audio(self) -> None:
        """Forget what the user has said since the last turn (push-to-talk)."""
        self._listener.drop()
        self._taken_ms = self._listener.received_ms
        self._notify(told.AudioCleared())

    # What the listener needs (ListenerObserver).

    def next_turn(self) -> int:
        """A number for a new turn."""
        self._turns += 1
        self._economy.turn_began()
        self._economize()
        return self._turns

    def awaiting_verdict(self) -> bool:
        """Whether playout is paused because of speech."""
        return self._conversation.paused

    def played_lately_16k(self) -> bytes:
        """What the agent says at present, of which the microphone may hear an echo."""
        return self._speaker.audible_16k()

    def speech_started(self, turn: UserTurn) -> None:
        """The user speaks to the agent."""
        self._notify(told.SpeechStarted(self._items.user_item_id(turn.number), turn.began_at * 1000 // SAMPLE_RATE))

    def speech_stopped(self, turn: UserTurn) -> None:
        """The user's turn is over."""
        self._taken_ms = max(self._taken_ms, turn.ended_at * 1000 // SAMPLE_RATE)
        self._notify(told.SpeechStopped(self._items.user_item_id(turn.number), turn.last_speech * 1000 // SAMPLE_RATE))

    def understood(self, turn: UserTurn, transcript: Transcript) -> None:
        """A newer transcript of what the user says."""
        item_id = self._items.user_item_id(turn.number)
        self._notify(told.TranscriptPartial(item_id, transcript.text, transcript.stable_chars))

    def recognition_failed(self, turn: UserTurn, error: GoAssistError) -> None:
        """What the user said is lost; say so, and hear the next turn."""
        turn.told_lost = turn.announced or turn.by_client
        item_id = self._items.user_item_id(turn.number) if turn.told_lost else None
        message = f"Your words could not be recognised: {error}"
        self._notify(told.Failed(error.code, message, "server_error", item_id=item_id))

    def turn_concluded(self, turn: UserTurn) -> None:
        """The turn's text is known; its TurnEnd event follows."""
        now = self._clock()
        decided = turn.ended_clock_s if turn.ended_clock_s is not None else now
        spoken = decided - (turn.ended_at - turn.last_speech) / SAMPLE_RATE
        self._ended[turn.number] = TurnEnd(spoken, decided, now, turn.audio_s)
        if len(self._ended) > MAX_KEPT_EVENTS:
            del self._ended[min(self._ended)]
        if turn.by_client and not (turn.text or "").strip():
            # The client waits for the item; to the conversation it is nothing.
            self._commit(turn.number, "", transcribed=not turn.told_lost)

    def interruption_judged(self, turn: UserTurn, confirmed: bool) -> None:
        """Whether speech that paused the agent was meant for it."""
        after_ms = self._listener.received_ms - turn.began_at * 1000 // SAMPLE_RATE
        self._notify(told.InterruptionJudged(turn.number, confirmed, after_ms))

    # Events in, commands out.

    def deliver(self, event: core.Event) -> None:
        """Feed the conversation, and carry out what it decides. Events that this causes wait their turn."""
        self._events.append(event)
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._events:
                for command in self._conversation.receive(self._events.popleft()):
                    self._carry_out(command)
        finally:
            self._delivering = False

    def _carry_out(self, command: core.Command) -> None:
        match command:
            case core.Enter(state, previous, turn):
                at_ms = self._listener.received_ms
                self._notify(told.StateChanged(state.value, previous.value, turn, at_ms))
                if state is core.State.THINKING:
                    self._idleness.forget()
                if state is core.State.LISTENING:
                    self._recollection.answered(self.config)
                    if previous is core.State.SPEAKING and self.state is state:
                        self._idleness.answered(at_ms)
                        self._listener.agent_finished(self._speaker.said)
            case core.Speculate(turn, text):
                config = self._economy.config(self.config)
                self._speaker.speculate(turn, self._messages(config, Item("", "user", text)), config)
            case core.DropSpeculation(turn):
                self._economy.speculated(wasted=True)
                self._speaker.drop(turn)
            case core.CommitUserTurn(turn, text):
                self._idleness.heard()
                self._commit(turn, text)
            case core.StartResponse(turn, instead_of):
                self._start(turn, turn if instead_of is None else instead_of)
            case core.RefuseResponse(turn, overtaken):
                self._notify(self._requests.refuse(turn, overtaken=overtaken))
            case core.ReleaseResponse(turn):
                self._economy.speculated(wasted=False)
                self._speaker.release(turn, self._ended.get(turn))
            case core.PausePlayout(turn):
                self._speaker.pause(turn)
            case core.ResumePlayout(turn):
                self._speaker.resume(turn)
            case core.CancelResponse(turn):
                self._speaker.cancel(turn, self._cancel_reason)
            case core.TruncateHistory(turn):
                self._speaker.truncate(turn)
            case core.ReportFailure(turn):
                self._speaker.report(turn)
            case core.CloseSession():
                self._listener.close()
                self._closed.set()
            case _:
                assert_never(command)

    def _start(self, turn: int, asked_as: int) -> None:
        """Begin a response; the client may have asked for it under another turn's number."""
        request = self._requests.begin(turn, asked_as) or Request(self.config)
        config = self._economy.config(request.config)
        if asked_as != turn and self._speaker.has_called(asked_as):
            config = replace(config, functions=NO_FUNCTIONS)  # it was overtaken as it began to sound
        messages = self._messages(config, *request.prompts)
        self._speaker.start(turn, messages, config, self._ended.get(turn), request.metadata)

    def _commit(self, turn: int, text: str, *, transcribed: bool = True) -> None:
        audio_s = self._ended[turn].audio_s if turn in self._ended else 0.0
        self._items.commit(turn, text, audio_s=audio_s, transcribed=transcribed)

    def _watch_silence(self) -> None:
        """Speak up where the client wants that of a user who says nothing."""
        detection, now_ms = self.config.turn_detection, self._listener.received_ms
        if detection is None or detection.idle_timeout_ms is None or not detection.create_response:
            return
        if self._conversation.utterance is not None:
            self._idleness.sounded(now_ms)
        since_ms = self._idleness.lasted(now_ms, detection.idle_timeout_ms)
        if since_ms is not None and self.history.awaits_output:
            self._idleness.sounded(now_ms)  # the user waits for what comes of a function
        elif since_ms is not None:
            self._speak_up(since_ms, now_ms)

    def _speak_up(self, since_ms: int, now_ms: int) -> None:
        self._idleness.asked()
        turn = self.next_turn()
        self._notify(told.TimeoutTriggered(self._items.user_item_id(turn), since_ms, now_ms))
        self._commit(turn, "")
        self._taken_ms = now_ms
        functions = self.config.functions
        if functions.choice == "required":  # the silence asks for none of them
            functions = replace(functions, choice="auto", only=None)
        self._requests.add(turn, Request(replace(self.config, functions=functions), prompts=(SILENT,)))
        self.deliver(core.ResponseRequested(turn))

    def _economize(self) -> None:
        self._conversation.set_policy(self._economy.policy(policy(self.config)))

    def _messages(self, config: SessionConfig, *said: Item) -> Messages:
        """The chat so far, and what was said and is not in it yet."""
        return partial(self._recollection.messages, config, (*self.history, *said))


def _of_answers(config: SessionConfig) -> SessionConfig:
    """What an answer is made with: without what only the user's turns are heard with."""
    return replace(config, turn_detection=None, hotwords=None)
