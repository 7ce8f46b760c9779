"""The conversation of one call: five states and the table of their transitions.

This file holds everything that affects the state, and knows nothing else. `Conversation.receive` takes an
event and returns commands; `TABLE` lists, for each state and event, what happens under which condition.
The first row whose condition holds is taken; where none holds the event came late or means nothing in
that state, and is ignored. docs/conversation.md is made from this table (see orchestrator/core/diagram.py).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from orchestrator.core.events import (
    CancelRequested,
    CancelResponse,
    CloseSession,
    Command,
    CommitUserTurn,
    DropSpeculation,
    Enter,
    Event,
    HungUp,
    InterruptionConfirmed,
    InterruptionRejected,
    PausePlayout,
    PlaybackFinished,
    PlaybackStarted,
    ReleaseResponse,
    ReportFailure,
    ResponseCancelled,
    ResponseFailed,
    ResponseRequested,
    ResumePlayout,
    Speculate,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    StartResponse,
    State,
    TruncateHistory,
    TurnEnded,
)
from orchestrator.core.words import same_words

# Nobody begins more turns while a response is cancelled (a second) or speaks on without being interruptible.
MAX_KEPT_EVENTS = 16


@dataclass(frozen=True, slots=True)
class Policy:
    """What the client chose: answer by itself, be interruptible, prepare answers during pauses."""

    create_response: bool = True
    interrupt_response: bool = True
    speculate: bool = True


@dataclass(frozen=True, slots=True)
class Memory:
    """All that the conversation remembers besides its state."""

    policy: Policy = Policy()
    latest: int = 0  # the highest turn number seen: a number is used once
    utterance: int | None = None  # the turn whose speech has begun and not ended
    response: int | None = None  # the turn that is being answered
    speculation: Speculate | None = None  # the answer that is prepared and held
    paused: bool = False  # playout waits for the verdict on an interruption
    unanswered: bool = False  # the response was cancelled by speech before a sound of it was heard
    kept: tuple[Event, ...] = ()  # what arrived while it could not be acted upon, in order


Outcome = tuple[Memory, list[Command]]
Condition = Callable[[Memory, Event], bool]
Action = Callable[[Memory, Event], Outcome]


@dataclass(frozen=True, slots=True)
class Row:
    """In `state`, on `event`, when `condition` holds: do `action` and go `to` a state."""

    state: State
    event: type[Event]
    condition: Condition
    action: Action
    to: State


# Conditions. Their docstrings are the labels of the diagram.


def always(memory: Memory, event: Event) -> bool:
    """"""
    return True


def new_turn(memory: Memory, event: Event) -> bool:
    """new turn"""
    return _turn(event) > memory.latest


def interrupting(memory: Memory, event: Event) -> bool:
    """new turn, interruptible"""
    return memory.policy.interrupt_response and new_turn(memory, event)


def uninterruptible(memory: Memory, event: Event) -> bool:
    """not interruptible"""
    return not memory.policy.interrupt_response


def of_utterance(memory: Memory, event: Event) -> bool:
    """of the open utterance"""
    return _turn(event) == memory.utterance


def of_response(memory: Memory, event: Event) -> bool:
    """of this response"""
    return _turn(event) == memory.response


def of_speculation(memory: Memory, event: Event) -> bool:
    """of the held response"""
    return memory.speculation is not None and _turn(event) == memory.speculation.turn


def worth_speculating(memory: Memory, event: Event) -> bool:
    """words, not yet prepared"""
    assert isinstance(event, SpeechPaused)
    held = memory.speculation
    return (
        memory.policy.speculate
        and memory.policy.create_response
        and of_utterance(memory, event)
        and bool(event.text.strip())
        and not (held is not None and same_words(held.text, event.text))
    )


def foreseen(memory: Memory, event: Event) -> bool:
    """words, as speculated"""
    assert isinstance(event, TurnEnded)
    held = memory.speculation
    return answerable(memory, event) and held is not None and same_words(held.text, event.text)


def answerable(memory: Memory, event: Event) -> bool:
    """words"""
    return memory.policy.create_response and with_words(memory, event)


def with_words(memory: Memory, event: Event) -> bool:
    """words, no automatic response"""
    assert isinstance(event, TurnEnded)
    return of_utterance(memory, event) and bool(event.text.strip())


def interrupting_words(memory: Memory, event: Event) -> bool:
    """words, interruptible"""
    return memory.policy.interrupt_response and with_words(memory, event)


def still_unanswered(memory: Memory, event: Event) -> bool:
    """no words, the turn before is unanswered"""
    return memory.unanswered and of_utterance(memory, event)


def of_pause(memory: Memory, event: Event) -> bool:
    """of the speech that paused playout"""
    return memory.paused and of_utterance(memory, event)


# Actions.


def open_utterance(memory: Memory, event: Event) -> Outcome:
    turn = _turn(event)
    return replace(memory, utterance=turn, latest=turn, speculation=None), _drop(memory)


def speculate(memory: Memory, event: Event) -> Outcome:
    assert isinstance(event, SpeechPaused)
    speculation = Speculate(event.turn, event.text)
    return replace(memory, speculation=speculation), [*_drop(memory), speculation]


def drop_speculation(memory: Memory, event: Event) -> Outcome:
    return replace(memory, speculation=None), _drop(memory)


def start(memory: Memory, event: Event) -> Outcome:
    turn = _turn(event)
    commands = [*_drop(memory), *_commit(event), StartResponse(turn)]
    return _answering(memory, turn), commands


def release(memory: Memory, event: Event) -> Outcome:
    turn = _turn(event)
    return _answering(memory, turn), [*_commit(event), ReleaseResponse(turn)]


def commit_only(memory: Memory, event: Event) -> Outcome:
    return replace(memory, utterance=None, speculation=None), [*_drop(memory), *_commit(event)]


def close_utterance(memory: Memory, event: Event) -> Outcome:
    return replace(memory, utterance=None, speculation=None), _drop(memory)


def play(memory: Memory, event: Event) -> Outcome:
    return replace(memory, unanswered=False), []


def finish(memory: Memory, event: Event) -> Outcome:
    return replace(memory, response=None, paused=False, unanswered=False), []


def fail(memory: Memory, event: Event) -> Outcome:
    return replace(memory, response=None), [ReportFailure(_turn(event))]


def report(memory: Memory, event: Event) -> Outcome:
    return memory, [ReportFailure(_turn(event))]


def pause(memory: Memory, event: Event) -> Outcome:
    assert memory.response is not None
    commands: list[Command] = [] if memory.paused else [PausePlayout(memory.response)]
    memory, _ = open_utterance(memory, event)
    return replace(memory, paused=True), commands


def resume(memory: Memory, event: Event) -> Outcome:
    assert memory.response is not None
    return replace(memory, utterance=None, paused=False), [ResumePlayout(memory.response)]


def overtake(memory: Memory, event: Event) -> Outcome:
    """Speech before the first sound: the question that was asked stays unanswered."""
    memory, commands = cancel(memory, event)
    opened, _ = open_utterance(memory, event)
    return replace(opened, unanswered=True), commands


def cancel(memory: Memory, event: Event) -> Outcome:
    assert memory.response is not None
    return replace(memory, paused=False, unanswered=False), [CancelResponse(memory.response)]


def cancel_heard(memory: Memory, event: Event) -> Outcome:
    assert memory.response is not None
    turn = memory.response
    return replace(memory, paused=False, unanswered=False), [CancelResponse(turn), TruncateHistory(turn)]


def cancel_and_keep(memory: Memory, event: Event) -> Outcome:
    memory, commands = cancel(memory, event)
    return keep(memory, event)[0], commands


def cancel_heard_and_keep(memory: Memory, event: Event) -> Outcome:
    memory, commands = cancel_heard(memory, event)
    return keep(memory, event)[0], commands


def keep(memory: Memory, event: Event) -> Outcome:
    return replace(memory, kept=(*memory.kept, event)[-MAX_KEPT_EVENTS:]), []


def forget_response(memory: Memory, event: Event) -> Outcome:
    return replace(memory, response=None), []


def _turn(event: Event) -> int:
    assert not isinstance(event, CancelRequested | HungUp)
    return event.turn


def _answering(memory: Memory, turn: int) -> Memory:
    return replace(
        memory,
        utterance=None if memory.utterance == turn else memory.utterance,
        speculation=None,
        response=turn,
        unanswered=False,
        latest=max(memory.latest, turn),
    )


def _drop(memory: Memory) -> list[Command]:
    return [DropSpeculation(memory.speculation.turn)] if memory.speculation is not None else []


def _commit(event: Event) -> list[Command]:
    return [CommitUserTurn(event.turn, event.text)] if isinstance(event, TurnEnded) and event.text.strip() else []


_IDLE, _LISTENING, _THINKING, _SPEAKING, _INTERRUPTED = State

TABLE: tuple[Row, ...] = (
    Row(_IDLE, SpeechStarted, new_turn, open_utterance, _LISTENING),
    Row(_IDLE, ResponseRequested, new_turn, start, _THINKING),
    #
    Row(_LISTENING, SpeechStarted, new_turn, open_utterance, _LISTENING),
    Row(_LISTENING, SpeechPaused, worth_speculating, speculate, _LISTENING),
    Row(_LISTENING, SpeechResumed, of_speculation, drop_speculation, _LISTENING),
    Row(_LISTENING, ResponseFailed, of_speculation, drop_speculation, _LISTENING),
    Row(_LISTENING, TurnEnded, foreseen, release, _THINKING),
    Row(_LISTENING, TurnEnded, answerable, start, _THINKING),
    Row(_LISTENING, TurnEnded, with_words, commit_only, _LISTENING),
    Row(_LISTENING, TurnEnded, still_unanswered, start, _THINKING),
    Row(_LISTENING, TurnEnded, of_utterance, close_utterance, _LISTENING),
    Row(_LISTENING, ResponseRequested, new_turn, start, _THINKING),
    #
    Row(_THINKING, PlaybackStarted, of_response, play, _SPEAKING),
    Row(_THINKING, SpeechStarted, interrupting, overtake, _INTERRUPTED),
    Row(_THINKING, SpeechStarted, uninterruptible, keep, _THINKING),
    Row(_THINKING, TurnEnded, interrupting_words, cancel_and_keep, _INTERRUPTED),
    Row(_THINKING, TurnEnded, uninterruptible, keep, _THINKING),
    Row(_THINKING, ResponseFailed, of_response, fail, _LISTENING),
    Row(_THINKING, PlaybackFinished, of_response, finish, _LISTENING),
    Row(_THINKING, ResponseRequested, new_turn, cancel_and_keep, _INTERRUPTED),
    Row(_THINKING, CancelRequested, always, cancel, _INTERRUPTED),
    #
    Row(_SPEAKING, SpeechStarted, interrupting, pause, _SPEAKING),
    Row(_SPEAKING, SpeechStarted, uninterruptible, keep, _SPEAKING),
    Row(_SPEAKING, InterruptionConfirmed, of_utterance, cancel_heard, _INTERRUPTED),
    Row(_SPEAKING, InterruptionRejected, of_pause, resume, _SPEAKING),
    Row(_SPEAKING, TurnEnded, interrupting_words, cancel_heard_and_keep, _INTERRUPTED),
    Row(_SPEAKING, TurnEnded, of_pause, resume, _SPEAKING),
    Row(_SPEAKING, TurnEnded, uninterruptible, keep, _SPEAKING),
    Row(_SPEAKING, PlaybackFinished, of_response, finish, _LISTENING),
    Row(_SPEAKING, ResponseFailed, of_response, report, _SPEAKING),
    Row(_SPEAKING, ResponseRequested, new_turn, cancel_heard_and_keep, _INTERRUPTED),
    Row(_SPEAKING, CancelRequested, always, cancel_heard, _INTERRUPTED),
    #
    Row(_INTERRUPTED, ResponseCancelled, of_response, forget_response, _LISTENING),
    Row(_INTERRUPTED, SpeechStarted, always, keep, _INTERRUPTED),
    Row(_INTERRUPTED, TurnEnded, always, keep, _INTERRUPTED),
    Row(_INTERRUPTED, ResponseRequested, always, keep, _INTERRUPTED),
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
            turn = self._memory.response if isinstance(event, CancelRequested | HungUp) else event.turn
            self.state = row.to
            commands = [Enter(row.to, row.state, turn or self._memory.latest), *commands]
        if row.to is State.LISTENING and self._memory.kept:
            kept, self._memory = self._memory.kept, replace(self._memory, kept=())
            for each in kept:
                commands += self.receive(each)
        return commands
