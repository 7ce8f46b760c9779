"""What holds for the conversation whatever the order of events.

A monitor follows the commands of a conversation and fails where one breaks a rule: a response that starts twice, is
cancelled twice or speaks beside another, a pause without a resume, words that are lost. Every sequence of events up to
length 6 is tried (sequences that lead to the same situation are continued once), and longer ones by hypothesis.

Those may come in any order at all. What a session promises its client, that no words and no request vanish, holds for
the orders that a session can make: a `Call` gives its conversation no others.
"""

import copy
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.conversation import Conversation
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
    PromptChanged,
    RefuseResponse,
    ReleaseResponse,
    ReportFailure,
    ResponseCancelled,
    ResponseCompleted,
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
from orchestrator.core.memory import Policy

# The edges that the design allows.
EDGES = {
    (State.IDLE, State.LISTENING),
    (State.IDLE, State.THINKING),
    (State.LISTENING, State.THINKING),
    (State.THINKING, State.SPEAKING),
    (State.THINKING, State.INTERRUPTED),
    (State.THINKING, State.LISTENING),
    (State.SPEAKING, State.LISTENING),
    (State.SPEAKING, State.INTERRUPTED),
    (State.INTERRUPTED, State.LISTENING),
}

POLICIES = [
    Policy(),
    Policy(create_response=False),
    Policy(interrupt_response=False),
    Policy(create_response=False, interrupt_response=False, speculate=False),
]


@dataclass
class Monitor:
    """What the commands so far amount to."""

    state: State = State.IDLE
    committed: frozenset[int] = frozenset()
    answered: frozenset[int] = frozenset()  # turns whose response was started or released
    refused: frozenset[int] = frozenset()  # requests of which the client was told that they will have none
    active: int | None = None  # the response that may be generating or playing
    cancelled: int | None = None  # the response whose end is awaited
    held: int | None = None
    paused: bool = False
    closed: bool = False
    conversation: Conversation = field(default_factory=Conversation)

    def receive(self, event: Event) -> None:
        was_closed = self.closed
        commands = self.conversation.receive(event)
        assert not (was_closed and commands)
        for command in commands:
            self.check(command)
        self.settle(event)
        assert self.conversation.state is self.state, "every change of state is told"
        assert (self.conversation.state is State.INTERRUPTED) == (self.cancelled is not None)
        if self.conversation.state in (State.THINKING, State.SPEAKING):
            assert self.active is not None
        assert self.conversation.paused == self.paused

    def check(self, command: Command) -> None:
        match command:
            case Enter(state, previous, _):
                assert previous is self.state
                assert (previous, state) in EDGES
                if previous is State.INTERRUPTED:
                    self.cancelled = None
                self.state = state
                if state is State.LISTENING:
                    self.active, self.paused = None, False
            case CommitUserTurn(turn, text):
                assert turn not in self.committed
                assert text.strip()
                self.committed |= {turn}
            case StartResponse(turn) | ReleaseResponse(turn):
                assert turn not in self.answered, "no turn starts twice"
                assert self.active is None
                assert self.cancelled is None, "one response at a time"
                assert (self.held == turn) == isinstance(command, ReleaseResponse)
                self.answered |= {turn}
                self.active, self.held = turn, None
            case Speculate(turn, text):
                assert self.held is None
                assert self.active is None
                assert text.strip()
                self.held = turn
            case DropSpeculation(turn):
                assert self.held == turn
                self.held = None
            case PausePlayout(turn):
                assert turn == self.active
                assert self.state is State.SPEAKING
                assert not self.paused
                self.paused = True
            case ResumePlayout(turn):
                assert turn == self.active
                assert self.paused
                self.paused = False
            case CancelResponse(turn):
                assert turn == self.active, "no turn is cancelled twice"
                self.active, self.cancelled, self.paused = None, turn, False
            case TruncateHistory(turn):
                assert turn == self.cancelled
            case RefuseResponse(turn):
                assert self.state in (State.THINKING, State.SPEAKING, State.INTERRUPTED)
                assert turn not in self.answered
                self.refused |= {turn}
            case ReportFailure(_):
                pass
            case CloseSession():
                assert not self.closed
                self.closed = True

    def settle(self, event: Event) -> None:
        """The rules that concern events rather than commands."""
        if isinstance(event, ResponseFailed) and self.state is State.LISTENING and not self.closed:
            assert self.held != event.turn, "a failed speculation is dropped"


def events(latest: int) -> list[Event]:
    """Every kind of event, with turns that were, are or will be."""
    turns = range(1, latest + 2)
    made: list[Event] = [CancelRequested(), PromptChanged(), HungUp()]
    for turn in turns:
        made += [SpeechStarted(turn), ResponseRequested(turn), SpeechResumed(turn)]
        made += [PlaybackStarted(turn), ResponseCompleted(turn), PlaybackFinished(turn)]
        made += [ResponseFailed(turn), ResponseCancelled(turn)]
        made += [InterruptionConfirmed(turn), InterruptionRejected(turn)]
        made += [SpeechPaused(turn, "well"), TurnEnded(turn, "well then"), TurnEnded(turn, "well"), TurnEnded(turn, "")]
    return made


def situation(monitor: Monitor) -> object:
    conversation = monitor.conversation
    ghost = (monitor.committed, monitor.answered, monitor.active, monitor.cancelled, monitor.held, monitor.paused)
    return conversation.state, conversation.closed, conversation._memory, ghost


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_every_sequence_up_to_length_six_keeps_the_rules(policy: Policy) -> None:
    frontier = [Monitor(conversation=Conversation(policy))]
    seen = {situation(frontier[0])}
    states = set()
    for _ in range(6):
        reached = []
        for monitor in frontier:
            for event in events(min(monitor.conversation._memory.latest, 2)):
                after = copy.copy(monitor)
                after.conversation = copy.copy(monitor.conversation)
                after.receive(event)
                states.add(after.state)
                if not after.closed and (key := situation(after)) not in seen:
                    seen.add(key)
                    reached.append(after)
        frontier = reached
    assert len(seen) > 100

    assert states == set(State)


@given(st.sampled_from(POLICIES), st.lists(st.integers(0, 10_000), max_size=120))
@settings(max_examples=300, deadline=None)
def test_long_sequences_keep_the_rules(policy: Policy, choices: list[int]) -> None:
    monitor = Monitor(conversation=Conversation(policy))
    for choice in choices:
        latest = monitor.conversation._memory.latest
        possible = [event for event in events(latest) if getattr(event, "turn", latest) >= latest - 3]
        possible.remove(HungUp())
        monitor.receive(possible[choice % len(possible)])


@given(st.lists(st.integers(0, 10_000), max_size=60))
@settings(max_examples=300, deadline=None)
def test_words_that_were_spoken_are_committed_whatever_happens_around_them(choices: list[int]) -> None:
    monitor = Monitor()
    for choice in choices:
        latest = monitor.conversation._memory.latest
        possible = [event for event in events(latest) if not isinstance(event, HungUp)]
        monitor.receive(possible[choice % len(possible)])
    turn = max(monitor.conversation._memory.latest, *[event.turn for event in monitor.conversation._memory.kept], 0) + 1
    monitor.receive(SpeechStarted(turn))
    if monitor.paused:
        monitor.receive(InterruptionConfirmed(turn))
    monitor.receive(TurnEnded(turn, "here are my words"))
    while monitor.cancelled is not None:
        monitor.receive(ResponseCancelled(monitor.cancelled))
    assert turn in monitor.committed
    assert monitor.state is State.THINKING


@given(st.lists(st.integers(0, 10_000), max_size=60))
@settings(max_examples=200, deadline=None)
def test_no_situation_is_a_dead_end(choices: list[int]) -> None:
    monitor = Monitor()
    for choice in choices:
        possible = [e for e in events(monitor.conversation._memory.latest) if not isinstance(e, HungUp)]
        monitor.receive(possible[choice % len(possible)])
    for _ in range(64):
        if monitor.cancelled is not None:
            monitor.receive(ResponseCancelled(monitor.cancelled))
        elif monitor.active is not None:
            monitor.receive(PlaybackFinished(monitor.active))
    assert monitor.state in (State.IDLE, State.LISTENING)


@dataclass
class Call:
    """Feeds a monitor as a session does: numbers grow, and the verdict on an interruption comes before its words."""

    monitor: Monitor
    latest: int = 0
    speaking: int | None = None
    rejected: bool = False  # the present utterance counts no more
    owed: frozenset[int] = frozenset()  # turns whose words are to be committed
    asked: frozenset[int] = frozenset()  # requests that are to be answered or refused

    def steps(self) -> list[str]:
        monitor = self.monitor
        steps = ["ask", "flip"]
        if self.speaking is None:
            steps.append("begin")
        else:
            steps += (
                ["confirm", "reject"] if monitor.paused else ["nothing", *["words", "commit"] * (not self.rejected)]
            )
        if monitor.active is not None:
            steps += ["cancel", "complete", "fail", *["finish"] * (not monitor.paused)]
            steps += ["play"] * (monitor.state is State.THINKING)
        return steps + ["cancelled"] * (monitor.cancelled is not None)

    def do(self, step: str) -> None:
        response, speech = self.monitor.active or 0, self.speaking or 0
        event: Event
        match step:
            case "begin" | "ask":
                self.latest += 1
                event = SpeechStarted(self.latest) if step == "begin" else ResponseRequested(self.latest)
                if step == "begin":
                    self.speaking, self.rejected = self.latest, False
                else:
                    self.asked |= {self.latest}
            case "words" | "commit" | "nothing":
                event = TurnEnded(speech, "" if step == "nothing" else "my words", by_client=step == "commit")
                self.speaking = None
                if step != "nothing":
                    self.owed |= {speech}
            case "confirm":
                event = InterruptionConfirmed(speech)
            case "reject":
                event, self.rejected = InterruptionRejected(speech), True
            case "flip":
                policy = self.monitor.conversation._memory.policy
                other = replace(policy, interrupt_response=not policy.interrupt_response)
                self.monitor.conversation.set_policy(other)
                return
            case "cancelled":
                event = ResponseCancelled(self.monitor.cancelled or 0)
            case _:
                made: dict[str, Event] = {
                    "cancel": CancelRequested(),
                    "play": PlaybackStarted(response),
                    "complete": ResponseCompleted(response),
                    "finish": PlaybackFinished(response),
                    "fail": ResponseFailed(response),
                }
                event = made[step]
        self.monitor.receive(event)

    def after(self, step: str) -> "Call":
        call = copy.copy(self)
        call.monitor = copy.copy(self.monitor)
        call.monitor.conversation = copy.copy(self.monitor.conversation)
        call.do(step)
        return call

    def check(self) -> None:
        """The user falls silent, and the agent says all that is left: nothing has vanished."""
        end = copy.copy(self)
        end.monitor = copy.copy(self.monitor)
        end.monitor.conversation = copy.copy(self.monitor.conversation)
        while steps := set(end.steps()) & {"reject", "nothing", "cancelled", "finish"}:
            end.do(min(steps, key=["reject", "nothing", "cancelled", "finish"].index))
        assert end.owed <= end.monitor.committed, "words vanished"
        assert end.asked <= end.monitor.answered | end.monitor.refused, "a request vanished"


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_no_words_and_no_request_vanish(policy: Policy) -> None:
    frontier = [Call(Monitor(conversation=Conversation(policy)))]
    seen = set()
    for _ in range(7):
        reached = []
        for call in frontier:
            for step in call.steps():
                after = call.after(step)
                key = (situation(after.monitor), after.speaking, after.rejected, after.owed, after.asked)
                if key not in seen:
                    seen.add(key)
                    after.check()
                    reached.append(after)
        frontier = reached


@given(st.sampled_from(POLICIES), st.lists(st.integers(0, 10_000), max_size=60))
@settings(max_examples=500, deadline=None)
def test_no_words_and_no_request_vanish_in_a_long_call(policy: Policy, choices: list[int]) -> None:
    call = Call(Monitor(conversation=Conversation(policy)))
    for choice in choices:
        steps = call.steps()
        call.do(steps[choice % len(steps)])
    call.check()
