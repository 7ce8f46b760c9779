"""The conversation of one call: five states and the table of their transitions.

`Conversation.receive` takes an event and returns commands; `TABLE` lists, for each state and event, what happens under
which condition. The first row whose condition holds is taken; where none holds the event came late or means nothing in
that state, and is ignored. The table's words are in conditions.py and actions.py, what they know is in memory.py;
nothing else affects the state. docs/conversation.md is made from this table (see diagram.py).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from orchestrator.core import actions as do
from orchestrator.core import conditions as when
from orchestrator.core.events import (
    CancelRequested,
    CloseSession,
    Command,
    Enter,
    Event,
    HungUp,
    InterruptionConfirmed,
    InterruptionRejected,
    PlaybackFinished,
    PlaybackStarted,
    PromptChanged,
    ResponseCancelled,
    ResponseCompleted,
    ResponseFailed,
    ResponseRequested,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    State,
    TurnEnded,
    turn_of,
)
from orchestrator.core.memory import Memory, Policy


@dataclass(frozen=True, slots=True)
class Row:
    """In `state`, on `event`, when `condition` holds: do `action` and go `to` a state."""

    state: State
    event: type[Event]
    condition: Callable[[Memory, Event], bool]
    action: Callable[[Memory, Event], do.Outcome]
    to: State


_IDLE, _LISTENING, _THINKING, _SPEAKING, _INTERRUPTED = State

TABLE: tuple[Row, ...] = (
    Row(_IDLE, SpeechStarted, when.new_turn, do.open_utterance, _LISTENING),
    Row(_IDLE, ResponseRequested, when.requested, do.start, _THINKING),
    #
    Row(_LISTENING, SpeechStarted, when.new_turn, do.open_utterance, _LISTENING),
    Row(_LISTENING, SpeechPaused, when.worth_speculating, do.speculate, _LISTENING),
    Row(_LISTENING, SpeechResumed, when.of_speculation, do.drop_speculation, _LISTENING),
    Row(_LISTENING, ResponseFailed, when.of_speculation, do.drop_speculation, _LISTENING),
    Row(_LISTENING, PromptChanged, when.speculating, do.drop_speculation, _LISTENING),
    Row(_LISTENING, TurnEnded, when.foreseen, do.release, _THINKING),
    Row(_LISTENING, TurnEnded, when.answerable, do.start, _THINKING),
    Row(_LISTENING, TurnEnded, when.with_words, do.commit_only, _LISTENING),
    Row(_LISTENING, TurnEnded, when.still_unanswered, do.start_over, _THINKING),
    Row(_LISTENING, TurnEnded, when.of_utterance, do.close_utterance, _LISTENING),
    Row(_LISTENING, ResponseRequested, when.requested, do.start, _THINKING),
    #
    Row(_THINKING, PlaybackStarted, when.of_response, do.play, _SPEAKING),
    Row(_THINKING, SpeechStarted, when.interrupting, do.overtake, _INTERRUPTED),
    Row(_THINKING, SpeechStarted, when.uninterruptible, do.keep, _THINKING),
    Row(_THINKING, TurnEnded, when.interrupting_words, do.cancel_and_keep, _INTERRUPTED),
    Row(_THINKING, TurnEnded, when.of_kept_speech, do.keep, _THINKING),
    Row(_THINKING, TurnEnded, when.uninterruptible, do.keep, _THINKING),
    Row(_THINKING, ResponseCompleted, when.of_response, do.complete, _THINKING),
    Row(_THINKING, ResponseFailed, when.of_response, do.fail, _LISTENING),
    Row(_THINKING, PlaybackFinished, when.of_response, do.finish, _LISTENING),
    Row(_THINKING, ResponseRequested, when.behind_speech, do.keep, _THINKING),
    Row(_THINKING, ResponseRequested, when.only_playing, do.await_response, _THINKING),
    Row(_THINKING, ResponseRequested, when.new_turn, do.refuse, _THINKING),
    Row(_THINKING, CancelRequested, when.always, do.cancel, _INTERRUPTED),
    #
    Row(_SPEAKING, SpeechStarted, when.interrupting, do.pause, _SPEAKING),
    Row(_SPEAKING, SpeechStarted, when.uninterruptible, do.keep, _SPEAKING),
    Row(_SPEAKING, InterruptionConfirmed, when.of_utterance, do.cancel_heard, _INTERRUPTED),
    Row(_SPEAKING, InterruptionRejected, when.of_pause, do.resume, _SPEAKING),
    Row(_SPEAKING, TurnEnded, when.interrupting_words, do.cancel_heard_and_keep, _INTERRUPTED),
    Row(_SPEAKING, TurnEnded, when.of_pause, do.resume, _SPEAKING),
    Row(_SPEAKING, TurnEnded, when.of_kept_speech, do.keep, _SPEAKING),
    Row(_SPEAKING, TurnEnded, when.uninterruptible, do.keep, _SPEAKING),
    Row(_SPEAKING, ResponseCompleted, when.of_response, do.complete, _SPEAKING),
    Row(_SPEAKING, PlaybackFinished, when.of_response, do.finish, _LISTENING),
    Row(_SPEAKING, ResponseFailed, when.of_response, do.report, _SPEAKING),
    Row(_SPEAKING, ResponseRequested, when.behind_speech, do.keep, _SPEAKING),
    Row(_SPEAKING, ResponseRequested, when.only_playing, do.await_response, _SPEAKING),
    Row(_SPEAKING, ResponseRequested, when.new_turn, do.refuse, _SPEAKING),
    Row(_SPEAKING, CancelRequested, when.always, do.cancel_heard, _INTERRUPTED),
    #
    Row(_INTERRUPTED, ResponseCancelled, when.of_response, do.forget_response, _LISTENING),
    Row(_INTERRUPTED, SpeechStarted, when.always, do.keep, _INTERRUPTED),
    Row(_INTERRUPTED, TurnEnded, when.always, do.keep, _INTERRUPTED),
    Row(_INTERRUPTED, ResponseRequested, when.first_waiting, do.keep, _INTERRUPTED),
    Row(_INTERRUPTED, ResponseRequested, when.new_turn, do.refuse, _INTERRUPTED),
)

_ROWS: dict[tuple[State, type[Event]], tuple[Row, ...]] = {
    (row.state, row.event): tuple(each for each in TABLE if (each.state, each.event) == (row.state, row.event))
    for row in TABLE
}


class Conversation:
    """The state machine of one call. Feed it events in the order they happen; carry out what it returns."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.state = State.IDLE
        self.closed = False
        self._memory = Memory(policy=policy or Policy())

    @property
    def utterance(self) -> int | None:
        """The turn that the user is speaking in, if any."""
        return self._memory.utterance

    @property
    def response(self) -> int | None:
        """The turn that is being answered, if any."""
        return self._memory.response

    @property
    def paused(self) -> bool:
        """Whether playout waits for the verdict on an interruption."""
        return self._memory.paused

    def set_policy(self, policy: Policy) -> None:
        """Change what the client chose, from the next event on."""
        self._memory = replace(self._memory, policy=policy)

    def receive(self, event: Event) -> list[Command]:
        """Take one event, return what is to be done, in order. Late and meaningless events return nothing."""
        if self.closed:
            return []
        if isinstance(event, HungUp):
            self.closed = True
            return [CloseSession()]
        for row in _ROWS.get((self.state, type(event)), ()):
            if row.condition(self._memory, event):
                return self._take(row, event)
        return []

    def _take(self, row: Row, event: Event) -> list[Command]:
        self._memory, commands = row.action(self._memory, event)
        if row.to is not row.state:
            untied = isinstance(event, CancelRequested | PromptChanged | HungUp)
            turn = self._memory.response if untied else turn_of(event)
            self.state = row.to
            commands = [Enter(row.to, row.state, turn or self._memory.latest), *commands]
        if row.to is State.LISTENING and self._memory.kept:
            kept, self._memory = self._memory.kept, replace(self._memory, kept=())
            for each in kept:
                commands += self.receive(each)
        if self.state is State.LISTENING and self._memory.awaited is not None:
            commands += self.receive(ResponseRequested(self._memory.awaited))
        return commands
